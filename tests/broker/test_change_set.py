"""The room on disk, and the changes that are written."""

from collections.abc import Callable

import pytest

from peerbus.broker import Broker, Limits
from peerbus.broker.change_set import ChangeSet
from peerbus.errors import MemoryFull, StorageFull, TopicFull
from tests.support.harness import Clock

PLENTY = 1 << 40
VALUE = b"x" * 936
SIZE = 1000
"""What `VALUE` is counted as."""


class Looks:
    """Counts how often the change set asks to be taken, or the disk to be measured."""

    def __init__(self) -> None:
        self.wanted = 0

    def __call__(self) -> None:
        self.wanted += 1


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
def change_set(clock: Clock, looks: Looks) -> ChangeSet:
    """A change set with room."""
    change_set = ChangeSet(clock, clock, looks, max_ahead=10 * SIZE)
    change_set.measured(0, PLENTY)
    return change_set


@pytest.fixture
def broker(change_set: ChangeSet, clock: Clock) -> Broker:
    """A broker that reports to `change_set`, with `a` subscribed to `news`; all that is written."""
    broker = Broker(Limits(history=0), clock, journal=change_set)
    broker.create_topic("news", max_messages=2)
    broker.register_peer("a", address="http://a:1", lease_seconds=60.0)
    broker.subscribe("a", "news", explicit=True, ack_deadline=10.0)
    write(broker, change_set)
    return broker


def write(broker: Broker, change_set: ChangeSet, room: int = PLENTY) -> None:
    """Take and commit the changes, as the journal does; the disk then has `room`."""
    broker.written(broker.locked(change_set.take).records())
    change_set.written()
    change_set.measured(0, room)


KNOWN: dict[str, Callable[[Broker], object]] = {
    "create": lambda broker: broker.create_topic("news", 2),
    "register": lambda broker: broker.register_peer("a", address="http://a:1", lease_seconds=60.0),
    "subscribe": lambda broker: broker.subscribe("a", "news", explicit=True, ack_deadline=10.0),
    "publish": lambda broker: broker.publish("news", [VALUE], "a", message_id="x"),
    "schedule": lambda broker: broker.schedule("news", [VALUE], "a", message_id="x", delay=1.0),
}
NEW: dict[str, Callable[[Broker], object]] = {
    "create": lambda broker: broker.create_topic("sport"),
    "register": lambda broker: broker.register_peer("b"),
    "subscribe": lambda broker: broker.subscribe("a", "other"),
    "publish": lambda broker: broker.publish("news", [VALUE], "a", message_id="y"),
    "schedule": lambda broker: broker.schedule("news", [VALUE], "a", message_id="y", delay=1.0),
}
FREEING: dict[str, Callable[[Broker], object]] = {
    "pull": lambda broker: broker.pull("a", "news"),
    "acknowledge": lambda broker: broker.acknowledge("a", "news", 0),
    "reject": lambda broker: broker.reject("a", "news", 0),
    "unsubscribe": lambda broker: broker.unsubscribe("a", "news"),
    "unregister": lambda broker: broker.unregister_peer("a"),
    "delete": lambda broker: broker.delete_topic("news"),
    "cancel": lambda broker: broker.cancel_scheduled("news", [1]),
    "move": lambda broker: broker.subscribe("a", "news", "earliest"),
}


@pytest.mark.parametrize("call", KNOWN.values(), ids=KNOWN)
def test_what_changes_nothing_needs_no_room_and_is_not_written(
    broker: Broker, change_set: ChangeSet, call: Callable[[Broker], object]
) -> None:
    broker.publish("news", [VALUE], message_id="x")
    write(broker, change_set, room=0)
    call(broker)
    assert not broker.locked(change_set.take).records()


@pytest.mark.parametrize("call", NEW.values(), ids=NEW)
def test_what_is_new_needs_room(broker: Broker, change_set: ChangeSet, call: Callable[[Broker], object]) -> None:
    broker.create_topic("other")
    write(broker, change_set, room=0)
    with pytest.raises(StorageFull):
        call(broker)
    assert not broker.locked(change_set.take).records()


