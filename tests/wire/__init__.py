"""Scanning of JSON."""
