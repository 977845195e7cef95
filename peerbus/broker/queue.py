"""A message queue: a group's position in a topic, and the messages its members have yet to acknowledge."""

from collections.abc import Iterable, Iterator, Sequence
from operator import ne
from typing import NamedTuple

from peerbus.broker.in_flight import (
    DELIVERY_SIZE,
    HANDED_BACK,
    MESSAGE_SIZE,
    NOT_IN_TIME,
    PASSED_OVER,
    REJECTED,
    Claim,
    Claims,
    Delivery,
    InFlight,
)
from peerbus.broker.push_target import PushOptions, PushTarget
from peerbus.broker.records import QueueRecord
from peerbus.broker.results import Details
from peerbus.broker.structures import NOW
from peerbus.broker.topic import Topic
from peerbus.errors import BadRequest, StreamReplaced

MANY = 100
"""Messages of a pull from which on their offsets are a range, not a list: a list of 1,000 takes 12 us."""
FEW_IN_FLIGHT = 100
"""Messages that a queue may have in flight although memory is full: consuming goes on, for it frees memory."""
SOON_SECONDS = 1.0
"""Time after a standstill in which an acknowledgement that was sent meanwhile has yet to be read."""
GRANTED_AS_ONE = 10
"""Messages that get their deadline again at the cost of requeueing one."""
EXHAUSTED_COST = 10
"""The cost of dead-lettering an exhausted message, in units of the cost of requeueing an overdue one."""


class QueueOptions(NamedTuple):
    """How messages are handed over, and when the queue ends; `max_attempts` None means without end.

    `ack_deadline` is in seconds, and so is `expires_after`: how long the queue stands while no member is there, None
    for the server's default.
    """

    explicit: bool = False
    ack_deadline: float = 30.0
    max_attempts: int | None = None
    dead_letter_topic: str | None = None
    expires_after: float | None = None


class Taken(NamedTuple):
    """The messages of one pull: values with their offsets and attempts, and how many were lost before.

    With `details` if they were asked for.
    """

    offsets: Sequence[int]
    values: Sequence[bytes]
    attempts: Sequence[int]
    missed: int
    details: Details | None


class Requeued(NamedTuple):
    """The cost of requeueing overdue messages, and the members that they were handed over to.

    The caller drops, discards or postpones each of the messages that are `exhausted`.
    """

    cost: int
    exhausted: list[tuple[int, Delivery]]
    members: Iterable[str]