@pytest.mark.parametrize("call", FREEING.values(), ids=FREEING)
def test_what_frees_needs_no_room(broker: Broker, change_set: ChangeSet, call: Callable[[Broker], object]) -> None:
    broker.publish("news", [VALUE])
    broker.schedule("news", [VALUE], delay=1.0)
    write(broker, change_set)
    broker.pull("a", "news")
    write(broker, change_set, room=0)
    call(broker)


def test_room_that_was_taken_is_gone_until_the_disk_is_looked_at(broker: Broker, change_set: ChangeSet) -> None:
    write(broker, change_set, room=2 * SIZE)
    broker.publish("news", [VALUE])
    with pytest.raises(StorageFull):
        broker.publish("news", [VALUE])
    changes = broker.locked(change_set.take).records()
    with pytest.raises(StorageFull):
        broker.publish("news", [VALUE])
    broker.written(changes)
    change_set.written()
    change_set.measured(SIZE, 2 * SIZE)
    broker.publish("news", [VALUE])


def test_what_is_published_while_the_disk_is_written_counts_beyond_what_is_measured_then(
    broker: Broker, change_set: ChangeSet
) -> None:
    changes = broker.locked(change_set.take).records()
    broker.publish("news", [VALUE])
    broker.written(changes)
    change_set.written()
    change_set.measured(0, 2 * SIZE)
    with pytest.raises(StorageFull):
        broker.publish("news", [VALUE])


def test_a_refused_message_takes_no_room(broker: Broker, change_set: ChangeSet) -> None:
    broker.publish("news", [VALUE, VALUE])
    write(broker, change_set, room=2 * SIZE)
    for _ in range(10):
        with pytest.raises(TopicFull):
            broker.publish("news", [VALUE])
    broker.create_topic("other")
    broker.publish("other", [VALUE])


def test_who_finds_no_room_has_the_disk_looked_at(broker: Broker, change_set: ChangeSet, looks: Looks) -> None:
    write(broker, change_set, room=SIZE // 2)
    looks.wanted = 0
    with pytest.raises(StorageFull):
        broker.publish("news", [VALUE])
    assert looks.wanted == 1


def test_a_dead_letter_for_which_there_is_no_room_stays_where_it_is(
    broker: Broker, change_set: ChangeSet, clock: Clock
) -> None:
    broker.subscribe("a", "news", max_attempts=1, dead_letter_topic="dead")
    broker.publish("news", [VALUE])
    write(broker, change_set)
    broker.pull("a", "news")
    write(broker, change_set, room=0)
    clock.advance(10.0)
    broker.run_due()
    assert broker.stats().dead_lettered == 0
    write(broker, change_set)
    clock.advance(10.0)
    broker.run_due()
    assert broker.stats().dead_lettered == 1


def test_due_messages_for_which_there_is_no_room_stay_scheduled_and_are_tried_again(
    broker: Broker, change_set: ChangeSet, clock: Clock
) -> None:
    for _ in range(2):
        broker.schedule("news", [VALUE], delay=1.0)
    write(broker, change_set, room=0)
    clock.advance(1.0)
    assert broker.run_due().next_in == 1.0
    assert not broker.locked(change_set.take).records()
    write(broker, change_set)
    clock.advance(0.5)
    broker.run_due()
    assert broker.stats().published == 0
    clock.advance(0.5)
    broker.run_due()
    assert broker.stats().published == 2


def test_publishing_what_was_scheduled_is_one_change(broker: Broker, change_set: ChangeSet, clock: Clock) -> None:
    number = broker.schedule("news", [VALUE], delay=1.0).scheduled
    scheduled = broker.locked(change_set.take).records()
    ((key, record),) = scheduled.scheduled.items()
    assert (key[1], scheduled.last_scheduled) == (number, number)
    assert record is not None
    clock.advance(1.0)
    broker.run_due()
    published = broker.locked(change_set.take).records()
    assert published.scheduled == {key: None}
    assert [list(segment.values) for segment in published.segments] == [list(record.values)]


def test_what_waits_to_be_written_is_bounded(broker: Broker, change_set: ChangeSet) -> None:
    """Though nobody will read it: there is no subscriber, and no history."""
    broker.create_topic("other")
    for _ in range(10):
        broker.publish("other", [VALUE])
    with pytest.raises(MemoryFull, match="written"):
        broker.publish("other", [VALUE])
    assert broker.stats().memory_bytes == 0
    write(broker, change_set)
    broker.publish("other", [VALUE] * 11)
