"""The lowest of many positions in a log."""


class LowWaterMark:
    """Knows the lowest position of all readers of a log, to tell what none of them needs.

    Adding, removing and moving a reader are constant time. Finding the lowest again after it moved on
    costs at most the distance it moved, so it is amortised constant time a message however many readers
    there are: it looks for the next occupied position upwards, and where the positions are fewer than
    the distance, at each of those instead.
    """

    __slots__ = ("_lowest", "_readers")

    def __init__(self) -> None:
        self._readers: dict[int, int] = {}
        self._lowest = 0

    def add(self, position: int) -> None:
        """A reader begins at `position`."""
        if not self._readers or position < self._lowest:
            self._lowest = position
        self._readers[position] = self._readers.get(position, 0) + 1

    def remove(self, position: int) -> None:
        """A reader at `position` leaves."""
        left = self._readers[position] - 1
        if left:
            self._readers[position] = left
            return
        del self._readers[position]
        if position == self._lowest and self._readers:
            self._lowest = self._next_occupied(position)

    def move(self, position: int, to: int) -> None:
        """A reader goes from `position` to `to`, in either direction."""
        if position != to:
            self.add(to)
            self.remove(position)

    def lowest(self, default: int) -> int:
        """The lowest position, or `default` when nobody reads."""
        return self._lowest if self._readers else default

    def _next_occupied(self, position: int) -> int:
        for candidate in range(position + 1, position + 1 + len(self._readers)):
            if candidate in self._readers:
                return candidate
        return min(self._readers)
