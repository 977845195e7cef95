"""Whole processes: restarts, full disks, kills, browsers, nginx."""
