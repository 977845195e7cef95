"""Which failed calls are made again, and when; without a transport or a clock of its own."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import SystemRandom

from peerbus.errors import CATALOGUE, IndexTimeout, IndexUnreachable

BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 5.0
OUTCOME_UNKNOWN = {IndexUnreachable.status, IndexTimeout.status}
"""Statuses by which a peer node says that the server may have carried out the call."""
NOTHING_WAS_DONE = {error.status for error in CATALOGUE.values() if error.retry_after} - OUTCOME_UNKNOWN
"""Statuses of calls that changed nothing and may succeed later, so that repeating them is always safe."""
_uniform = SystemRandom().uniform
"""Of the system, so that forked processes do not draw the same numbers."""


class Retries:
    """The retries of one call.

    The pauses between them grow, and are drawn at random ("full jitter", Marc Brooker, AWS Architecture Blog, 2015).
    """

    def __init__(self, patience: float, *, repeat: bool) -> None:
        """No retry begins later than `patience` seconds after the first failure.

        `repeat` says whether the call is idempotent, and so repeated even if the server may have carried it out.
        """
        self._patience = patience
        self._give_up: float | None = None
        self._repeat = repeat
        self._longest = BACKOFF_SECONDS

    def pause(self, now: float, status: int | None, retry_after: str = "") -> float | None:
        """Seconds to wait until the next try after a call that failed, None if there is to be none.

        `status` is that of the answer, None without one; `retry_after` is the answer's header.
        """
        if self._give_up is None:
            self._give_up = now + self._patience
        again = self._repeat if status is None or status in OUTCOME_UNKNOWN else status in NOTHING_WAS_DONE
        asked, left = _seconds(retry_after), self._give_up - now
        if not again or asked > left or left <= 0:
            return None
        longest, self._longest = self._longest, min(2 * self._longest, MAX_BACKOFF_SECONDS)
        return min(asked + _uniform(0, longest), left)


def _seconds(retry_after: str) -> float:
    """The seconds that a header asks for, which may name a time instead; none if it cannot be read."""
    try:
        return float(int(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
