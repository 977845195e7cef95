"""Publish, subscribe and pull between peers over plain HTTP."""

__version__ = "0.1.0"
