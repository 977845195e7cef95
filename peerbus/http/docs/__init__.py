"""The description of a service's calls, for programs and for people."""
