"""Requests, answers, and the table of calls."""
