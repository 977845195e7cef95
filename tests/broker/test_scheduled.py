"""Messages that are published later."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peerbus.broker import Broker, Limits
from peerbus.broker.log import size_of
from peerbus.broker.scheduled import ENTRY_SIZE
from peerbus.errors import (
    BadRequest,
    MemoryFull,
    PeerbusError,
    PeerNotFound,
    TooLarge,
    TooManyScheduled,
    TopicFull,
    TopicNotFound,
)
from peerbus.future import Future
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from tests.broker.kept import writing_each_call
from tests.support.costs import steps
from tests.support.harness import Clock

MakeBroker = Callable[..., Broker]
DAY = 86_400.0


def with_topic(broker: Broker, **options: Any) -> Broker:
    """`a` is subscribed to `news`."""
    broker.create_topic("news", **options)
    broker.register_peer("a")
    broker.subscribe("a", "news")
    return broker


@pytest.fixture
def broker(make_broker: MakeBroker) -> Broker:
    return with_topic(make_broker(history=0))


def schedule(broker: Broker, *values: str, delay: float = 10.0, **named: Any) -> int:
    """Schedule messages in `news`, and return their number."""
    done = broker.schedule("news", [value.encode() for value in values], delay=delay, **named)
    assert (done.offset, done.count, done.duplicate) == (None, len(values), False)
    assert done.scheduled is not None
    return done.scheduled


def run_due(broker: Broker) -> None:
    while broker.run_due().next_in == 0.0:
        pass


def pulled(broker: Broker) -> list[str]:
    return [bytes(value).decode() for value in broker.pull("a", "news").values]


def numbers(broker: Broker, limit: int = 1000) -> list[int]:
    return [entry.id for entry in broker.list_scheduled("news", limit).entries]


def topic_figures(broker: Broker) -> tuple[int, int]:
    (topic,) = broker.list_topics(1)
    return topic.unread, topic.scheduled


def test_messages_are_published_when_they_are_due_and_not_before(broker: Broker, clock: Clock) -> None:
    schedule(broker, "x", "y")
    clock.advance(9.999)
    run_due(broker)
    assert pulled(broker) == []
    clock.advance(0.001)
    run_due(broker)
    assert pulled(broker) == ["x", "y"]
    assert (broker.stats().published, broker.stats().scheduled) == (2, 0)


def test_they_come_in_the_order_of_their_times_and_then_of_scheduling(broker: Broker, clock: Clock) -> None:
    for value, delay in (("third", 5.0), ("fourth", 5.0), ("first", 2.0), ("fifth", 9.0), ("second", 2.0)):
        schedule(broker, value, delay=delay)
    broker.publish("news", [b"now"])
    clock.advance(20.0)
    run_due(broker)
    assert pulled(broker) == ["now", "first", "second", "third", "fourth", "fifth"]


def test_a_waiting_pull_gets_what_falls_due(broker: Broker, clock: Clock) -> None:
    waiting = broker.pull_waiting("a", "news", 10, 60.0)
    assert isinstance(waiting, Future)
    schedule(broker, "x", delay=1.0)
    assert broker.run_due().next_in == 1.0
    clock.advance(1.0)
    run_due(broker)
    run_due(broker)
    assert waiting.done
    assert list(waiting.result().values) == [b"x"]


def test_who_has_to_call_sooner_is_told(clock: Clock) -> None:
    broker = with_topic(Broker(clock=clock))
    broker.run_due()
    called: list[None] = []
    broker.on_due = lambda: called.append(None)
    schedule(broker, "x", delay=10.0)
    schedule(broker, "y", delay=20.0)
    assert len(called) == 1
    schedule(broker, "z", delay=5.0)
    assert len(called) == 2


@pytest.mark.parametrize("at", [0.0, 1e9 - 1, 1e9, 1e9 + 30 * DAY + 1, 1e300])
def test_a_time_that_is_past_or_too_far_is_refused(clock: Clock, at: float) -> None:
    broker = with_topic(Broker(clock=clock, wall_clock=lambda: 1e9))
    with pytest.raises(BadRequest, match=r"later than now, which is 1000000000\.000, .* - at \$\.at$"):
        broker.schedule("news", [b"1"], at=at)
    assert broker.schedule("news", [b"1"], at=1e9 + 30 * DAY).scheduled == 1
    assert broker.schedule("news", [b"1"], at=1e9 + 0.001).scheduled == 2


def test_a_wall_clock_that_is_set_back_changes_nothing(clock: Clock) -> None:
    wall = [1e9]
    broker = with_topic(Broker(clock=clock, wall_clock=lambda: wall[0] + clock()))
    broker.schedule("news", [b'"before"'], at=1e9 + clock() + 100.0)
    wall[0] -= 3600.0
    broker.schedule("news", [b'"after"'], at=wall[0] + clock() + 50.0)
    clock.advance(50.0)
    run_due(broker)
    assert pulled(broker) == ['"after"']
    clock.advance(50.0)
    run_due(broker)
    assert pulled(broker) == ['"before"']


def test_equal_times_stay_in_order_though_the_clocks_are_read_one_after_the_other(clock: Clock) -> None:
    jitter = iter([0.0004, 0.0, 0.0007, -0.0006] * 100)
    broker = with_topic(Broker(clock=clock, wall_clock=lambda: 1e9 + clock() + next(jitter)))
    at = 1e9 + clock() + 10.0
    for number in range(50):
        broker.schedule("news", [b"%d" % number], at=at)
    clock.advance(11.0)
    run_due(broker)
    assert pulled(broker) == [str(number) for number in range(50)]


# Limits


def test_they_count_against_the_topics_limit(make_broker: MakeBroker, clock: Clock) -> None:
    broker = with_topic(make_broker(), max_messages=4)
    schedule(broker, "1", "2")
    broker.publish("news", [b"3"])
    for call in (broker.publish, lambda topic, values: broker.schedule(topic, values, delay=1.0)):
        with pytest.raises(TopicFull, match="1 messages waiting for subscribers and 2 to be published later, of at"):
            call("news", [b"4", b"5"])
    with pytest.raises(TooLarge):
        broker.schedule("news", [b"1"] * 5, delay=1.0)
    assert broker.stats().refused == 2
    broker.publish("news", [b"4"])
    assert topic_figures(broker) == (2, 2)
    clock.advance(10.0)
    run_due(broker)
    assert topic_figures(broker) == (4, 0)
    with pytest.raises(TopicFull):
        broker.publish("news", [b"5"])
    assert pulled(broker) == ["3", "4", "1", "2"]


def test_what_is_scheduled_is_never_dropped_for_what_is_published(make_broker: MakeBroker, clock: Clock) -> None:
    broker = with_topic(make_broker(), max_messages=3, overflow="drop_oldest")
    schedule(broker, "1", "2")
    for value in (b"3", b"4"):
        broker.publish("news", [value])
    with pytest.raises(TopicFull):
        broker.schedule("news", [b"5"], delay=1.0)
    with pytest.raises(TopicFull):
        broker.publish("news", [b"5", b"6"])
    clock.advance(10.0)
    run_due(broker)
    taken = broker.pull("a", "news")
    assert (list(taken.values), taken.missed) == ([b"4", b"1", b"2"], 1)


def test_without_subscribers_they_count_all_the_same(make_broker: MakeBroker) -> None:
    broker = make_broker()
    broker.create_topic("news", max_messages=2)
    schedule(broker, "1", "2")
    broker.publish("news", [b"1"] * 5)
    with pytest.raises(TopicFull):
        broker.schedule("news", [b"3"], delay=1.0)


def test_due_messages_of_a_full_topic_wait_for_room_in_their_order(make_broker: MakeBroker, clock: Clock) -> None:
    broker = with_topic(make_broker(history=3), max_messages=3)
    broker.publish("news", [b"1", b"2"])
    assert pulled(broker) == ["1", "2"]
    schedule(broker, "3", "4", delay=1.0)
    schedule(broker, "5", delay=1.5)
    broker.seek("a", "news", "earliest")
    clock.advance(2.0)
    run_due(broker)
    assert topic_figures(broker) == (2, 3)
    first, second = broker.list_scheduled("news", 10).entries
    assert (str(first.problem)[:35], second.problem) == ("Topic 'news' holds 2 messages waiti", None)
    assert broker.stats().scheduled_waiting == 2
    assert pulled(broker) == ["1", "2"]
    assert broker.run_due().next_in == 1.0
    clock.advance(1.0)
    run_due(broker)
    assert pulled(broker) == ["3", "4", "5"]
    assert broker.stats().scheduled_waiting == 0


def cancel(broker: Broker) -> None:
    broker.cancel_scheduled("news", [1])


def delete(broker: Broker) -> None:
    broker.delete_topic("news")


@pytest.mark.parametrize("end", [cancel, delete])
def test_what_waited_for_room_and_is_gone_does_not_count(
    make_broker: MakeBroker, clock: Clock, end: Callable[[Broker], None]
) -> None:
    broker = with_topic(make_broker(history=3), max_messages=3)
    broker.publish("news", [b"1", b"2"])
    pulled(broker)
    schedule(broker, "3", "4", delay=1.0)
    broker.seek("a", "news", "earliest")
    clock.advance(1.0)
    run_due(broker)
    assert broker.stats().scheduled_waiting == 2
    end(broker)
    assert broker.stats().scheduled_waiting == 0


def test_what_was_scheduled_is_published_though_the_memory_was_made_smaller(tmp_path: Path, clock: Clock) -> None:
    values = [b"x" * 5000, b"y" * 100]
    for max_bytes in (100_000, 1000):
        journal = GroupCommit(Storage(tmp_path), reserve=0, clock=clock)
        broker = writing_each_call(journal, Limits(max_bytes=max_bytes))
        if max_bytes == 100_000:
            with_topic(broker)
            for value in values:
                broker.schedule("news", [value], delay=1.0)
        else:
            before = broker.stats().memory_bytes
            clock.advance(1.0)
            run_due(broker)
            got = list(broker.pull("a", "news").values)
            clock.advance(1.0)  # the first had to be on disk
            run_due(broker)
            assert [*got, *broker.pull("a", "news").values] == values
            assert broker.stats().scheduled == 0
            assert broker.stats().memory_bytes < before
        journal.close()


def test_there_is_room_for_due_messages_that_others_keep(make_broker: MakeBroker, clock: Clock) -> None:
    broker = with_topic(make_broker(history=3), max_messages=4)
    broker.publish("news", [b"1", b"2"])
    pulled(broker)
    schedule(broker, "3", delay=1.0)
    schedule(broker, "4", "5", "6", delay=DAY)
    broker.seek("a", "news", "earliest")
    clock.advance(1.0)
    run_due(broker)
    assert pulled(broker) == ["1", "2", "3"]


def test_they_count_against_the_memory(make_broker: MakeBroker, clock: Clock) -> None:
    size = size_of([b"x" * 1000])
    broker = with_topic(make_broker(max_bytes=2 * (size + ENTRY_SIZE), history=0))
    numbers = [schedule(broker, "x" * 1000) for _ in range(2)]
    assert broker.stats().memory_bytes == 2 * (size + ENTRY_SIZE)
    with pytest.raises(MemoryFull):
        broker.schedule("news", [b"x"], delay=1.0)
    assert topic_figures(broker) == (0, 2)
    broker.cancel_scheduled("news", numbers[:1])
    assert broker.stats().memory_bytes == size + ENTRY_SIZE
    clock.advance(10.0)
    run_due(broker)
    assert broker.stats().memory_bytes == size
    pulled(broker)
    assert broker.stats().memory_bytes == 0


def test_they_count_against_a_limit_of_all_topics(make_broker: MakeBroker) -> None:
    broker = with_topic(make_broker(max_scheduled=3))
    broker.create_topic("other")
    broker.schedule("other", [b"1", b"2"], delay=1.0)
    with pytest.raises(TooManyScheduled):
        broker.schedule("news", [b"3", b"4"], delay=1.0)
    with pytest.raises(TooLarge, match="at most 3 messages to be published later, and never 4"):
        broker.schedule("news", [b"1"] * 4, delay=1.0)
    schedule(broker, "3")
    assert (broker.stats().scheduled, broker.stats().max_scheduled) == (3, 3)
    assert broker.stats().refused == 1


def test_an_entry_takes_no_more_memory_than_it_is_counted_as(clock: Clock) -> None:
    broker = with_topic(Broker(clock=clock))
    schedule(broker, "first")
    count = 20_000
    values = [[b"%07d" % number] for number in range(count)]
    tracemalloc.start()
    for number, value in enumerate(values):
        broker.schedule("news", value, delay=1.0 + number % 977)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.4 * ENTRY_SIZE < used / count < ENTRY_SIZE


# Message ids


def test_a_message_id_counts_at_once_and_after_publishing(broker: Broker, clock: Clock) -> None:
    number = schedule(broker, "x", message_id="id")
    repeated = broker.schedule("news", [b"x"], message_id="id", delay=20.0)
    assert (repeated.offset, repeated.count, repeated.duplicate, repeated.scheduled) == (None, 1, True, number)
    assert broker.publish("news", [b"x"], message_id="id") == repeated
    broker.publish("news", [b"0"])
    clock.advance(10.0)
    run_due(broker)
    again = broker.publish("news", [b"x"], message_id="id")
    assert (again.offset, again.count, again.duplicate, again.scheduled) == (1, 1, True, number)
    assert pulled(broker) == ["0", "x"]


def test_a_repeated_publish_is_known_though_its_time_is_past(clock: Clock) -> None:
    broker = with_topic(Broker(clock=clock, wall_clock=lambda: 1e9 + clock()))
    at = 1e9 + clock() + 10.0
    number = broker.schedule("news", [b"x"], message_id="id", at=at).scheduled
    clock.advance(10.0)
    run_due(broker)
    again = broker.schedule("news", [b"x"], message_id="id", at=at)
    assert (again.scheduled, again.duplicate, again.offset) == (number, True, 0)


def test_a_message_id_that_was_cancelled_or_forgotten(make_broker: MakeBroker, clock: Clock) -> None:
    broker = with_topic(make_broker(message_id_seconds=60.0))
    number = schedule(broker, "x", message_id="id", delay=100.0)
    broker.cancel_scheduled("news", [number])
    repeated = broker.schedule("news", [b"x"], message_id="id", delay=100.0)
    assert (repeated.scheduled, repeated.duplicate) == (number, True)
    clock.advance(60.0)
    again = schedule(broker, "y", message_id="id", delay=100.0)
    clock.advance(60.0)
    last = schedule(broker, "z", message_id="id", delay=100.0)
    clock.advance(40.0)
    run_due(broker)
    assert pulled(broker) == ["y"]
    assert number < again < last
    assert broker.publish("news", [b"z"], message_id="id").scheduled == last


# Listing and cancelling


def test_they_are_listed_by_due_time(clock: Clock) -> None:
    broker = with_topic(Broker(clock=clock, wall_clock=lambda: 1e9 + clock()))
    at = 1e9 + clock()
    schedule(broker, "later", delay=20.0, peer_id="a", message_id="id")
    broker.schedule("news", [b"so", b"on"], at=at + 10.125)
    found = broker.list_scheduled("news", 10)
    assert [(e.id, e.at, e.count, e.bytes, e.peer_id, e.message_id) for e in found.entries] == [
        (2, at + 10.125, 2, 4, None, None),
        (1, at + 20.0, 1, 5, "a", "id"),
    ]
    assert found.next is None


def test_pages_go_on_after_what_was_cancelled_or_published(clock: Clock) -> None:
    broker = with_topic(Broker(clock=clock, wall_clock=lambda: 1e9 + clock()))
    made = [schedule(broker, str(delay), delay=10.0 + delay // 3) for delay in range(10)]
    page = broker.list_scheduled("news", 4)
    assert [entry.id for entry in page.entries] == made[:4]
    broker.cancel_scheduled("news", made[2:5])
    clock.advance(10.0)
    run_due(broker)
    page = broker.list_scheduled("news", 4, page.next)
    assert [entry.id for entry in page.entries] == made[5:9]
    page = broker.list_scheduled("news", 4, page.next)
    assert ([entry.id for entry in page.entries], page.next) == (made[9:], None)


def test_what_is_cancelled_is_not_published(broker: Broker, clock: Clock) -> None:
    made = [schedule(broker, *"ab"), schedule(broker, "c"), schedule(broker, "d")]
    done = broker.cancel_scheduled("news", [made[0], 77, made[2], made[0], 77])
    assert (done.count, done.unknown) == (3, [77])
    assert numbers(broker) == [made[1]]
    assert broker.cancel_scheduled("news", made[:1]).unknown == made[:1]
    clock.advance(10.0)
    run_due(broker)
    assert pulled(broker) == ["c"]
    assert broker.cancel_scheduled("news", made[1:2]).unknown == made[1:2]
    assert schedule(broker, "e") > made[2], "numbers are never given again"


def test_an_id_counts_for_its_own_topic_alone(broker: Broker) -> None:
    broker.create_topic("other")
    number = schedule(broker, "x")
    assert broker.cancel_scheduled("other", [number]).unknown == [number]
    assert numbers(broker) == [number]


def test_a_topic_or_a_peer_must_be_there(broker: Broker) -> None:
    calls: list[tuple[Callable[[], object], type[PeerbusError]]] = [
        (lambda: broker.schedule("none", [b"1"], delay=1.0), TopicNotFound),
        (lambda: broker.schedule("news", [b"1"], "none", delay=1.0), PeerNotFound),
        (lambda: broker.list_scheduled("none", 10), TopicNotFound),
        (lambda: broker.cancel_scheduled("none", [1]), TopicNotFound),
        (lambda: broker.cancel_scheduled("news", [1], "none"), PeerNotFound),
    ]
    for call, error in calls:
        with pytest.raises(error):
            call()


def test_scheduling_and_cancelling_renew_a_lease(broker: Broker, clock: Clock) -> None:
    broker.register_peer("b", lease_seconds=10.0)
    for _ in range(3):
        clock.advance(6.0)
        number = schedule(broker, "x", delay=60.0, peer_id="b")
        clock.advance(6.0)
        broker.cancel_scheduled("news", [number], "b")
    run_due(broker)
    assert "b" in [peer.peer_id for peer in broker.list_peers(10)]


def test_they_are_published_though_their_peer_is_gone(broker: Broker, clock: Clock) -> None:
    broker.register_peer("b")
    schedule(broker, "x", peer_id="b")
    broker.unregister_peer("b")
    clock.advance(10.0)
    run_due(broker)
    assert pulled(broker) == ["x"]


def test_a_deleted_topic_discards_them_and_counts_them(broker: Broker, clock: Clock) -> None:
    schedule(broker, "x", "y")
    broker.publish("news", [b"z"])
    assert broker.delete_topic("news").discarded == 3
    run_due(broker)
    stats = broker.stats()
    assert (stats.discarded, stats.scheduled, stats.memory_bytes) == (3, 0, 0)
    broker.create_topic("news")
    assert numbers(broker) == []
    clock.advance(10.0)
    run_due(broker)
    assert broker.stats().published == 1


def test_the_age_of_a_message_begins_when_it_is_published(make_broker: MakeBroker, clock: Clock) -> None:
    broker = with_topic(make_broker(), max_age=5.0)
    schedule(broker, "x")
    clock.advance(10.0)
    run_due(broker)
    clock.advance(4.0)
    run_due(broker)
    assert topic_figures(broker) == (1, 0)
    clock.advance(1.0)
    run_due(broker)
    assert broker.pull("a", "news").missed == 1


# Costs


def test_a_page_and_a_schedule_cost_the_same_however_many_there_are(clock: Clock) -> None:
    taken: list[tuple[int, int]] = []
    for count in (3_000, 30_000):
        broker = with_topic(Broker(clock=clock))
        for number in range(count):
            schedule(broker, "x", delay=1.0 + number)
        schedule(broker, "x", delay=1e5)
        taken.append(
            (
                steps(lambda: broker.list_scheduled("news", 10)),  # noqa: B023
                steps(lambda: schedule(broker, "x", delay=1e5)),  # noqa: B023
            )
        )
    assert all(many <= few + 5 for few, many in zip(*taken, strict=True)), "one step more or less of a search"
