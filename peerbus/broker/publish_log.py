"""The publishers and times of a topic's messages."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from peerbus.broker.structures import NEVER, NOW

PUBLISHER_BITS = 20
MOST_PUBLISHERS = 1 << PUBLISHER_BITS
"""Publishers that can be told apart in one topic; the messages of any beyond them have none."""
FEW_PUBLISHERS = 64
"""Publishers that a topic remembers at most, besides four for each of its entries."""

SERVER = "the server"
"""The publisher of dead letters. No peer has such an id: ids have no spaces."""
EARLIER = "an earlier release"
"""The publisher of messages from before version 3 of the schema, which had none; dead letters are among them."""
NO_PEERS = {SERVER, EARLIER}

_NOBODY: list[str | None] = [None]
_NO_NUMBERS: dict[str | None, int] = {None: 0}
"""Of every log that has no publisher yet; never changed."""


class Publish(NamedTuple):
    """The publisher of a message, None if it named none, and the time in milliseconds of the broker's clock."""

    publisher: str | None
    milliseconds: int


class PublishLog:
    """One entry for each publish: its publisher, its time and the offset of its first message.

    An entry takes 16 bytes: one word for the time in milliseconds and the publisher's number, one for the offset.
    Publishes of one publisher in the same millisecond that follow each other share an entry. Appending is amortised
    constant time; looking up a message costs the logarithm of the number of entries.
    """

    __slots__ = ("_entries", "_first", "_names", "_numbers", "publisher", "until")

    def __init__(self) -> None:
        self._entries = array("q")
        self._first = 0
        """The place of an entry: all messages of those before it are freed."""
        self._names = _NOBODY
        """The publishers by number."""
        self._numbers = _NO_NUMBERS
        self.until = NOW
        """Messages of `publisher` that are published before this time belong to the last entry."""
        self.publisher: str | None = None

    def append(self, offset: int, now: float, publisher: str | None) -> None:
        """The messages from `offset` on are published at `now`, in seconds of the broker's clock."""
        number = self._numbers.get(publisher)
        if number is None:
            number = self._add(publisher)
        milliseconds = round(now * 1000)
        entries = self._entries
        entries.append(milliseconds << PUBLISHER_BITS | number)
        entries.append(offset)
        self.publisher = publisher
        self.until = (milliseconds + 0.5) / 1000

    def restore(self, offset: int, published_at: float, publisher: str | None) -> None:
        """The messages from `offset` on were published before a restart, at any time."""
        self.append(offset, published_at, publisher)
        self.until = NOW

    def publishes(self, offsets: Iterable[int]) -> Iterator[Publish]:
        """The publish of each of `offsets`, which must be retained; constant time where one follows the other."""
        entries = self._entries
        at, begin, end = 0, 0, -1.0
        publish = Publish(None, 0)
        for offset in offsets:
            if not begin <= offset < end:
                at = at + 2 if offset == end else self._find(offset)
                begin, end = entries[at + 1], entries[at + 3] if at + 3 < len(entries) else NEVER
                publish = Publish(self._names[entries[at] % MOST_PUBLISHERS], entries[at] >> PUBLISHER_BITS)
            yield publish

    def first_since(self, milliseconds: int, end: int) -> int:
        """The offset of the first message published at or after a time, or `end`; it may be a freed one."""
        entries = self._entries
        places = range(0, len(entries), 2)
        at = 2 * bisect_left(places, milliseconds << PUBLISHER_BITS, key=entries.__getitem__)
        return entries[at + 1] if at < len(entries) else end

    def expiry(self, start: int, max_age: float) -> float:
        """When the message at `start`, the first that is retained, is `max_age` seconds old."""
        following = self._first + 3
        if following < len(self._entries) and self._entries[following] <= start:
            self._first = self._find(start)
        return (self._entries[self._first] >> PUBLISHER_BITS) / 1000 + max_age

    def expired(self, start: int, end: int, max_age: float, now: float) -> int:
        """The first offset, or `end`, that is not `max_age` seconds old `now`, as the one at `start` is."""
        entries = self._entries
        self.expiry(start, max_age)
        places = range(self._first, len(entries), 2)
        old = bisect_right(places, now, key=lambda at: (entries[at] >> PUBLISHER_BITS) / 1000 + max_age)
        at = self._first + 2 * old
        return entries[at + 1] if at < len(entries) else end

    def free(self, start: int) -> None:
        """Remove the entries that have messages before the offset `start` alone."""
        self._first = 0
        del self._entries[: self._find(start)]

    @property
    def entries(self) -> int:
        """How many entries there are."""
        return len(self._entries) // 2

    @property
    def publishers(self) -> int:
        """How many publishers are remembered."""
        return len(self._names) - 1

    def _find(self, offset: int) -> int:
        """The place of the entry of the message at `offset`."""
        return 2 * bisect_right(range(1, len(self._entries), 2), offset, key=self._entries.__getitem__) - 2

    def _add(self, publisher: str | None) -> int:
        """The number of a publisher that has none."""
        if self._names is _NOBODY:
            self._names, self._numbers = [None], {None: 0}
        elif self.publishers >= FEW_PUBLISHERS + 4 * self.entries:
            self._number_anew()
        number = len(self._names)
        if number == MOST_PUBLISHERS:
            return 0
        self._names.append(publisher)
        self._numbers[publisher] = number
        return number

    def _number_anew(self) -> None:
        """Forget the publishers that have no entry."""
        names: list[str | None] = [None]
        numbers: dict[str | None, int] = {None: 0}
        entries = self._entries
        for at in range(0, len(entries), 2):
            number = entries[at] % MOST_PUBLISHERS
            publisher = self._names[number]
            if publisher not in numbers:
                numbers[publisher] = len(names)
                names.append(publisher)
            entries[at] += numbers[publisher] - number
        self._names, self._numbers = names, numbers


NO_PUBLISHES = PublishLog()
"""Of a topic that never had a message; never changed."""
