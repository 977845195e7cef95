"""The meaning of a receiver's answer to a push."""

from datetime import UTC
from email.utils import parsedate_to_datetime

from peerbus.future import Future
from peerbus.http.upstream.exchange import Response

BUSY = {429, 503}
"""The statuses with which a receiver may ask to wait."""


def problem_in(sent: Future[Response]) -> str | None:
    """Why the receiver did not take the messages; None if it did."""
    if error := sent.exception():
        return str(error)
    status = sent.result().status
    return None if 200 <= status < 300 else f"status {status}"


def retry_after(response: Response, now: float) -> float | None:
    """For how many seconds the receiver asks to wait; None if it does not.

    `Retry-After` has seconds, or a date (RFC 9110). `now` is in seconds since 1970.
    """
    value = response.headers.get(b"retry-after", b"").decode("latin-1")
    if response.status not in BUSY or not value:
        return None
    if value.isascii() and value.isdecimal():
        return float(value[:9])
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp() - now)
