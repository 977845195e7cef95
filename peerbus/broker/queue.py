"""A message queue: a group's position in a topic, and the messages its members have yet to acknowledge."""

from collections.abc import Iterable, Iterator, Sequence
from operator import ne
from typing import NamedTuple

from peerbus.broker.in_flight import REJECTED, Claim, Claims, Delivery, InFlight
from peerbus.broker.records import QueueRecord
from peerbus.broker.topic import Topic
from peerbus.errors import StreamReplaced

MANY = 100
"""Messages of a pull from which on their offsets are a range, not a list: a list of 1,000 takes 12 us."""
EXHAUSTED_COST = 10
"""The cost of dead-lettering an exhausted message, in units of the cost of requeueing an overdue one."""


class QueueOptions(NamedTuple):
    """How messages are handed over; `ack_deadline` is in seconds, `max_attempts` None means without end."""

    explicit: bool = False
    ack_deadline: float = 30.0
    max_attempts: int | None = None
    dead_letter_topic: str | None = None


class Taken(NamedTuple):
    """The messages of one pull: values with their offsets and attempts, and how many were lost before."""

    offsets: Sequence[int]
    values: Sequence[bytes]
    attempts: Sequence[int]
    missed: int


class MessageQueue:
    """Positions in a topic's log, never copies of messages; shared by the members of a group, often one.

    A message is new (from `cursor` on), then handed over to a member. With automatic acknowledgement that is
    all. With explicit acknowledgement it is in flight until the member acknowledges it: when its deadline passes, or
    the member rejects it or leaves, it waits for redelivery to any member, with its attempt counted up. After the last
    attempt it is exhausted, and the broker dead-letters it.

    Every step costs at most the logarithm of the messages in flight, whatever the backlog.
    """

    __slots__ = (
        "_changes",
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
        "reader_token",
        "started",
        "topic",
    )

    def __init__(self, topic: Topic, cursor: int, options: QueueOptions, group: str | None, number: int) -> None:
        self.topic = topic
        self.number = number
        self.generation = number
        """A globally unique number; changes on every seek."""
        self.options = options
        self.group = group
        self.members: dict[str, None] = {}
        self.reader_token = 0
        """Fences streams: only the last that resumed has this token."""
        self.cursor = cursor
        self.position = cursor
        """The offset before which every message is acknowledged."""
        self.started = cursor
        self.in_flight = InFlight(topic.context.totals)
        self.dropped = 0
        """Messages given up after their last attempt, or dropped while in flight, since the last pull."""
        self._limits = topic.context.limits
        self._changes = topic.context.changes
        topic.begin_reading(cursor)

    @property
    def name(self) -> str:
        """Its name among the queues of its topic: the id of its peer, or `group` and the name of its group."""
        return next(iter(self.members)) if self.group is None else group_queue(self.group)

    @property
    def missed(self) -> int:
        """Messages lost since the last pull: freed while they were new, or dropped after their last attempt."""
        return max(0, self.topic.start - self.cursor) + self.dropped

    @property
    def unread(self) -> int:
        """Retained messages that are not acknowledged."""
        start = self.topic.start
        gone = self.in_flight.count_before(start) if self.position < start else 0
        return self.topic.end - max(self.cursor, start) + len(self.in_flight) - gone

    @property
    def remaining(self) -> int:
        """Messages that can be handed over now, new or for redelivery."""
        return self._new + len(self.in_flight.redelivery)

    @property
    def earlier(self) -> int:
        """Retained messages from before the subscription, as long as nothing was published since."""
        return self.started - self.topic.start if self.cursor == self.started else 0

    @property
    def ready(self) -> bool:
        """Whether a pull has anything to answer with."""
        new = self._room > 0 and self.topic.committed > self.cursor
        return new or bool(self.in_flight.redelivery or self.dropped)

    def record(self) -> QueueRecord:
        """The queue as it is kept on disk."""
        return QueueRecord(
            self.number,
            self.topic.number,
            self.group,
            *self.options,
            self.cursor,
            self.started,
            self.dropped,
            list(self.members),
        )

    def deliveries(self, offsets: Iterable[int]) -> list[Delivery | None]:
        """The delivery of each offset, None for a message that is not in flight."""
        return list(map(self.in_flight.get, offsets))

    def requeue_overdue(self, now: float, limit: int) -> tuple[int, list[tuple[int, Delivery]]]:
        """Let messages overdue by `now` wait for redelivery, at a cost of `limit`.

        Returns the cost, and the messages that are exhausted: the caller drops, discards or postpones each.
        """
        cost = 0
        exhausted: list[tuple[int, Delivery]] = []
        while cost < limit and (delivery := self.in_flight.first_overdue(now)):
            is_last = self.options.max_attempts is not None and delivery.attempt >= self.options.max_attempts
            each = EXHAUSTED_COST if is_last else 1
            requeued, offsets = self.in_flight.requeue(delivery, max(1, (limit - cost) // each))
            cost += each * len(offsets)
            self._changes.deliveries_changed(self, offsets)
            if is_last or min(offsets) < self.topic.start:
                for offset in offsets:
                    if offset < self.topic.start:
                        self.drop(offset)
                    elif is_last:
                        exhausted.append((offset, requeued))
        return cost, exhausted

    def pull(self, member: str, count: int, now: float) -> Taken:
        """Hand over up to `count` messages within the limits of a pull, those that wait for redelivery first.

        There are no new ones while as many as allowed are in flight.
        """
        count, room = min(count, self._limits.max_pull), self._limits.max_pull_bytes
        offsets: Sequence[int] = []
        values: Sequence[bytes] = []
        if self.in_flight.redelivery:
            offsets, values = self._take_redeliveries(count, room)
            room -= sum(map(len, values))
        missed, self.dropped = self.missed, 0
        self.cursor = max(self.cursor, self.topic.start)
        count = min(count - len(values), self._room, self.topic.committed - self.cursor)
        if count > 0 and room > 0:
            new = self.topic.read(self.cursor, count, room)
            numbers = range(self.cursor, self.cursor + len(new))
            if values:
                offsets, values = [*offsets, *numbers], [*values, *new]
            else:
                is_list = self.options.explicit or len(new) < MANY
                offsets, values = [*numbers] if is_list else numbers, new
            self.cursor += len(new)
        attempts = self._hand_over(offsets, member, now)
        if values or missed:
            self._changes.queue_changed(self)
        self._moved()
        return Taken(offsets, values, attempts, missed)

    def in_hand(self, member: str, up_to: int, size: int) -> Iterator[list[Claim]]:
        """Claims on all that `member` has now up to the offset `up_to`, `size` at a time."""
        return self.in_flight.claims_of(member, up_to, size)

    def acknowledge(self, member: str, claims: Claims) -> tuple[int, list[int]]:
        """Forget the messages validly claimed by `member`; returns how many, and the stale offsets."""
        valid, stale = self.in_flight.check(member, claims)
        for offset in valid:
            self.in_flight.forget(offset)
        self._changes.deliveries_changed(self, valid)
        self._moved()
        return len(valid), stale

    def reject(self, member: str, claims: Claims, due: float) -> tuple[int, list[int]]:
        """Let the messages validly claimed by `member` be redelivered at `due`, unless acknowledged before.

        Returns how many, and the stale offsets.
        """
        valid, stale = self.in_flight.check(member, claims)
        self.in_flight.postpone(valid, due, REJECTED)
        self._changes.deliveries_changed(self, valid)
        return len(valid), stale

    def discard(self, offset: int) -> None:
        """Forget a message in flight: it is acknowledged, or dead-lettered."""
        self.in_flight.forget(offset)
        self._changes.deliveries_changed(self, [offset])
        self._moved()

    def drop(self, offset: int) -> None:
        """Forget a message in flight, and count it as missed."""
        self.discard(offset)
        self.dropped += 1
        self._changes.queue_changed(self)

    def postpone(self, offset: int, delivery: Delivery, due: float) -> None:
        """Let an exhausted message be overdue again at `due`."""
        self.in_flight.postpone([offset], due, delivery.problem)
        self._changes.deliveries_changed(self, [offset])

    def seek(self, cursor: int) -> None:
        """Continue at `cursor`, forwards or back; nothing is in flight then. Freed messages count as missed."""
        self.cursor = self.started = cursor
        self.generation = self.topic.context.numbers.next()
        self._changes.deliveries_changed(self, self.in_flight.offsets())
        self.in_flight.forget_all()
        self._moved()

    def check_reader(self, token: int | None) -> None:
        """Raise `StreamReplaced` for the token of a stream, when another one resumed after it."""
        if token not in (None, self.reader_token):
            raise StreamReplaced("The reader of this stream came back, and follows the topic by another one.")

    def go_back(self, offset: int) -> None:
        """Hand over again from `offset` on, with automatic acknowledgement. Freed messages count as missed."""
        self.started = min(self.started, offset)
        self.generation = self.topic.context.numbers.next()
        self._set_back(offset)

    def return_last(self, offsets: Sequence[int]) -> bool:
        """Hand over again the messages pulled last, if they are `offsets`; returns whether they are."""
        first = offsets[0]
        behind = self.cursor - first
        if first < self.started or len(offsets) != behind or any(map(ne, offsets, range(first, self.cursor))):
            return False
        self._set_back(first)
        return True

    def give_back(self, offsets: Sequence[int], missed: int) -> None:
        """Take back a pull that did not arrive, with automatic acknowledgement.

        Its messages are handed over again, or count as missed when others were pulled since; so do its `missed` ones.
        """
        returned = not offsets or self.return_last(offsets)
        self.dropped += missed if returned else missed + len(offsets)
        self._changes.queue_changed(self)

    def leave(self, member: str) -> None:
        """End a membership: messages in flight to the member are overdue now. The last one closes the queue."""
        del self.members[member]
        if self.members:
            self.in_flight.depart(member)
        else:
            self.in_flight.forget_all()
            self.topic.end_reading(self.position)

    @property
    def _new(self) -> int:
        return max(0, self.topic.committed - max(self.cursor, self.topic.start))

    @property
    def _room(self) -> int:
        return self._limits.max_unacknowledged - len(self.in_flight)

    def _take_redeliveries(self, count: int, max_bytes: int) -> tuple[list[int], list[bytes]]:
        offsets: list[int] = []
        values: list[bytes] = []
        while self.in_flight.redelivery and len(offsets) < count and max_bytes > 0:
            offset = self.in_flight.take_redelivery()
            if offset < self.topic.start:
                self.in_flight.forget(offset)
                self._changes.deliveries_changed(self, [offset])
                self.dropped += 1
                continue
            (value,) = self.topic.read(offset, 1, max_bytes)
            offsets.append(offset)
            values.append(value)
            max_bytes -= len(value)
        return offsets, values

    def _hand_over(self, offsets: Sequence[int], member: str, now: float) -> list[int]:
        """Count the attempt of each message; none where no message is, or was, to be acknowledged."""
        if not (self.options.explicit or self.in_flight):
            return []
        deadline = now + self.options.ack_deadline if self.options.explicit else None
        attempts = self.in_flight.hand_over(offsets, member, deadline)
        self._changes.deliveries_changed(self, offsets)
        return attempts

    def _set_back(self, cursor: int) -> None:
        """Let all messages from `cursor` on be new again, also those in flight."""
        new_again = self.in_flight.since(cursor)
        for offset in new_again:
            self.in_flight.forget(offset)
        self._changes.deliveries_changed(self, new_again)
        self.cursor = cursor
        self._changes.queue_changed(self)
        self._moved()

    def _moved(self) -> None:
        """Update the position, so that the topic frees the messages before all positions."""
        position = self.in_flight.first(min(self.position, self.cursor), self.cursor)
        if position != self.position:
            self.topic.move_reading(self.position, position)
            self.position = position


def group_queue(group: str) -> str:
    """The name of a group's queue. No peer has such an id: ids have no spaces."""
    return f"group {group}"
