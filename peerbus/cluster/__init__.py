"""A cluster of indexing servers: one owns the state at a time, and keeps it in a replicated log."""
