"""A named log of messages, as the message queues read it."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from peerbus.broker.context import Context
from peerbus.broker.dedup import ID_SIZE
from peerbus.broker.log import Log
from peerbus.broker.publish_log import NO_PEERS, NO_PUBLISHES, PublishLog
from peerbus.broker.records import DELETED, TopicRecord
from peerbus.broker.results import Details
from peerbus.broker.structures import NEVER, NO_READERS, LowWaterMark
from peerbus.errors import BadRequest, TooLarge, TopicFull
from peerbus.wire.views import TopicView

Overflow = Literal["reject", "drop_oldest"]
From = Literal["latest", "earliest"] | int
"""Where a message queue begins: with the next message, the oldest retained, or at an offset."""


class NamedOptions(NamedTuple):
    """The options of a topic that a call names; None for the others."""

    max_messages: int | None = None
    overflow: Overflow | None = None
    max_age: float | None = None
    history: int | None = None


class TopicOptions(NamedTuple):
    """The options of a topic."""

    max_messages: int
    overflow: Overflow
    max_age: float | None
    """Seconds after which a message is dropped."""
    history: int | None = None
    """Messages kept for replay after all queues have them acknowledged; None for the server's limit."""


class Topic(Log):
    """An append-only log shared by message queues, which hold positions in it.

    It knows the positions, not the queues: publishing costs the same for any number of them. With a hundred thousand
    topics, the cost of a publish is the memory it touches, which is in no cache: the topic, its list of values and
    little else. With a million topics, most have no messages: what only messages, message ids or queues need is made
    with the first of them.
    """

    __slots__ = (
        "_changes",
        "_commits_at_once",
        "_has_history",
        "_history",
        "_max_unread",
        "_memory",
        "_on_readable",
        "_positions",
        "_publishes",
        "_slowest",
        "committed",
        "context",
        "creator",
        "dead_lettered",
        "deleted",
        "discarded",
        "dropped",
        "expires",
        "message_ids",
        "missed",
        "name",
        "number",
        "options",
        "redelivered",
        "refused",
        "scheduled",
    )

    def __init__(self, name: str, options: TopicOptions, context: Context, number: int) -> None:
        super().__init__()
        self.name = name
        self.creator: str | None = None
        """The peer that created it, if one did."""
        self.number = number
        self.context = context
        self.options = options
        self.committed = 0
        """The offset before which messages may be delivered."""
        self.deleted = False
        """A deleted topic lives on until its subscribers have lost their subscriptions, for a moment."""
        self.message_ids = context.no_ids
        self.dropped = 0
        """Messages dropped by overflow or age while a queue had yet to have them acknowledged."""
        self.scheduled = 0
        """Messages that are published later, for which room is kept."""
        self._max_unread = options.max_messages
        """The limit of unread messages: that of the topic, less the messages scheduled. Not so in `append_reserved`."""
        self._positions = NO_READERS
        self._slowest: int | None = None
        """The lowest position of all message queues."""
        self.redelivered = self.dead_lettered = self.refused = self.missed = self.discarded = 0
        """Since the server started: messages redelivered or dead-lettered by its queues, publishes without room,
        messages that subscribers missed, and those unread in queues that ended."""
        self._memory = context.memory
        self._changes = context.changes
        self._commits_at_once = context.changes.commits_at_once
        self._on_readable = context.on_readable
        history = context.limits.history if options.history is None else options.history
        self._history = min(history, options.max_messages)
        self._has_history = False
        self._publishes = NO_PUBLISHES
        self.expires = options.max_age is not None
        """Whether time alone changes it: messages grow too old, or message ids are forgotten."""

    @property
    def unread(self) -> int:
        """Messages that at least one queue has yet to have acknowledged."""
        return self.end - self._unread_from()

    def append(
        self,
        values: Sequence[bytes],
        size: int,
        now: float,
        publisher: str | None = None,
        beside: int = 0,
        *,
        is_counted: bool = False,
    ) -> int:
        """Add `values`, counted as `size` bytes, all or none, and return the offset of the first.

        As many bytes as are needed `beside` them are reserved, too.
        Raises `TopicFull` or `TooLarge` by the topic's overflow policy, also if dropping all others would not make
        room beside those scheduled, `MemoryFull` unless the memory `is_counted` already, and one of `UNKEPT`.
        """
        excess = 0
        if self._slowest is not None:
            excess = self.end + len(values) - max(self._slowest, self.start) - self._max_unread
        if excess > 0 and (self.options.overflow == "reject" or (self.scheduled and len(values) > self._max_unread)):
            raise self._overflow(len(values))
        self._changes.check_room(size)
        if not is_counted:
            self._memory.reserve(size + beside)
        offset = self.extend(values)
        publishes = self._publishes
        if now >= publishes.until or publisher != publishes.publisher:
            if publishes is NO_PUBLISHES:
                publishes = self._publishes = PublishLog()
            publishes.append(offset, now, publisher)
        if excess > 0:
            self._drop(self.end - self._max_unread)
        if excess > 0 or self._slowest is None:
            self.free_pulled()
        self._changes.appended(self, offset, values, size, now, publisher)
        if self._commits_at_once:
            self.commit(self.end)
        return offset

    def reserve(self, count: int) -> None:
        """Keep room for `count` messages that are published later; raises `TopicFull` or `TooLarge`.

        The oldest messages are not dropped for them.
        """
        if self.unread + count > self._max_unread:
            raise self._overflow(count)
        self.restore_reserved(count)

    def restore_reserved(self, count: int) -> None:
        """Keep room for `count` messages that were scheduled before a restart."""
        self.scheduled += count
        self._max_unread -= count

    def release_reserved(self, count: int) -> None:
        """Keep room for `count` messages no more."""
        self.scheduled -= count
        self._max_unread += count

    def append_reserved(self, values: Sequence[bytes], size: int, now: float, publisher: str | None) -> int:
        """Append messages for which room was kept, and return the offset of the first; raises the errors of `append`.

        Room that is kept for others is there for these, too: no more messages are kept with them than before. Their
        memory is counted already.
        """
        max_unread, self._max_unread = self._max_unread, self.options.max_messages
        try:
            return self.append(values, size, now, publisher, is_counted=True)
        finally:
            self._max_unread = max_unread

    def begin_reading(self, position: int) -> None:
        """A message queue reads from `position` on."""
        if self._positions is NO_READERS:
            self._positions = LowWaterMark()
        self._positions.add(position)
        self._reading_changed()

    def move_reading(self, position: int, to: int) -> None:
        """A message queue moves from `position` to `to`, in either direction."""
        self._positions.move(position, to)
        self._reading_changed()

    def end_reading(self, position: int) -> None:
        """The message queue at `position` is closed."""
        self._positions.remove(position)
        self._reading_changed()

    def restore(self, values: Sequence[bytes], published_at: float, publisher: str | None) -> None:
        """Add messages that were appended before a restart."""
        if self._publishes is NO_PUBLISHES:
            self._publishes = PublishLog()
        self._publishes.restore(self.extend(values), published_at, publisher)

    def restore_id(
        self, message_id: str, offset: int | None, count: int, scheduled: int | None, seen_at: float
    ) -> None:
        """Remember a message id that was seen before a restart."""
        self._memory.used += ID_SIZE
        self._add_id(message_id, offset, count, scheduled, seen_at)

    def commit(self, end: int) -> None:
        """Let the messages before `end` be delivered."""
        self.committed = end
        self._on_readable(self)

    def remember(
        self, message_id: str, offset: int | None, count: int, now: float, scheduled: int | None = None
    ) -> int:
        """Remember that `count` messages from `offset` on were published, or `scheduled`, with `message_id`.

        Memory for it is reserved. Returns the serial of the message id.
        """
        serial = self._add_id(message_id, offset, count, scheduled, now)
        self._changes.message_id_added(self, serial, message_id, offset, count, now, scheduled)
        return serial

    def remember_offset(self, message_id: str, serial: int, offset: int, count: int, scheduled: int) -> None:
        """Remember the offset of messages that were scheduled with `message_id`, unless it is forgotten."""
        seen_at = self.message_ids.published(message_id, scheduled, offset)
        if seen_at is not None:
            self._changes.message_id_added(self, serial, message_id, offset, count, seen_at, scheduled)

    def expire(self, now: float) -> None:
        """Drop the messages that are older than the topic's `max_age`, and the message ids out of their window."""
        if self.message_ids.expire(now):
            self._changes.topic_changed(self)
            if not self.message_ids:
                self._memory.keep_ids(self, NEVER)
        max_age = self.options.max_age
        self.expires = max_age is not None or bool(self.message_ids)
        if max_age is not None and self._next_age() <= now:
            self._drop(self._publishes.expired(self.start, self.end, max_age, now))
            self.free_pulled()
            self._on_readable(self)

    def next_expiry(self) -> float:
        """When the next message grows too old, or the next message id is forgotten."""
        return min(self._next_age(), self.message_ids.next_expiry())

    def position(self, start: From) -> int:
        """The offset that `start` means now; an offset beyond the end means the next message."""
        if start == "latest":
            return self.end
        if start == "earliest":
            return self.start
        return min(start, self.end)

    def latest(self, count: int, max_bytes: int) -> tuple[int, Sequence[bytes]]:
        """Up to `count` of the last messages that may be delivered, and the offset of the first of them.

        Up to `max_bytes` together, but at least one if there is one.
        """
        values = self.read_back(self.committed, count, max_bytes)
        return self.committed - len(values), values

    def following(self, offset: int, count: int, max_bytes: int) -> tuple[int, Sequence[bytes]]:
        """Up to `count` of the messages from `offset` on, as `latest` gives the last; freed ones are left out.

        Raises `BadRequest` for an offset that has no message yet.
        """
        if offset >= self.committed:
            raise BadRequest(f"Topic '{self.name}' has no messages from offset {self.committed} on yet - at $.from")
        first = max(offset, self.start)
        return first, self.read(first, min(count, self.committed - first), max_bytes)

    def details(self, offsets: Iterable[int]) -> Details:
        """The publishers and times of retained messages."""
        publishes = list(self._publishes.publishes(offsets))
        ahead = self.context.wall_clock.ahead
        return Details(
            [None if publish.publisher in NO_PEERS else publish.publisher for publish in publishes],
            [(publish.milliseconds + ahead) / 1000 for publish in publishes],
        )

    def publisher(self, offset: int) -> str | None:
        """The publisher of a retained message, which may be `SERVER` or `EARLIER`."""
        (publish,) = self._publishes.publishes([offset])
        return publish.publisher

    def age(self, offset: int, now: float) -> float:
        """Seconds since a retained message was published."""
        (publish,) = self._publishes.publishes([offset])
        return now - publish.milliseconds / 1000

    def offset_at(self, time: float) -> int:
        """The first retained message published at or after a time, in seconds since 1970, or the next message."""
        milliseconds = round(time * 1000) - self.context.wall_clock.ahead
        return max(self.start, self._publishes.first_since(milliseconds, self.end))

    def view(self, subscribers: int, now: float) -> TopicView:
        """The topic as it is `now`, with the number of its subscribers."""
        unread_from = self._unread_from()
        return TopicView(
            topic=self.name,
            max_messages=self.options.max_messages,
            overflow=self.options.overflow,
            max_age=self.options.max_age,
            history=self._history,
            first_offset=self.start,
            next_offset=self.end,
            unread=self.unread,
            dropped=self.dropped,
            subscribers=subscribers,
            redelivered=self.redelivered,
            dead_lettered=self.dead_lettered,
            refused=self.refused,
            missed=self.missed,
            discarded=self.discarded,
            oldest_unread_seconds=None if unread_from == self.end else self.age(unread_from, now),
            scheduled=self.scheduled,
        )

    def record(self) -> TopicRecord:
        """The topic as it is kept on disk."""
        return TopicRecord(
            self.number,
            self.name,
            self.options.max_messages,
            DELETED if self.deleted else self.options.overflow,
            self.options.max_age,
            self.start,
            self.end,
            self.dropped,
            self.message_ids.first,
            self.creator,
            self.options.history,
        )

    def delete(self) -> None:
        """Free all messages; `release` releases the values and message ids in slices."""
        self.deleted = True
        self.expires = False
        self._has_history = False
        self._memory.keep_history(self, False)
        self._memory.keep_ids(self, NEVER)
        self._changes.topic_changed(self)
        self._free(self.end)
        self.release(self._memory.released_at_once)
        if self.unreleased or self.message_ids:
            self._memory.release_later(self)

    def free_pulled(self) -> None:
        """Free messages that every queue has pulled, except the history."""
        pulled = self._pulled()
        if pulled - self._history > self.start:
            self._free(pulled - self._history)
        if (pulled > self.start) != self._has_history:
            self._has_history = not self._has_history
            self._memory.keep_history(self, self._has_history)

    def give_up_history(self) -> None:
        """Free messages that every queue has pulled."""
        self._has_history = False
        self._free(self._pulled())

    def give_up_ids(self, limit: int) -> float:
        """Forget up to `limit` of the oldest message ids; returns when the oldest of the others expires."""
        self.context.totals.forgotten_ids += self.message_ids.forget(limit)
        self._changes.topic_changed(self)
        return self.message_ids.next_expiry()

    def next_id_expiry(self) -> float:
        """When the oldest message id expires."""
        return self.message_ids.next_expiry()

    def release(self, limit: int) -> int:
        """Release up to `limit` freed values, then message ids of a deleted topic; returns their number."""
        released = min(limit, self.unreleased)
        self._release_messages(released)
        if self.deleted and released < limit:
            released += self.message_ids.forget(limit - released)
        return released

    def _add_id(self, message_id: str, offset: int | None, count: int, scheduled: int | None, seen_at: float) -> int:
        self.expires = True
        is_first = not self.message_ids
        if self.message_ids is self.context.no_ids:
            self.message_ids = self.context.no_ids.begin()
        serial = self.message_ids.add(message_id, offset, count, scheduled, seen_at)
        if is_first:
            self._memory.keep_ids(self, self.message_ids.next_expiry())
        return serial

    def _free(self, start: int) -> None:
        """Free messages before `start`; if there are more than a slice, their memory is released later."""
        if not self.free(start):
            return
        self._changes.topic_changed(self)
        self._release_messages(self._memory.released_at_once)
        if self._released != self.start:
            self._memory.release_later(self)

    def _release_messages(self, limit: int) -> None:
        base = self._base
        self._memory.give_back(self.release_values(limit))
        if self._base != base:
            self._publishes.free(self._base)

    def _reading_changed(self) -> None:
        if self._positions.lowest != self._slowest:
            self._slowest = self._positions.lowest
            self.free_pulled()

    def _next_age(self) -> float:
        if self.options.max_age is None or self.start == self.end:
            return NEVER
        return self._publishes.expiry(self.start, self.options.max_age)

    def _pulled(self) -> int:
        return self.end if self._slowest is None else self._slowest

    def _unread_from(self) -> int:
        return max(self._pulled(), self.start)

    def _drop(self, start: int) -> None:
        self.dropped += max(0, start - self._unread_from())
        self._free(start)

    def _overflow(self, count: int) -> TopicFull | TooLarge:
        limit = self.options.max_messages
        if count > limit:
            return TooLarge(
                f"A batch of {count} messages never fits into topic '{self.name}', which holds at most {limit} "
                "waiting for subscribers. Publish smaller batches."
            )
        scheduled = f" and {self.scheduled} to be published later" if self.scheduled else ""
        return TopicFull(
            f"Topic '{self.name}' holds {self.unread} messages waiting for subscribers{scheduled}, of at most {limit}. "
            "Publish again when the slowest subscriber has pulled."
        )
