"""The indexing server: access, notices, memory."""
