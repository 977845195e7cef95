"""What servers put up with from their clients."""

from typing import NamedTuple

LARGEST_HEAD = 64 << 10
"""Bytes of a request's head."""
BODY_SECONDS = 30.0
"""How long a body may take to come."""


class Patience(NamedTuple):
    """How many seconds a client may take: for the head of a request, also to begin one, and for its body."""

    head: float = 30.0
    body: float = BODY_SECONDS


PATIENCE = Patience()
