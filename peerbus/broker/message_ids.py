"""The message ids a topic has seen lately."""

from collections import OrderedDict


class MessageIds:
    """Remembers which offset each message id was published at, within a window of count and time."""

    __slots__ = ("_limit", "_seconds", "_seen")

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._seen: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def find(self, message_id: str, now: float) -> int | None:
        """The offset that `message_id` was published at, if that is still remembered."""
        self._forget(now)
        seen = self._seen.get(message_id)
        return seen and seen[0]

    def add(self, message_id: str, offset: int, now: float) -> None:
        """Remember that `message_id` was published at `offset`."""
        self._seen[message_id] = offset, now
        if len(self._seen) > self._limit:
            self._seen.popitem(last=False)

    def _forget(self, now: float) -> None:
        while self._seen and next(iter(self._seen.values()))[1] <= now - self._seconds:
            self._seen.popitem(last=False)
