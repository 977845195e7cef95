"""The lowest of many positions in a log."""


class LowWaterMark:
    """Knows the lowest position of all readers of a log, to tell what none of them needs.

    Adding, removing and moving a reader are constant time. Finding the lowest again after it moved on
    costs at most the distance it moved, so it is amortised constant time a message however many readers
    there are: it looks for the next occupied position upwards, and where the positions are fewer than
    the distance, at each of those instead.
    """

    __slots__ = ("_readers", "lowest")

    def __init__(self) -> None:
        self._readers: dict[int, int] = {}
        self.lowest: int | None = None
        """None when nobody reads."""

    def add(self, position: int) -> None:
        """A reader begins at `position`."""
        if self.lowest is None or position < self.lowest:
            self.lowest = position
        self._readers[position] = self._readers.get(position, 0) + 1

    def remove(self, position: int) -> None:
        """A reader at `position` leaves."""
        left = self._readers[position] - 1
        if left:
            self._readers[position] = left
            return
        del self._readers[position]
        if position == self.lowest:
            self.lowest = self._next_occupied(position)

    def move(self, position: int, to: int) -> None:
        """A reader goes from `position` to `to`, in either direction."""
        if position != to:
            self.add(to)
            self.remove(position)

    def _next_occupied(self, position: int) -> int | None:
        for candidate in range(position + 1, position + 1 + len(self._readers)):
            if candidate in self._readers:
                return candidate
        return min(self._readers, default=None)
