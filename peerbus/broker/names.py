"""Names in order."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable


class Names:
    """Keeps names in their order, so that a page of them costs what it shows, however many there are.

    Adding and removing one moves others in memory, a few microseconds at a hundred thousand.
    """

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: list[str] = []

    def add(self, name: str) -> None:
        """A name that is new."""
        insort(self._names, name)

    def remove(self, name: str) -> None:
        """A name that is gone."""
        del self._names[bisect_left(self._names, name)]

    def page(self, limit: int, after: str) -> Iterable[str]:
        """The first `limit` names that come after `after`."""
        start = bisect_right(self._names, after)
        return self._names[start : start + limit]
