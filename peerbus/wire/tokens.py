"""Tokens, by which callers prove their identity. A peer's token is its id, a dot and a secret."""

import secrets
from hashlib import sha256

SECRET_BYTES = 32
"""Enough random bytes that a plain hash of a token is safe to store."""


def new_token(peer_id: str) -> str:
    """A random token for a peer."""
    return f"{peer_id}.{secrets.token_urlsafe(SECRET_BYTES)}"


def peer_in(token: str) -> str:
    """The peer id in a peer's token; means nothing for other tokens."""
    return token.rpartition(".")[0]


def hash_of(token: str) -> bytes:
    """The hash by which a token is stored."""
    return sha256(token.encode()).digest()


def bearer(token: str) -> str:
    """The value of the `Authorization` header that carries a token (RFC 6750)."""
    return f"Bearer {token}"


def carried(authorization: str) -> str:
    """The token in an `Authorization` header, or an empty string."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
