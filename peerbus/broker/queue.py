"""A message queue: where the subscribers of one group stand in a topic, and what they have yet to acknowledge."""

from __future__ import annotations

from collections.abc import Sequence
from operator import ne
from typing import TYPE_CHECKING, NamedTuple

from peerbus.broker.in_flight import Claims, Delivery, InFlight
from peerbus.errors import StreamReplaced

if TYPE_CHECKING:
    from peerbus.broker.topic import Topic


class QueueOptions(NamedTuple):
    """How messages are handed over; `ack_deadline` is in seconds, `max_attempts` None means without end."""

    explicit: bool = False
    ack_deadline: float = 30.0
    max_attempts: int | None = None
    dead_letter_topic: str | None = None


class Batch(NamedTuple):
    """What one pull took: values with their offsets and attempts, and how many messages were lost before."""

    offsets: Sequence[int]
    values: Sequence[bytes]
    attempts: Sequence[int]
    missed: int


class MessageQueue:
    """Positions in a topic's log, never copies of messages; shared by the members of a group, often one.

    A message is new (from `cursor` on), then handed over to a member. With automatic acknowledgement that is
    all. With explicit acknowledgement it stays unacknowledged until the member acknowledges it: when its
    deadline passes, the member rejects it or leaves, it is to be handed over again, to any member, with its
    attempt counted up; after the last attempt it is exhausted, and the broker's to bury.

    Every step costs the logarithm of the unacknowledged messages at most, whatever the backlog.
    """

    __slots__ = (
        "_journal",
        "_limits",
        "cursor",
        "dropped",
        "generation",
        "group",
        "in_flight",
        "members",
        "number",
        "options",
        "position",
        "reader",
        "started",
        "topic",
    )

    def __init__(self, topic: Topic, cursor: int, options: QueueOptions, group: str | None, number: int) -> None:
        self.topic = topic
        self.number = number
        self.generation = number
        """Another one, of this queue and of all, each time it was moved."""
        self.options = options
        self.group = group
        self.members: dict[str, None] = {}
        self.reader = 0
        """Which of those that came back to follow it did so last."""
        self.cursor = cursor
        self.position = cursor
        """The offset before which every message is acknowledged."""
        self.started = cursor
        self.in_flight = InFlight(topic.context.totals)
        self.dropped = 0
        """Messages given up after their last attempt, or dropped while handed over, since the last pull."""
        self._limits = topic.context.limits
        self._journal = topic.context.journal
        topic.begin_reading(cursor)

    @property
    def name(self) -> str:
        """What it is called among the queues of its topic: the id of its peer, or `group` and the name of its group."""
        return next(iter(self.members)) if self.group is None else f"group {self.group}"

    @property
    def missed(self) -> int:
        """Messages lost since the last pull: freed while they were new, or dropped after their last attempt."""
        return max(0, self.topic.start - self.cursor) + self.dropped

    @property
    def unread(self) -> int:
        """Messages that nobody has acknowledged and that are still there."""
        new = self.topic.end - max(self.cursor, self.topic.start)
        gone = self.in_flight.count_before(self.topic.start)
        return new + len(self.in_flight.deliveries) - gone

    @property
    def remaining(self) -> int:
        """Messages to hand over now, new or again."""
        return self._new + len(self.in_flight.again)

    @property
    def earlier(self) -> int:
        """Retained messages from before the subscription, as long as nothing was published since."""
        return self.started - self.topic.start if self.cursor == self.started else 0

    @property
    def ready(self) -> bool:
        """Whether a pull has anything to answer with."""
        new = self._room > 0 and self.topic.committed > self.cursor
        return new or bool(self.in_flight.again or self.dropped)

    def take_back(self, now: float, limit: int) -> list[tuple[int, Delivery]]:
        """Take back up to `limit` messages overdue by `now`; returns those that are exhausted, to be buried now."""
        exhausted = []
        for offset, delivery in self.in_flight.take_overdue(now, limit):
            if offset < self.topic.start:
                self.drop(offset)
            elif self.options.max_attempts is not None and delivery.attempt >= self.options.max_attempts:
                exhausted.append((offset, delivery))
            else:
                self.in_flight.come_back(offset)
                self._journal.deliveries_changed(self, [offset])
        return exhausted

    def pull(self, member: str, count: int, now: float) -> Batch:
        """Hand over up to `count` messages within the limits of a pull, those to be handed over again first.

        There are no new ones while as many as allowed are unacknowledged.
        """
        count, room = min(count, self._limits.max_pull), self._limits.max_pull_bytes
        offsets: list[int] = []
        values: list[bytes] = []
        if self.in_flight.again:
            offsets, values = self._take_again(count, room)
            room -= sum(map(len, values))
        missed, self.dropped = self.missed, 0
        self.cursor = max(self.cursor, self.topic.start)
        count = min(count - len(values), self._room, self.topic.committed - self.cursor)
        if count > 0 and room > 0:
            new = self.topic.read(self.cursor, count, room)
            offsets += range(self.cursor, self.cursor + len(new))
            values += new
            self.cursor += len(new)
        attempts = self._hand_over(offsets, member, now)
        if values or missed:
            self._journal.queue_changed(self)
        self._moved()
        return Batch(offsets, values, attempts, missed)

    def acknowledge(self, member: str, claims: Claims) -> tuple[int, list[int]]:
        """Forget the messages claimed by the member that has them; returns how many, and the stale offsets."""
        valid, stale = self.in_flight.check(member, claims)
        for offset in valid:
            self.in_flight.forget(offset)
        self._journal.deliveries_changed(self, valid)
        self._moved()
        return len(valid), stale

    def reject(self, member: str, claims: Claims, due: float) -> tuple[int, list[int]]:
        """Let the messages claimed by the member that has them come back at `due`, unless acknowledged before.

        Returns how many, and the stale offsets.
        """
        valid, stale = self.in_flight.check(member, claims)
        self.in_flight.come_back_at(valid, due, "rejected")
        self._journal.deliveries_changed(self, valid)
        return len(valid), stale

    def discard(self, offset: int) -> None:
        """Forget a message that was handed over: acknowledged, or buried."""
        self.in_flight.forget(offset)
        self._journal.deliveries_changed(self, [offset])
        self._moved()

    def drop(self, offset: int) -> None:
        """Forget a message that was handed over in vain, and count it as missed."""
        self.discard(offset)
        self.dropped += 1
        self._journal.queue_changed(self)

    def postpone(self, offset: int, due: float) -> None:
        """Look at an exhausted message again at `due`."""
        self.in_flight.postpone(offset, due)
        self._journal.deliveries_changed(self, [offset])

    def seek(self, cursor: int) -> None:
        """Go on from `cursor`, forwards or back, and forget what was handed over. What is freed counts as missed."""
        self.cursor = self.started = cursor
        self.generation = self._journal.new_number()
        self._journal.deliveries_changed(self, self.in_flight.deliveries)
        self.in_flight.forget_all()
        self._moved()

    def check_reader(self, reader: int | None) -> None:
        """Raise `StreamReplaced` for a reader that is not the last who came back."""
        if reader not in (None, self.reader):
            raise StreamReplaced("The reader of this stream came back, and follows the topic by another one.")

    def go_back(self, offset: int) -> None:
        """Hand over again from `offset` on, of a queue that acknowledges by pulling. What is freed counts as missed."""
        self.started = min(self.started, offset)
        self.generation = self._journal.new_number()
        self._set_back(offset)

    def return_last(self, offsets: Sequence[int]) -> bool:
        """Hand over again the messages pulled last, if those are `offsets`; says whether they are."""
        first = offsets[0]
        behind = self.cursor - first
        if first < self.started or len(offsets) != behind or any(map(ne, offsets, range(first, self.cursor))):
            return False
        self._set_back(first)
        return True

    def give_back(self, offsets: Sequence[int], missed: int) -> None:
        """The last that were pulled did not arrive, and a count of missed ones; where others pulled since, more are."""
        returned = not offsets or self.return_last(offsets)
        self.dropped += missed if returned else missed + len(offsets)
        self._journal.queue_changed(self)

    def leave(self, member: str, now: float) -> None:
        """A member leaves; what it has not acknowledged is overdue `now`. The last one closes the queue."""
        del self.members[member]
        if not self.members:
            self.in_flight.forget_all()
            self.topic.end_reading(self.position)
            return
        had = self.in_flight.of(member, up_to=self.cursor)
        self.in_flight.come_back_at(had, now, "its peer left")
        self._journal.deliveries_changed(self, had)

    @property
    def _new(self) -> int:
        return max(0, self.topic.committed - max(self.cursor, self.topic.start))

    @property
    def _room(self) -> int:
        return self._limits.max_unacknowledged - len(self.in_flight.deliveries)

    def _take_again(self, count: int, max_bytes: int) -> tuple[list[int], list[bytes]]:
        offsets: list[int] = []
        values: list[bytes] = []
        while self.in_flight.again and len(offsets) < count and max_bytes > 0:
            offset = self.in_flight.take_again()
            if offset < self.topic.start:
                self.in_flight.forget(offset)
                self._journal.deliveries_changed(self, [offset])
                self.dropped += 1
                continue
            (value,) = self.topic.read(offset, 1, max_bytes)
            offsets.append(offset)
            values.append(value)
            max_bytes -= len(value)
        return offsets, values

    def _hand_over(self, offsets: Sequence[int], member: str, now: float) -> list[int]:
        """The attempt that each message is; none are counted where no message is, or was, to be acknowledged."""
        if not (self.options.explicit or self.in_flight.deliveries):
            return []
        deadline = now + self.options.ack_deadline if self.options.explicit else None
        attempts = [self.in_flight.hand_over(offset, member, deadline) for offset in offsets]
        self._journal.deliveries_changed(self, offsets)
        return attempts

    def _set_back(self, cursor: int) -> None:
        """All from `cursor` on are new again, those too that were unacknowledged."""
        new_again = [offset for offset in self.in_flight.deliveries if offset >= cursor]
        for offset in new_again:
            self.in_flight.forget(offset)
        self._journal.deliveries_changed(self, new_again)
        self.cursor = cursor
        self._journal.queue_changed(self)
        self._moved()

    def _moved(self) -> None:
        """See where the position is now, and tell the topic, which frees what comes before all positions."""
        position = next(iter(self.in_flight.deliveries), self.cursor)
        if position != self.position:
            self.topic.go_on_reading(self.position, position)
            self.position = position
