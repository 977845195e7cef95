"""Peer nodes."""
