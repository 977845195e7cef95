"""Which failed calls are made again, and when; without a transport or a clock of its own."""

from random import SystemRandom

BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 5.0
NOTHING_WAS_DONE = (429, 503)
"""Statuses of calls that changed nothing, so that repeating them is always safe."""
OUTCOME_UNKNOWN = (502, 504)
"""Statuses by which a peer node says that the server may have carried out the call."""
_uniform = SystemRandom().uniform
"""Of the system, so that forked processes do not draw the same numbers."""


class Retries:
    """The retries of one call.

    The pauses between them grow, and are drawn at random ("full jitter", Marc Brooker, AWS Architecture Blog, 2015).
    """

    def __init__(self, give_up: float, *, repeat: bool) -> None:
        """No retry begins after the time `give_up`.

        `repeat` says whether the call is idempotent, and so repeated even if the server may have carried it out.
        """
        self._give_up = give_up
        self._repeat = repeat
        self._longest = BACKOFF_SECONDS

    def pause(self, now: float, status: int | None, retry_after: str = "") -> float | None:
        """Seconds to wait until the next try after a call that failed, None if there is to be none.

        `status` is that of the answer, None without one; `retry_after` is the answer's header.
        """
        again = self._repeat if status in (None, *OUTCOME_UNKNOWN) else status in NOTHING_WAS_DONE
        if not again or now > self._give_up:
            return None
        longest, self._longest = self._longest, min(2 * self._longest, MAX_BACKOFF_SECONDS)
        return _seconds(retry_after) + _uniform(0, longest)


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isdigit() else 0.0
