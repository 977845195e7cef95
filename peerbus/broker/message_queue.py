"""A message queue: where the subscribers of one group stand in a topic, and what they have yet to acknowledge."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from peerbus.broker.schedule import Schedule

if TYPE_CHECKING:
    from peerbus.broker.topic import Topic


class QueueOptions(NamedTuple):
    """How messages are handed over; `ack_deadline` is in seconds, `max_attempts` None means without end."""

    explicit: bool = False
    ack_deadline: float = 30.0
    max_attempts: int | None = None
    dead_letter_topic: str | None = None


class Delivery(NamedTuple):
    """A message in the hands of a member: the how-manieth attempt it is, and what is wrong if it comes back."""

    member: str
    attempt: int
    problem: str = "not acknowledged in time"


class Batch(NamedTuple):
    """What one pull took: values with their offsets and attempts, and how many messages were lost before."""

    offsets: Sequence[int]
    values: Sequence[bytes]
    attempts: Sequence[int]
    missed: int


Claim = tuple[int, int | None]
"""A message that a member speaks of, by its offset, and the attempt it means: None for the latest."""


class MessageQueue:
    """Positions in a topic's log, never copies of messages; shared by the members of a group, often one.

    A message is new (from `cursor` on), then handed over to a member. With automatic acknowledgement that is
    all. With explicit acknowledgement it stays unacknowledged until the member acknowledges it: when its
    deadline passes, the member rejects it or leaves, it is to be handed over again, to any member, with its
    attempt counted up; after the last attempt it is exhausted, and the broker's to bury.

    Every step costs the logarithm of the unacknowledged messages at most, whatever the backlog.
    """

    __slots__ = (
        "_again",
        "_deadlines",
        "_held",
        "_journal",
        "_limits",
        "_totals",
        "_unacknowledged",
        "cursor",
        "dropped",
        "era",
        "group",
        "members",
        "number",
        "options",
        "started",
        "topic",
    )

    def __init__(self, topic: Topic, cursor: int, options: QueueOptions, group: str | None, number: int) -> None:
        self.topic = topic
        self.number = number
        self.era = number
        """Another one, of this queue and of all, each time it was moved."""
        self.options = options
        self.group = group
        self.members: dict[str, None] = {}
        self.cursor = cursor
        self.started = cursor
        self._unacknowledged: OrderedDict[int, Delivery] = OrderedDict()
        """Handed over and not acknowledged, in the order of offsets: new messages come in that order."""
        self._deadlines: Schedule[int] = Schedule()
        """Of those, the ones in a member's hands, by the end of their deadline."""
        self._again: OrderedDict[int, None] = OrderedDict()
        """Of those, the ones to be handed over again."""
        self.dropped = 0
        """Messages given up after their last attempt, or dropped while handed over, since the last pull."""
        self._held = cursor
        self._limits = topic.commons.limits
        self._journal = topic.commons.journal
        self._totals = topic.commons.totals
        topic.begin_reading(cursor)

    @property
    def name(self) -> str:
        """What it is called among the queues of its topic: the id of its peer, or `group` and the name of its group."""
        return next(iter(self.members)) if self.group is None else f"group {self.group}"

    @property
    def position(self) -> int:
        """The offset before which every message is acknowledged."""
        return next(iter(self._unacknowledged), self.cursor)

    @property
    def unacknowledged(self) -> int:
        """Messages handed over and not acknowledged."""
        return len(self._unacknowledged)

    @property
    def missed(self) -> int:
        """Messages lost since the last pull: freed while they were new, or dropped after their last attempt."""
        return max(0, self.topic.start - self.cursor) + self.dropped

    @property
    def unread(self) -> int:
        """Messages that nobody has acknowledged and that are still there."""
        new = self.topic.end - max(self.cursor, self.topic.start)
        gone = sum(1 for _ in takewhile(lambda offset: offset < self.topic.start, self._unacknowledged))
        return new + len(self._unacknowledged) - gone

    @property
    def remaining(self) -> int:
        """Messages to hand over now, new or again."""
        return self._new + len(self._again)

    @property
    def earlier(self) -> int:
        """Retained messages from before the subscription, as long as nothing was published since."""
        return self.started - self.topic.start if self.cursor == self.started else 0

    @property
    def ready(self) -> bool:
        """Whether a pull has anything to answer with."""
        return bool(self._again or self.dropped or (self._room and self.topic.committed > self.cursor))

    def next_deadline(self) -> float:
        """When the next deadline passes."""
        return self._deadlines.next()

    def take_back(self, now: float, limit: int) -> list[tuple[int, Delivery]]:
        """Take back up to `limit` messages overdue by `now`; returns those that are exhausted, to be buried now."""
        exhausted = []
        for offset in self._deadlines.take(now, limit):
            if offset < self.topic.start:
                self.drop(offset)
            elif self._exhausted(offset):
                exhausted.append((offset, self._unacknowledged[offset]))
            else:
                self._again[offset] = None
                self._journal.deliveries_changed(self, [offset])
        return exhausted

    def delivery(self, offset: int) -> Delivery | None:
        """In whose hands a message is or was, as long as it is not acknowledged."""
        return self._unacknowledged.get(offset)

    def deadline(self, offset: int) -> float | None:
        """When a message that was handed over comes back, or None where it did."""
        return None if offset in self._again else self._deadlines.time(offset)

    def restore(self, offset: int, delivery: Delivery, deadline: float | None) -> None:
        """Put back what was handed over in an earlier life; in the order of offsets."""
        self._set(offset, delivery)
        if deadline is None:
            self._again[offset] = None
        else:
            self._deadlines.set(offset, deadline)

    def pull(self, member: str, count: int, now: float) -> Batch:
        """Hand over up to `count` messages within the limits of a pull, those to be handed over again first.

        There are no new ones while as many as allowed are unacknowledged.
        """
        count, room = min(count, self._limits.max_pull), self._limits.max_pull_bytes
        offsets, values = self._take_again(count, room)
        missed, self.dropped = self.missed, 0
        self.cursor = max(self.cursor, self.topic.start)
        count = min(count - len(values), self._room, self._new)
        room -= sum(map(len, values))
        if count > 0 and room > 0:
            new = self.topic.read(self.cursor, count, room)
            offsets += range(self.cursor, self.cursor + len(new))
            values += new
            self.cursor += len(new)
        attempts: list[int] = []
        if self._tracks:
            attempts = [self._hand_over(offset, member, now) for offset in offsets]
            self._journal.deliveries_changed(self, offsets)
        if values or missed:
            self._journal.queue_changed(self)
        self._moved()
        return Batch(offsets, values, attempts, missed)

    def acknowledge(self, member: str, claims: Iterable[Claim]) -> tuple[int, list[int]]:
        """Forget the messages claimed by the member that has them; returns how many, and the stale offsets."""
        valid, stale = self._check(member, claims)
        for offset in valid:
            self._forget(offset)
        self._journal.deliveries_changed(self, valid)
        self._moved()
        return len(valid), stale

    def reject(self, member: str, claims: Iterable[Claim], due: float) -> tuple[int, list[int]]:
        """Let the messages claimed by the member that has them come back at `due`, unless acknowledged before.

        Returns how many, and the stale offsets.
        """
        valid, stale = self._check(member, claims)
        for offset in valid:
            self._come_back(offset, due, "rejected")
        self._journal.deliveries_changed(self, valid)
        return len(valid), stale

    def in_hands_of(self, member: str, up_to: int) -> list[Claim]:
        """Claims to all messages that `member` has, up to the offset `up_to`."""
        claims: list[Claim] = []
        for offset, delivery in self._unacknowledged.items():
            if offset > up_to:
                break
            if delivery.member == member:
                claims.append((offset, None))
        return claims

    def discard(self, offset: int) -> None:
        """Forget a message that was handed over: acknowledged, or buried."""
        self._forget(offset)
        self._journal.deliveries_changed(self, [offset])
        self._moved()

    def drop(self, offset: int) -> None:
        """Forget a message that was handed over in vain, and count it as missed."""
        self.discard(offset)
        self.dropped += 1
        self._journal.queue_changed(self)

    def postpone(self, offset: int, due: float) -> None:
        """Look at an exhausted message again at `due`."""
        self._deadlines.set(offset, due)
        self._journal.deliveries_changed(self, [offset])

    def seek(self, cursor: int) -> None:
        """Go on from `cursor`, forwards or back, and forget what was handed over. What is freed counts as missed."""
        self.cursor = self.started = cursor
        self.era = self._journal.new_number()
        self._journal.deliveries_changed(self, self._unacknowledged)
        self.forget_handed_over()
        self._moved()

    def go_back(self, offset: int) -> None:
        """Hand over again from `offset` on, of a queue that acknowledges by pulling. What is freed counts as missed."""
        self.cursor = offset
        self.era = self._journal.new_number()
        self._journal.queue_changed(self)
        self._moved()

    def give_back(self, offsets: Sequence[int], missed: int) -> None:
        """The last that were pulled did not arrive, and a count of missed ones; where others pulled since, more are."""
        self.dropped += missed
        if offsets and self.cursor == offsets[-1] + 1 == offsets[0] + len(offsets):
            self.cursor = offsets[0]
        else:
            self.dropped += len(offsets)
        self._journal.queue_changed(self)
        self._moved()

    def forget_handed_over(self) -> None:
        """Forget all that was handed over, for a queue that is gone or moved."""
        self._totals.unacknowledged -= len(self._unacknowledged)
        self._unacknowledged.clear()
        self._again.clear()
        self._deadlines = Schedule()

    def leave(self, member: str, now: float) -> None:
        """A member leaves; what it has not acknowledged is overdue `now`. The last one closes the queue."""
        del self.members[member]
        if not self.members:
            self.forget_handed_over()
            self.topic.end_reading(self._held)
            return
        had = [offset for offset, _ in self.in_hands_of(member, up_to=self.cursor)]
        for offset in had:
            self._come_back(offset, now, "its peer left")
        self._journal.deliveries_changed(self, had)

    @property
    def _tracks(self) -> bool:
        return self.options.explicit or bool(self._unacknowledged)

    @property
    def _new(self) -> int:
        return max(0, self.topic.committed - max(self.cursor, self.topic.start))

    @property
    def _room(self) -> int:
        return self._limits.max_unacknowledged - len(self._unacknowledged)

    def _exhausted(self, offset: int) -> bool:
        allowed = self.options.max_attempts
        return allowed is not None and self._unacknowledged[offset].attempt >= allowed

    def _take_again(self, count: int, max_bytes: int) -> tuple[list[int], list[bytes]]:
        offsets: list[int] = []
        values: list[bytes] = []
        while self._again and len(offsets) < count and max_bytes > 0:
            offset, _ = self._again.popitem(last=False)
            if offset < self.topic.start:
                self._forget(offset)
                self._journal.deliveries_changed(self, [offset])
                self.dropped += 1
                continue
            (value,) = self.topic.read(offset, 1, max_bytes)
            offsets.append(offset)
            values.append(value)
            max_bytes -= len(value)
        return offsets, values

    def _hand_over(self, offset: int, member: str, now: float) -> int:
        before = self._unacknowledged.get(offset)
        attempt = before.attempt + 1 if before else 1
        if self.options.explicit:
            self._set(offset, Delivery(member, attempt))
            self._deadlines.set(offset, now + self.options.ack_deadline)
        elif before:
            self._forget(offset)
        return attempt

    def _check(self, member: str, claims: Iterable[Claim]) -> tuple[list[int], list[int]]:
        """The offsets of the claims that hold, and of those that do not: settled, unknown, or another's by now."""
        valid: dict[int, None] = {}
        stale: list[int] = []
        for offset, attempt in claims:
            delivery = self._unacknowledged.get(offset)
            if delivery and delivery.member == member and attempt in (None, delivery.attempt):
                valid[offset] = None
            else:
                stale.append(offset)
        return list(valid), stale

    def _come_back(self, offset: int, due: float, problem: str) -> None:
        self._unacknowledged[offset] = self._unacknowledged[offset]._replace(problem=problem)
        self._again.pop(offset, None)
        self._deadlines.set(offset, due)

    def _set(self, offset: int, delivery: Delivery) -> None:
        self._totals.unacknowledged += offset not in self._unacknowledged
        self._unacknowledged[offset] = delivery

    def _forget(self, offset: int) -> None:
        del self._unacknowledged[offset]
        self._totals.unacknowledged -= 1
        self._deadlines.discard(offset)
        self._again.pop(offset, None)

    def _moved(self) -> None:
        position = self.position
        if position != self._held:
            self.topic.go_on_reading(self._held, position)
            self._held = position
