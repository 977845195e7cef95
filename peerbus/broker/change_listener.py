"""The interface by which the broker reports its changes to a journal."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from peerbus.broker.records import PeerRecord, QueueRecord, ScheduledRecord, TopicRecord
from peerbus.errors import PeerbusError


class DeliveryState(Protocol):
    """A delivery, as far as it is kept: none of this changes once it was made."""

    member: str
    attempt: int
    problem: str
    due: float | None
    first: float | None
    since: float | None


class TopicState(Protocol):
    """A topic, as far as it is kept."""

    number: int

    def record(self) -> TopicRecord:
        """Its record as it is now."""
        ...


class QueueState(Protocol):
    """A message queue, as far as it is kept."""

    number: int

    def record(self, wall: float, /) -> QueueRecord:
        """Its record as it is now; the wall clock is `wall` seconds ahead of the broker's."""
        ...

    def deliveries(self, offsets: Iterable[int]) -> Sequence[DeliveryState | None]:
        """The delivery of each offset, None for a message that is not in flight."""
        ...


class PeerState(Protocol):
    """A peer, as far as it is kept."""

    peer_id: str

    def record(self, wall: float, /) -> PeerRecord:
        """Its record as it is now; the wall clock is `wall` seconds ahead of the broker's."""
        ...


class ChangeListener(Protocol):
    """Receives each change of the broker's state, under the broker's lock; it must not block."""

    commits_at_once: bool
    """Whether messages may be delivered as soon as they are appended; if not, `Broker.written` releases them."""

    stored_bytes: int
    """Bytes taken up on disk."""

    refusal: PeerbusError | None
    """The error for new things while none is taken."""
    is_stuck: bool
    """Whether changes wait because they cannot be written."""

    def check_room(self, size: int, /) -> None:
        """Raise `MemoryFull` or an error of `errors.UNKEPT` when something new of `size` bytes cannot be kept."""

    def appended(
        self, topic: TopicState, offset: int, values: Sequence[bytes], size: int, now: float, publisher: str | None, /
    ) -> None:
        """Messages, counted as `size` bytes, were appended to a topic from `offset` on; its record changed."""

    def message_id_added(
        self,
        topic: TopicState,
        serial: int,
        message_id: str,
        offset: int | None,
        count: int,
        now: float,
        scheduled: int | None,
        /,
    ) -> None:
        """A topic remembers another message id, or an offset for it; its record changed."""

    def scheduled_added(self, record: ScheduledRecord, size: int, /) -> None:
        """Messages, counted as `size` bytes, are to be published later."""

    def scheduled_removed(self, topic: TopicState, numbers: Iterable[int], /) -> None:
        """Messages that were scheduled are published now, or cancelled."""

    def topic_created(self, topic: TopicState, /) -> None:
        """A topic was created."""

    def topic_changed(self, topic: TopicState, /) -> None:
        """The record of a topic changed."""

    def topic_removed(self, topic: TopicState, /) -> None:
        """A topic is gone. Its queues were removed before."""

    def peer_changed(self, peer: PeerState, /) -> None:
        """A peer registered, or its record changed."""

    def peer_removed(self, peer: PeerState, /) -> None:
        """A peer is gone."""

    def queue_changed(self, queue: QueueState, /) -> None:
        """A queue was made, or its record changed."""

    def queue_removed(self, queue: QueueState, /) -> None:
        """A queue is gone, and its deliveries with it."""

    def deliveries_changed(self, queue: QueueState, offsets: Iterable[int], /) -> None:
        """Messages of a queue were handed over, rejected, acknowledged or dropped."""


class IgnoreChanges:
    """The listener of a broker that keeps its state in memory alone."""

    commits_at_once = True
    stored_bytes = 0
    refusal: PeerbusError | None = None
    is_stuck = False

    def _ignore(self, *_: object) -> None:
        pass

    check_room = appended = message_id_added = scheduled_added = scheduled_removed = _ignore
    topic_created = topic_changed = topic_removed = peer_changed = peer_removed = _ignore
    queue_changed = queue_removed = deliveries_changed = _ignore
