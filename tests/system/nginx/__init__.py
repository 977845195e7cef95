"""nginx in front of a server."""