class MessageQueue:
    """Positions in a topic's log, never copies of messages: of one peer, or shared by the members of a group.

    A peer's own queue ends with the peer, a group's stands without members. The member of a queue of its own may be
    away.

    A message is new (from `cursor` on), then handed over to a member. With automatic acknowledgement that is
    all. With explicit acknowledgement it is in flight until the member acknowledges it: when its deadline passes, or
    the member rejects it or leaves, it waits for redelivery to any member, with its attempt counted up, unless the
    member handed it back untouched. After the last attempt it is exhausted, and the broker dead-letters it.

    Every step costs at most the logarithm of the messages in flight, whatever the backlog.
    """

    __slots__ = (
        "_changes",
        "_counted",
        "_last_mixed",
        "_limits",
        "_memory",
        "_untold",
        "cursor",
        "dropped",
        "generation",
        "group",
        "in_flight",
        "left_at",
        "members",
        "missed_total",
        "name",
        "number",
        "options",
        "position",
        "pulled_total",
        "reader_token",
        "started",
        "topic",
        "used_at",
    )

    def __init__(
        self, topic: Topic, cursor: int, options: QueueOptions, name: str, group: str | None, number: int, now: float
    ) -> None:
        self.topic = topic
        self.name = name
        """Its name among the queues of its topic: the id of its peer, or `group` and the name of its group."""
        self.number = number
        self.generation = number
        """A globally unique number; changes on every seek."""
        self.options = options
        self.group = group
        self.members: dict[str, PushTarget | None] = {}
        """With the push target of each, if it has one."""
        self.left_at: float | None = None
        """When the last member left a group's queue; None while it has members."""
        self.used_at = now
        """When a member last made a call about it."""
        self.reader_token = 0
        """Fences streams: only the last that resumed has this token."""
        self.cursor = cursor
        self.position = cursor
        """The offset before which every message is acknowledged."""
        self.started = cursor
        self.in_flight = InFlight(topic.context.totals, topic.context.memory)
        self.dropped = 0
        """Messages given up after their last attempt, or dropped while in flight, since the last pull."""
        self._counted = 0
        """Those of `dropped` that the totals have already: they were in an answer that did not arrive."""
        self._untold = 0
        """Messages that were missed, as push targets were not told yet."""
        self._last_mixed: Sequence[int] = ()
        """The messages of the last pull, if it had some for redelivery, and pulling acknowledges."""
        self.pulled_total = self.missed_total = 0
        """Since the server started: deliveries, and messages that pulls reported as missed."""
        self._limits = topic.context.limits
        self._memory = topic.context.memory
        self._changes = topic.context.changes
        topic.begin_reading(cursor)

    @property
    def expires_after(self) -> float:
        """Seconds for which it stands while no member is there."""
        named = self.options.expires_after
        if named is not None:
            return named
        return self._limits.subscription_expiry if self.group is None else self._limits.group_expiry

    @property
    def missed(self) -> int:
        """Messages lost since the last pull: freed while they were new, or dropped after their last attempt."""
        freed = 0 if self.topic.deleted else max(0, self.topic.start - self.cursor)
        return freed + self.dropped

    @property
    def unread(self) -> int:
        """Retained messages that are not acknowledged."""
        start = self.topic.start
        gone = self.in_flight.count_before(start) if self.position < start else 0
        return self.topic.end - max(self.cursor, start) + len(self.in_flight) - gone

    @property
    def backlog(self) -> int:
        """Retained messages from the first one that is not acknowledged on; `unread`, unless later ones are."""
        return self.topic.end - max(self.position, self.topic.start)

    def oldest_unread(self, now: float) -> float | None:
        """Seconds since the oldest retained message was published that is not acknowledged; None if there is none."""
        offset = max(self.position, self.topic.start)
        return self.topic.age(offset, now) if offset < self.topic.end else None

    @property
    def first_new(self) -> int:
        """The offset of the first retained message that is new, or of the next one to be published."""
        return max(self.cursor, self.topic.start)

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

    def ready_for(self, member: str, in_flight: int | None) -> bool:
        """Whether a pull of `member` has anything to answer with, if it may have `in_flight` messages at most."""
        return self.ready and self.allowed(member, 1, in_flight) > 0

    def allowed(self, member: str, count: int, in_flight: int | None) -> int:
        """How many of `count` messages `member` may get, if it may have `in_flight` at most: all if nothing will be."""
        if in_flight is None or not self.options.explicit:
            return count
        return max(0, min(count, in_flight - self.in_flight.count_of(member)))

    def record(self, wall: float) -> QueueRecord:
        """The queue as it is kept on disk; the wall clock is `wall` seconds ahead of the broker's."""
        return QueueRecord(
            number=self.number,
            topic=self.topic.number,
            group=self.group,
            **self.options._asdict(),
            cursor=self.cursor,
            started=self.started,
            dropped=self.dropped + self._untold,
            members=list(self.members),
            used_at=self.used_at + wall,
            left_at=None if self.left_at is None else self.left_at + wall,
            push_targets=self._push_targets(),
        )

    def _push_targets(self) -> dict[str, PushOptions]:
        """The options of each member's push target; few queues have any, and many have many members."""
        if not any(self.members.values()):
            return {}
        return {member: target.options for member, target in self.members.items() if target}

    def deliveries(self, offsets: Iterable[int]) -> list[Delivery | None]:
        """The delivery of each offset, None for a message that is not in flight."""
        return list(map(self.in_flight.get, offsets))

    def requeue_overdue(self, now: float, limit: int) -> Requeued:
        """Let messages overdue by `now` wait for redelivery, at a cost of `limit`."""
        cost = 0
        exhausted: list[tuple[int, Delivery]] = []
        members: dict[str, None] = {}
        while cost < limit and (delivery := self.in_flight.first_overdue(now)):
            if again := self._granted_again(delivery, now):
                cost += 1 + again // GRANTED_AS_ONE
                continue
            is_last = delivery.is_last(self.options.max_attempts)
            each = EXHAUSTED_COST if is_last else 1
            requeued, offsets = self.in_flight.requeue(delivery, max(1, (limit - cost) // each))
            cost += each * len(offsets)
            if delivery.problem == NOT_IN_TIME:
                self.topic.context.totals.overdue += len(offsets)
            members[delivery.member] = None
            self._changes.deliveries_changed(self, offsets)
            if is_last or min(offsets) < self.topic.start:
                for offset in offsets:
                    if offset < self.topic.start:
                        self.drop(offset)
                    elif is_last:
                        exhausted.append((offset, requeued))
        return Requeued(cost, exhausted, members)

    def _granted_again(self, delivery: Delivery, now: float) -> int:
        """Give overdue messages their whole deadline again if it passed before a standstill ended, or soon after.

        Returns how many.
        """
        resumed = self.topic.context.standstill.check(now)
        deadline = resumed + self.options.ack_deadline
        if deadline <= now or delivery.problem != NOT_IN_TIME:
            return 0
        if (delivery.due or NOW) > resumed + SOON_SECONDS or (delivery.since or NOW) > resumed:
            return 0
        offsets = self.in_flight.offsets_of(delivery)
        self.in_flight.postpone(offsets, deadline, NOT_IN_TIME)
        self._changes.deliveries_changed(self, offsets)
        return len(offsets)

    def pull(self, member: str, count: int, now: float, *, details: bool) -> Taken:
        """Hand over up to `count` messages within the limits of a pull, those that wait for redelivery first.

        There are no new ones while as many as allowed are in flight, or a few and memory is full.
        """
        count, room = min(count, self._limits.max_pull), self._limits.max_pull_bytes
        is_mixed = False
        offsets: Sequence[int] = []
        values: Sequence[bytes] = []
        if self.in_flight.redelivery:
            offsets, values = self._take_redeliveries(count, room)
            is_mixed = bool(offsets) and not self.options.explicit
            room -= sum(map(len, values))
        missed = self.missed
        self.count_missed()
        self.dropped = 0
        self.cursor = max(self.cursor, self.topic.start)
        count = min(count - len(values), self.topic.committed - self.cursor)
        count = min(count, self._room_for(count)) if count > 0 else 0
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
        if offsets:
            self._last_mixed = offsets if is_mixed else ()
        self.pulled_total += len(values)
        if values or missed:
            self._changes.queue_changed(self)
        told = self.topic.details(offsets) if details else None
        self._moved()
        return Taken(offsets, values, attempts, missed, told)

    def in_hand(self, member: str, up_to: int, size: int) -> Iterator[list[Claim]]:
        """Claims on all that `member` has now up to the offset `up_to`, `size` at a time."""
        return self.in_flight.claims_of(member, up_to, size)

    def acknowledge(self, member: str, claims: Claims) -> tuple[int, list[int]]:
        """Forget the messages validly claimed by `member`; returns how many, and the stale offsets."""
        valid, stale = self.in_flight.check(member, claims)
        self.in_flight.forget(*valid)
        self._changes.deliveries_changed(self, valid)
        self._moved()
        return len(valid), stale

    def reject(
        self, member: str, claims: Claims, due: float, *, attempted: bool, reason: str = REJECTED
    ) -> tuple[int, list[int]]:
        """Let the messages validly claimed by `member` be redelivered at `due`, unless acknowledged before.

        Unless `attempted`, this delivery does not count as an attempt. A dead letter has the `reason`. Returns how
        many, and the stale offsets.
        """
        return self._postpone(member, claims, due, reason if attempted else HANDED_BACK)

    def extend(self, member: str, claims: Claims, due: float) -> tuple[int, list[int]]:
        """Let `due` be the deadline of the messages validly claimed by `member`.

        Those that wait for redelivery are in hand again. Returns how many, and the stale offsets.
        """
        return self._postpone(member, claims, due, NOT_IN_TIME)

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

    def is_unsettled(self, offset: int) -> bool:
        """Whether there is a message at `offset` that is new or in flight."""
        is_there = self.topic.start <= offset < self.topic.committed
        return is_there and (offset >= self.cursor or self.in_flight.get(offset) is not None)

    def unsettled(self) -> tuple[list[int], range]:
        """The offsets in flight, in order, and those of new messages."""
        start = self.topic.start
        offsets = [offset for offset in sorted(self.in_flight.offsets()) if offset >= start]
        return offsets, range(max(self.cursor, start), self.topic.committed)

    def check_passing(self, offset: int) -> None:
        """Raise `BadRequest` if too many messages before `offset` are new, for `take_out`."""
        if offset - self.first_new > self._room:
            raise BadRequest(
                f"{offset - self.first_new} messages of topic '{self.topic.name}' before offset {offset} are new. "
                "Take those out first."
            )

    def take_out(self, offset: int) -> None:
        """Settle a message that is new or in flight to any member; new ones before it wait for redelivery."""
        if offset < self.cursor:
            self.discard(offset)
            return
        self.pass_over(offset)
        self.cursor = offset + 1
        self._moved()

    def pass_over(self, offset: int) -> None:
        """Let the new messages before `offset` wait for redelivery; 10,000 take some 5 ms."""
        passed = range(self.first_new, offset)
        self.dropped += min(self.first_new, offset) - self.cursor
        if passed:
            self.in_flight.restore(Delivery("", (0, None, None), PASSED_OVER, None, passed))
            self._changes.deliveries_changed(self, passed)
        self.cursor = offset
        self._changes.queue_changed(self)

    def postpone(self, offset: int, delivery: Delivery, due: float) -> None:
        """Let an exhausted message be overdue again at `due`."""
        self.in_flight.postpone([offset], due, delivery.problem)
        self._changes.deliveries_changed(self, [offset])

    def seek(self, cursor: int) -> None:
        """Continue at `cursor`, forwards or back; nothing is in flight then. Freed messages count as missed."""
        self.cursor = self.started = cursor
        self.generation = self.topic.context.numbers.next()
        self._last_mixed = ()
        self._changes.deliveries_changed(self, self.in_flight.offsets())
        self.in_flight.forget_all()
        self._changes.queue_changed(self)
        self._moved()

    def check_reader(self, token: int | None) -> None:
        """Raise `StreamReplaced` for the token of a stream, when another one resumed after it."""
        if token not in (None, self.reader_token):
            raise StreamReplaced("The reader of this stream came back, and follows the topic by another one.")

    def go_back(self, offset: int) -> None:
        """Redeliver from `offset` on, with automatic acknowledgement. Freed messages count as missed."""
        self.started = min(self.started, offset)
        self.generation = self.topic.context.numbers.next()
        self._last_mixed = ()
        self._set_back(offset)

    def return_last(self, offsets: Sequence[int]) -> bool:
        """Let the messages pulled last be handed over again, if they are `offsets`; returns whether they are.

        Messages in flight are not among those that were pulled for good: another member may have them.
        """
        if any(map(self.in_flight.get, offsets)):
            return False
        if self._last_mixed and offsets == self._last_mixed[-len(offsets) :]:
            self._last_mixed = self._last_mixed[: -len(offsets)]
            self._put_back(offsets)
            return True
        first = offsets[0]
        behind = self.cursor - first
        if first < self.started or len(offsets) != behind or any(map(ne, offsets, range(first, self.cursor))):
            return False
        self._set_back(first)
        return True

    def give_back(self, offsets: Sequence[int], missed: int) -> None:
        """Take back a pull that did not arrive, with automatic acknowledgement.

        Its messages are handed over again, even when others were pulled since; its `missed` ones are told again.
        """
        if offsets and not self.return_last(offsets):
            self._put_back(offsets)
        self._tell_again(missed)

    def leave(self, member: str, now: float) -> None:
        """End a membership: the messages in flight to the member are overdue now."""
        self.end_push(self.members.pop(member))
        self.in_flight.depart(member)
        if not self.members:
            self.left_at = now

    def end_push(self, target: PushTarget | None) -> None:
        """Messages that the push target of a member was not told of as missed are told with the next ones."""
        if target and target.missed:
            self._untold -= target.missed
            self._tell_again(target.missed)

    def owe(self, target: PushTarget, missed: int) -> None:
        """Change the number of missed messages that the push target of a member is to be told of, by `missed`."""
        target.missed += missed
        self._untold += missed
        self._changes.queue_changed(self)

    def count_missed(self) -> None:
        """Add the messages that are missed, and not counted yet, to the totals: each is counted once."""
        count = self.missed - self._counted
        self._counted = 0
        self.missed_total += count
        self.topic.missed += count
        self.topic.context.totals.missed += count

    def join(self, member: str) -> None:
        """Begin a membership."""
        self.members[member] = None
        self.left_at = None

    def close(self) -> None:
        """End the queue: it keeps no message of its topic from being freed any more."""
        self.in_flight.forget_all()
        self.topic.end_reading(self.position)

    def _postpone(self, member: str, claims: Claims, due: float, problem: str) -> tuple[int, list[int]]:
        valid, stale = self.in_flight.check(member, claims)
        self.in_flight.postpone(valid, due, problem)
        self._changes.deliveries_changed(self, valid)
        return len(valid), stale

    @property
    def _new(self) -> int:
        return max(0, self.topic.committed - self.first_new)

    @property
    def _room(self) -> int:
        """How many messages more may be in flight."""
        most = self._limits.max_unacknowledged
        if self.options.explicit and not self._memory.has_room(DELIVERY_SIZE + MESSAGE_SIZE):
            most = min(most, FEW_IN_FLIGHT)
        return most - len(self.in_flight)

    def _room_for(self, count: int) -> int:
        """How many of `count` messages more may be in flight, after making room for them in memory."""
        if not self.options.explicit:
            return self._room
        free = self._memory.make_room(DELIVERY_SIZE + count * MESSAGE_SIZE) - DELIVERY_SIZE
        few = FEW_IN_FLIGHT - len(self.in_flight)
        return min(self._limits.max_unacknowledged - len(self.in_flight), max(free // MESSAGE_SIZE, few))

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
        attempts = self.in_flight.hand_over(offsets, member, now, deadline)
        self._changes.deliveries_changed(self, offsets)
        return attempts

    def _tell_again(self, missed: int) -> None:
        """Messages that are counted as missed were not told."""
        self.dropped += missed
        self._counted += missed
        self._changes.queue_changed(self)

    def _put_back(self, offsets: Iterable[int]) -> None:
        """Let messages that were pulled for good wait for redelivery, before all others that wait.

        Those that were freed meanwhile count as missed.
        """
        start = self.topic.start
        passed = [offset for offset in offsets if offset < self.cursor and not self.in_flight.get(offset)]
        kept = [offset for offset in passed if offset >= start]
        self.dropped += len(passed) - len(kept)
        self._changes.queue_changed(self)
        if not kept:
            return
        self.in_flight.put_back(Delivery("", (0, None, None), PASSED_OVER, None, kept))
        self._changes.deliveries_changed(self, kept)
        position = min(self.position, min(kept))
        self.topic.move_reading(self.position, position)
        self.position = position

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
