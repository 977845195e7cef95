"""Descriptions of a service's calls: OpenAPI for programs, a page for people."""
