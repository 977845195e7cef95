"""The messages of a queue that are handed over and not acknowledged."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from itertools import takewhile
from typing import NamedTuple

from peerbus.broker.context import Totals
from peerbus.broker.structures import Schedule


class Delivery(NamedTuple):
    """A message in the hands of a member: the how-manieth attempt it is, and what is wrong if it comes back."""

    member: str
    attempt: int
    problem: str = "not acknowledged in time"


Claim = tuple[int, int | None]
"""A message that a member speaks of, by its offset, and the attempt it means: None for the latest."""
Claims = Iterable[Claim] | int
"""Some messages, or all that the member has up to an offset."""


class InFlight:
    """In whose hands each message is or was, by its offset, and when it comes back.

    Each is handed over until a deadline. When that passes, the queue takes it back and lets it be handed over again,
    in the order in which they came back. What is acknowledged, buried or dropped is forgotten.

    Every step costs the logarithm of their number at most for each message. It knows no topic and tells no journal:
    the queue does.
    """

    __slots__ = ("_deadlines", "_totals", "again", "deliveries")

    def __init__(self, totals: Totals) -> None:
        self.deliveries: OrderedDict[int, Delivery] = OrderedDict()
        """All of them, in the order of offsets: new messages come in that order."""
        self.again: OrderedDict[int, None] = OrderedDict()
        """Of those, the ones to be handed over again."""
        self._deadlines: Schedule[int] = Schedule()
        """Of those, the others, by the end of their deadline."""
        self._totals = totals

    def deadline(self, offset: int) -> float | None:
        """When a message comes back, or None where it did."""
        return None if offset in self.again else self._deadlines.time(offset)

    def next_deadline(self) -> float:
        """When the next deadline passes."""
        return self._deadlines.next()

    def count_before(self, offset: int) -> int:
        """How many messages come before `offset`."""
        return sum(1 for _ in takewhile(lambda other: other < offset, self.deliveries))

    def of(self, member: str, up_to: int) -> list[int]:
        """The messages that `member` has, up to the offset `up_to`."""
        offsets = []
        for offset, delivery in self.deliveries.items():
            if offset > up_to:
                break
            if delivery.member == member:
                offsets.append(offset)
        return offsets

    def check(self, member: str, claims: Claims) -> tuple[list[int], list[int]]:
        """The offsets of the claims that hold, and of those that do not: settled, unknown, or another's by now."""
        if isinstance(claims, int):
            return self.of(member, claims), []
        valid: dict[int, None] = {}
        stale: list[int] = []
        for offset, attempt in claims:
            delivery = self.deliveries.get(offset)
            if delivery and delivery.member == member and attempt in (None, delivery.attempt):
                valid[offset] = None
            else:
                stale.append(offset)
        return list(valid), stale

    def hand_over(self, offset: int, member: str, deadline: float | None) -> int:
        """Give a message to `member` until `deadline`, or for good where there is none; returns the attempt it is."""
        before = self.deliveries.get(offset)
        attempt = before.attempt + 1 if before else 1
        if deadline is not None:
            self._totals.unacknowledged += before is None
            self.deliveries[offset] = Delivery(member, attempt)
            self._deadlines.set(offset, deadline)
        elif before:
            self.forget(offset)
        return attempt

    def restore(self, offset: int, delivery: Delivery, deadline: float | None) -> None:
        """Put back what was handed over in an earlier life; in the order of offsets."""
        self._totals.unacknowledged += 1
        self.deliveries[offset] = delivery
        if deadline is None:
            self.come_back(offset)
        else:
            self._deadlines.set(offset, deadline)

    def come_back_at(self, offsets: Iterable[int], due: float, problem: str) -> None:
        """Let the deadline of messages end at `due`, and `problem` be what is wrong with them."""
        for offset in offsets:
            self.deliveries[offset] = self.deliveries[offset]._replace(problem=problem)
            self.again.pop(offset, None)
            self._deadlines.set(offset, due)

    def take_overdue(self, now: float, limit: int) -> list[tuple[int, Delivery]]:
        """Up to `limit` messages overdue by `now`; whoever takes them lets each come back, postpones or forgets it."""
        return [(offset, self.deliveries[offset]) for offset in self._deadlines.take(now, limit)]

    def come_back(self, offset: int) -> None:
        """Let an overdue message be handed over again."""
        self.again[offset] = None

    def postpone(self, offset: int, due: float) -> None:
        """Let an overdue message be overdue again at `due`."""
        self._deadlines.set(offset, due)

    def take_again(self) -> int:
        """The first message that came back, of at least one; whoever takes it hands it over or forgets it."""
        offset, _ = self.again.popitem(last=False)
        return offset

    def forget(self, offset: int) -> None:
        """Forget a message."""
        del self.deliveries[offset]
        self._totals.unacknowledged -= 1
        self._deadlines.discard(offset)
        self.again.pop(offset, None)

    def forget_all(self) -> None:
        """Forget all, for a queue that is gone or moved."""
        self._totals.unacknowledged -= len(self.deliveries)
        self.deliveries.clear()
        self.again.clear()
        self._deadlines = Schedule()
