"""The HTTP client of nodes and notices."""
