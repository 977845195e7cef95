"""Signatures of pushed messages: HMAC-SHA256 of the time and the body, under a secret that both sides know."""

import hmac
import re
from hashlib import sha256
from time import time

HEADER = "Peerbus-Signature"
TOLERANCE_SECONDS = 300.0
"""How old a signature may be, or how far ahead of this machine's clock."""
_FORM = re.compile(r"t=(?P<time>[0-9]{1,12}),v1=(?P<digest>[0-9a-f]{64})")


def sign(body: bytes, secret: str, now: float) -> str:
    """The value of the header for a body that is sent at `now`, in seconds since 1970."""
    return f"t={int(now)},v1={_digest(body, secret, int(now))}"


def verify_signature(
    body: bytes, header: str, secret: str, tolerance: float = TOLERANCE_SECONDS, now: float | None = None
) -> bool:
    """Whether `header` is the signature of `body` under `secret`, made at most `tolerance` seconds ago or ahead.

    Compares in constant time. `now` is in seconds since 1970, by default the present.
    """
    found = _FORM.fullmatch(header)
    if found is None:
        return False
    made = int(found["time"])
    is_same = hmac.compare_digest(_digest(body, secret, made), found["digest"])
    return is_same and abs((time() if now is None else now) - made) <= tolerance


def _digest(body: bytes, secret: str, now: int) -> str:
    signed = hmac.new(secret.encode(), b"%d." % now, sha256)
    signed.update(body)
    return signed.hexdigest()
