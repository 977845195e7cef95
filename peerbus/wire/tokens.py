"""Tokens: what a caller shows that it is who it says. A peer's is its id, a dot and a secret."""

import secrets
from hashlib import sha256

SECRET_BYTES = 32
"""Drawn at random, so that a plain hash of a token tells nothing about it."""


def new_token(peer_id: str) -> str:
    """A token for a peer, which nobody can guess."""
    return f"{peer_id}.{secrets.token_urlsafe(SECRET_BYTES)}"


def peer_in(token: str) -> str:
    """The id of the peer that a token is for, if it is a peer's."""
    return token.rpartition(".")[0]


def hash_of(token: str) -> bytes:
    """What is kept of a token."""
    return sha256(token.encode()).digest()


def bearer(token: str) -> str:
    """The value of the `Authorization` header that carries a token (RFC 6750)."""
    return f"Bearer {token}"


def carried(authorization: str) -> str:
    """The token in an `Authorization` header, empty if there is none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
