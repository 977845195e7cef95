"""Publishing later: messages are scheduled, listed, cancelled, and published when they are due."""

from collections.abc import Callable, Sequence
from math import ceil

from peerbus.broker.context import Context
from peerbus.broker.dedup import ID_SIZE
from peerbus.broker.records import ScheduledRecord
from peerbus.broker.results import Cancelled, ScheduledPage
from peerbus.broker.scheduled import BEFORE_ALL, ENTRY_SIZE, Entry, Scheduled
from peerbus.broker.structures import Schedule
from peerbus.broker.topic import Topic
from peerbus.errors import UNKEPT, BadRequest, MemoryFull, PeerbusError, TooLarge, TooManyScheduled, TopicFull
from peerbus.wire.views import ScheduledView

MOST_SECONDS_AHEAD = 30 * 86_400
"""How far ahead messages may be scheduled."""
NO_ROOM_SECONDS = 1.0
"""The time after which due messages that found no room are tried again."""
MESSAGES_AS_AN_ENTRY = 100
"""Messages whose publishing costs as much as an entry does by itself."""


class Scheduling:
    """The scheduled messages of all topics.

    Those of a topic are published in the order of their due times. If the first finds no room in the topic or on the
    disk, the others wait, too. There is room for it in memory, since it was counted there from the beginning.
    """

    __slots__ = ("_alarms", "_context", "_of_topic", "_refresh", "_wall_clock", "last", "messages", "waiting")

    def __init__(self, context: Context, refresh: Callable[[Topic, float], None]) -> None:
        """`refresh` brings a topic up to date."""
        self._context = context
        self._refresh = refresh
        self._wall_clock = context.wall_clock
        self._of_topic: dict[Topic, Scheduled] = {}
        self._alarms: Schedule[Topic] = Schedule()
        """When the first entry of each topic is due, or tried again."""
        self.last = 0
        """The last number given to an entry."""
        self.messages = 0
        """Messages of all entries."""
        self.waiting = 0
        """Those of entries that are due and found no room."""

    def due(self, delay: float | None, at: float | None, now: float) -> int:
        """The due time in milliseconds of the broker's clock, for one of a delay and a time since 1970, in seconds.

        Raises `BadRequest` for a time that is not ahead, or too far.
        """
        if at is None:
            return ceil((now + (delay or 0.0)) * 1000)
        ahead = self._wall_clock.ahead
        wall_time = now + ahead / 1000
        if not wall_time < at <= wall_time + MOST_SECONDS_AHEAD:
            raise BadRequest(
                f"Expected a time later than now, which is {wall_time:.3f}, by at most "
                f"{MOST_SECONDS_AHEAD} seconds - at $.at"
            )
        return ceil(at * 1000) - ahead

    def schedule(
        self,
        topic: Topic,
        values: Sequence[bytes],
        size: int,
        due: int,
        publisher: str | None,
        message_id: str | None,
        now: float,
    ) -> Entry:
        """Keep `values`, counted as `size` bytes, to be published at `due`, in milliseconds of the broker's clock.

        Raises `TooManyScheduled`, `TopicFull`, `TooLarge`, `MemoryFull` and one of `UNKEPT`, and then keeps nothing.
        """
        count = len(values)
        self._check_limit(count)
        self._context.changes.check_room(size)
        topic.reserve(count)
        try:
            self._context.memory.reserve(size + ENTRY_SIZE + (ID_SIZE if message_id is not None else 0))
        except (MemoryFull, TooLarge):
            topic.release_reserved(count)
            raise
        self.last += 1
        entry = Entry(due, self.last, tuple(values), size, publisher, message_id)
        if message_id is not None:
            entry.serial = topic.remember(message_id, None, count, now, entry.number)
        self._context.changes.scheduled_added(self._record(topic, entry, now), size)
        self._add(topic, entry)
        return entry

    def restore(self, topic: Topic, record: ScheduledRecord, due: float, size: int, serial: int | None) -> None:
        """Schedule again what was scheduled before a restart, for a time of the broker's clock.

        `serial` is that of its message id, if remembered.
        """
        entry = Entry(
            round(due * 1000), record.number, record.values, size, record.publisher, record.message_id, serial
        )
        topic.restore_reserved(len(entry.values))
        self._context.memory.used += size + ENTRY_SIZE
        self._add(topic, entry)

    def cancel(self, topic: Topic, numbers: Sequence[int]) -> Cancelled:
        """Cancel the entries of those numbers."""
        scheduled = self._of_topic.get(topic)
        if scheduled is None:
            return Cancelled(0, list(dict.fromkeys(numbers)))
        before, waiting = scheduled.messages, scheduled.waiting
        cancelled = set(scheduled.cancel(numbers))
        count = before - scheduled.messages
        self.waiting -= waiting - scheduled.waiting
        if cancelled:
            self._context.changes.scheduled_removed(topic, cancelled)
            self._removed(topic, scheduled, count)
        return Cancelled(count, [number for number in dict.fromkeys(numbers) if number not in cancelled])

    def forget(self, topic: Topic) -> None:
        """Discard the messages of a topic that is deleted."""
        self._alarms.discard(topic)
        if scheduled := self._of_topic.pop(topic, None):
            self.messages -= scheduled.messages
            self.waiting -= scheduled.waiting
            scheduled.clear()

    def page(self, topic: Topic, limit: int, after: tuple[int, int] | None) -> ScheduledPage:
        """The first `limit` entries of a topic by due time that come after the place `after`."""
        scheduled = self._of_topic.get(topic)
        if scheduled is None:
            return ScheduledPage([], None)
        ahead = self._wall_clock.ahead
        found = scheduled.page(limit + 1, BEFORE_ALL if after is None else (after[0] - ahead, after[1]))
        shown = found[:limit]
        more = (shown[-1].due + ahead, shown[-1].number) if len(found) > limit else None
        return ScheduledPage([self._view(entry, ahead) for entry in shown], more)

    def next_due(self) -> float:
        """When `run` has something to do."""
        return self._alarms.next()

    def run(self, now: float, limit: int) -> None:
        """Publish entries that are due by `now`, at a cost of about `limit`."""
        while limit > 0 and (due := self._alarms.take(now, 1)):
            (topic,) = due
            scheduled = self._of_topic[topic]
            limit -= scheduled.release(limit)
            if scheduled.unreleased:
                self._alarms.set(topic, now)
            elif entry := scheduled.first():
                if entry.due_seconds <= now:
                    limit -= 1 + len(entry.values) // MESSAGES_AS_AN_ENTRY
                    self._publish(topic, scheduled, entry, now)
                else:
                    self._alarms.set(topic, entry.due_seconds)

    def _publish(self, topic: Topic, scheduled: Scheduled, entry: Entry, now: float) -> None:
        """Publish an entry that is due; without room for it, it is tried again later."""
        if topic.expires:
            self._refresh(topic, now)
        count = len(entry.values)
        try:
            offset = topic.append_reserved(entry.values, entry.size, now, entry.publisher)
        except (TopicFull, TooLarge, MemoryFull, *UNKEPT) as error:
            self._found_no_room(scheduled, entry, error)
            self._alarms.set(topic, now + NO_ROOM_SECONDS)
            return
        self.waiting -= count if entry.problem else 0
        scheduled.take(entry)
        self._context.changes.scheduled_removed(topic, [entry.number])
        self._removed(topic, scheduled, count)
        self._context.totals.published += count
        if entry.message_id is not None and entry.serial is not None:
            topic.remember_offset(entry.message_id, entry.serial, offset, count, entry.number)
        if topic.expires:
            self._refresh(topic, now)
        if following := scheduled.first():
            self._alarms.set(topic, following.due_seconds)

    def _found_no_room(self, scheduled: Scheduled, entry: Entry, error: PeerbusError) -> None:
        self.waiting -= scheduled.waiting
        scheduled.found_no_room(entry, str(error))
        self.waiting += scheduled.waiting

    def _check_limit(self, count: int) -> None:
        limit = self._context.limits.max_scheduled
        if count > limit:
            raise TooLarge(f"The server keeps at most {limit} messages to be published later, and never {count}.")
        if self.messages + count > limit:
            raise TooManyScheduled(
                f"{self.messages} messages are to be published later, of at most {limit}. "
                "Schedule again when some are published or cancelled."
            )

    def _add(self, topic: Topic, entry: Entry) -> None:
        scheduled = self._of_topic.get(topic)
        if scheduled is None:
            scheduled = self._of_topic[topic] = Scheduled(self._context.memory)
        scheduled.add(entry)
        self.messages += len(entry.values)
        if entry.due_seconds < self._alarms.time(topic):
            self._alarms.set(topic, entry.due_seconds)

    def _removed(self, topic: Topic, scheduled: Scheduled, count: int) -> None:
        """Entries with `count` messages of a topic were removed."""
        topic.release_reserved(count)
        self.messages -= count
        if not scheduled.messages:
            del self._of_topic[topic]
            self._alarms.discard(topic)

    def _record(self, topic: Topic, entry: Entry, now: float) -> ScheduledRecord:
        due, ahead = (entry.due + self._wall_clock.ahead) / 1000, entry.due_seconds - now
        return ScheduledRecord(topic.number, entry.number, due, entry.publisher, entry.message_id, entry.values, ahead)

    def _view(self, entry: Entry, ahead: int) -> ScheduledView:
        return ScheduledView(
            id=entry.number,
            at=(entry.due + ahead) / 1000,
            count=len(entry.values),
            bytes=entry.value_bytes,
            peer_id=entry.publisher,
            message_id=entry.message_id,
            problem=entry.problem,
        )
