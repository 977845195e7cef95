"""The broker, in memory and on disk, without HTTP."""
