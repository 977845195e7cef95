"""What counts against the limit of memory, and in which order it gives way to new messages."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from peerbus.broker import Broker, Limits
from peerbus.broker.dedup import ID_SIZE
from peerbus.broker.in_flight import DELIVERY_SIZE, MESSAGE_SIZE
from peerbus.broker.queue import FEW_IN_FLIGHT
from peerbus.broker.scheduled import ENTRY_SIZE
from peerbus.errors import MemoryFull, PeerbusError, TopicFull
from peerbus.future import Future
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from tests.broker.kept import writing_each_call
from tests.support.harness import Clock

MakeBroker = Callable[..., Broker]
SIZE = 64 + 1
"""Of a message of one byte."""


def consumer(broker: Broker, topic: str = "jobs", peer: str = "worker") -> None:
    broker.create_topic(topic)
    broker.register_peer(peer)
    broker.subscribe(peer, topic, explicit=True, ack_deadline=10.0)


def drained(broker: Broker) -> int:
    while broker.run_due().next_in <= 0:
        pass
    return broker.stats().memory_bytes


# Message ids


def test_old_message_ids_give_way_to_new_messages(make_broker: MakeBroker) -> None:
    broker = make_broker(max_bytes=100_000)
    broker.create_topic("news")
    for number in range(2000):
        broker.publish("news", [b"x"], message_id=f"id{number}")
        assert broker.stats().memory_bytes <= 100_000
    stats = broker.stats()
    assert (stats.published, stats.refused) == (2000, 0)
    assert stats.forgotten_ids > 0
    assert broker.publish("news", [b"x"], message_id="id1999").duplicate
    assert not broker.publish("news", [b"x"], message_id="id0").duplicate


def test_what_waits_for_subscribers_may_have_all_of_the_memory(make_broker: MakeBroker) -> None:
    broker = make_broker(max_bytes=100_000)
    consumer(broker, "news")
    for number in range(100):
        broker.publish("news", [b"x"], message_id=f"id{number}")
    broker.publish("news", [b"x" * (100_000 - 101 * 64 - 100)])
    assert (broker.stats().memory_bytes, broker.stats().forgotten_ids) == (100_000, 100)


def test_the_oldest_ids_of_all_topics_are_forgotten_first(make_broker: MakeBroker, clock: Clock) -> None:
    broker = make_broker(max_bytes=160 * ID_SIZE, history=0)
    for topic in ("old", "new"):
        broker.create_topic(topic)
        for number in range(50):
            broker.publish(topic, [b"x"], message_id=f"id{number}")
        clock.advance(1.0)
    consumer(broker)
    broker.publish("jobs", [b"x" * (61 * ID_SIZE)])
    assert broker.stats().forgotten_ids == 50
    assert broker.publish("new", [b"x"], message_id="id0").duplicate


def test_ids_that_take_a_quarter_of_the_memory_drive_out_no_history(make_broker: MakeBroker) -> None:
    limit = 100_000
    broker = make_broker(max_bytes=limit)
    broker.create_topic("replayed")
    broker.publish("replayed", [b"x" * 1000] * 60)
    broker.create_topic("busy", history=0)
    for number in range(1000):
        broker.publish("busy", [b"x"], message_id=f"id{number}")
    assert broker.list_topics(2)[1].first_offset == 0
    assert broker.stats().memory_bytes <= limit
    assert broker.publish("busy", [b"x"], message_id=f"id{1000 - limit // 4 // ID_SIZE // 2}").duplicate


def test_history_goes_before_ids_that_take_less(make_broker: MakeBroker) -> None:
    broker = make_broker(max_bytes=100_000)
    broker.create_topic("replayed")
    broker.publish("replayed", [b"x" * 1000] * 90)
    broker.create_topic("busy", history=0)
    for number in range(50):
        broker.publish("busy", [b"x"], message_id=f"id{number}")
    assert broker.list_topics(2)[1].first_offset == 90
    assert broker.stats().forgotten_ids == 0


def test_a_publish_without_room_for_its_id_is_refused_and_not_done(make_broker: MakeBroker) -> None:
    broker = make_broker(max_bytes=1000)
    consumer(broker)
    broker.publish("jobs", [b"x" * (936 - SIZE - ID_SIZE + 1)])
    with pytest.raises(MemoryFull):
        broker.publish("jobs", [b"x"], message_id="id")
    assert broker.stats().published == 1
    broker.publish("jobs", [b"x"])


def test_ids_of_scheduled_messages_ask_for_room_too(make_broker: MakeBroker) -> None:
    broker = make_broker(max_bytes=SIZE + ENTRY_SIZE + ID_SIZE - 1)
    broker.create_topic("jobs")
    with pytest.raises(PeerbusError):
        broker.schedule("jobs", [b"x"], message_id="id", delay=1.0)
    broker.schedule("jobs", [b"x"], delay=1.0)
    assert broker.stats().memory_bytes == SIZE + ENTRY_SIZE


def test_forgotten_ids_stay_forgotten_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    def opened() -> tuple[GroupCommit, Broker]:
        journal = GroupCommit(Storage(tmp_path), reserve=0, clock=clock)
        return journal, writing_each_call(journal, Limits(max_bytes=50_000))

    journal, broker = opened()
    broker.create_topic("news")
    for number in range(400):
        broker.publish("news", [b"x"], message_id=f"id{number}")
    used = broker.stats().memory_bytes
    journal.close()
    journal, broker = opened()
    assert broker.stats().memory_bytes == used
    assert broker.publish("news", [b"x"], message_id="id399").duplicate
    assert not broker.publish("news", [b"x"], message_id="id0").duplicate
    journal.close()


# Messages in flight


@pytest.mark.parametrize("settle", ["acknowledge", "overdue", "seek", "unsubscribe", "delete", "leave"])
def test_messages_in_flight_count_and_their_memory_returns(make_broker: MakeBroker, clock: Clock, settle: str) -> None:
    broker = make_broker(history=0)
    consumer(broker)
    broker.publish("jobs", [b"x"] * 10)
    assert broker.stats().memory_bytes == 10 * SIZE
    broker.pull("worker", "jobs", 4)
    broker.pull("worker", "jobs", 1)
    assert broker.stats().memory_bytes == 10 * SIZE + 5 * MESSAGE_SIZE + 2 * DELIVERY_SIZE
    if settle == "acknowledge":
        broker.acknowledge("worker", "jobs", [(0, 1), (1, 1)])
        assert broker.stats().memory_bytes == 8 * SIZE + 3 * MESSAGE_SIZE + 2 * DELIVERY_SIZE
        broker.acknowledge("worker", "jobs", 4)
        assert broker.stats().memory_bytes == 5 * SIZE
    elif settle == "overdue":
        clock.advance(10.0)
        broker.pull("worker", "jobs", 5)
        broker.acknowledge("worker", "jobs", 4)
        assert broker.stats().memory_bytes == 5 * SIZE
    elif settle == "seek":
        broker.seek("worker", "jobs", 5)
        assert broker.stats().memory_bytes == 5 * SIZE
    elif settle == "unsubscribe":
        broker.unsubscribe("worker", "jobs")
        assert broker.stats().memory_bytes == 0
    elif settle == "leave":
        broker.leave("worker", 10)
        broker.register_peer("worker")
        assert broker.pull("worker", "jobs").attempts == [2] * 5 + [1] * 5
        broker.acknowledge("worker", "jobs", 9)
        assert broker.stats().memory_bytes == 0
    else:
        broker.delete_topic("jobs")
        assert drained(broker) == 0


def test_history_and_ids_give_way_to_messages_in_flight(make_broker: MakeBroker) -> None:
    broker = make_broker(max_bytes=60_000)
    consumer(broker)
    broker.publish("jobs", [b"x"] * 200)
    broker.create_topic("replayed")
    broker.publish("replayed", [b"x" * 30_000], message_id="id")
    assert len(broker.pull("worker", "jobs", 200).values) == 200
    assert broker.stats().memory_bytes <= 60_000
    assert broker.list_topics(2)[1].first_offset == 1


def test_consuming_goes_on_when_memory_is_full(make_broker: MakeBroker) -> None:
    """The messages fill it, so there is no room for notes on those in flight."""
    limit = 1000 * SIZE
    broker = make_broker(max_bytes=limit, history=0)
    consumer(broker)
    broker.publish("jobs", [b"x"] * 1000)
    seen = 0
    while values := broker.pull("worker", "jobs", 1000).values:
        assert broker.stats().memory_bytes <= limit + FEW_IN_FLIGHT * MESSAGE_SIZE + DELIVERY_SIZE
        seen += len(values)
        with pytest.raises(MemoryFull, match="notes on messages in flight"):
            broker.publish("jobs", [b"x" * (limit - 64)])
        broker.acknowledge("worker", "jobs", seen - 1)
    assert (seen, broker.stats().memory_bytes) == (1000, 0)


def test_a_pull_waits_for_its_own_messages_when_memory_is_full(make_broker: MakeBroker) -> None:
    broker = make_broker(max_bytes=1000 * SIZE, history=0)
    consumer(broker)
    broker.publish("jobs", [b"x"] * 1000)
    assert len(broker.pull("worker", "jobs", 1000).values) == FEW_IN_FLIGHT
    waiting = broker.pull_waiting("worker", "jobs", 10, 30.0)
    broker.run_due()
    assert isinstance(waiting, Future)
    assert not waiting.done
    broker.acknowledge("worker", "jobs", FEW_IN_FLIGHT - 1)
    broker.run_due()
    assert len(waiting.result(0).values) == 10


# The error


def test_the_error_names_what_holds_the_memory(make_broker: MakeBroker) -> None:
    broker = make_broker(max_bytes=2000)
    consumer(broker)
    broker.publish("jobs", [b"x" * 236])
    broker.schedule("jobs", [b"x" * 106], delay=10.0)
    broker.pull("worker", "jobs")
    with pytest.raises(MemoryFull) as full:
        broker.publish("jobs", [b"x" * 1000])
    assert full.value.message == (
        "The server's memory for messages is full. Of 2000 bytes it holds 300 of messages that wait for subscribers, "
        "500 of messages to be published later, 600 of notes on messages in flight. "
        "Publish again when some have been pulled and acknowledged."
    )


# Random histories


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_left_of_random_histories(make_broker: MakeBroker, clock: Clock, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  # repeatable, not secret
    limit = 40_000
    broker = make_broker(max_bytes=limit, history=5, message_ids=20, message_id_seconds=20.0)
    topics, peers = ["a", "b", "c"], ["x", "y"]
    for topic in topics:
        for peer in peers:
            consumer(broker, topic, peer)

    def step() -> None:
        topic, peer = rng.choice(topics), rng.choice(peers)
        message_id = rng.choice([None, f"id{rng.randrange(1000)}"])
        kind = rng.randrange(10)
        if kind < 3:
            broker.publish(topic, [b"x" * rng.randrange(300)] * rng.randrange(1, 9), message_id=message_id)
        elif kind == 3:
            broker.schedule(topic, [b"x"] * rng.randrange(1, 9), message_id=message_id, delay=rng.uniform(0, 20))
        elif kind < 6:
            broker.pull(peer, topic, rng.randrange(1, 20))
        elif kind == 6:
            broker.acknowledge(peer, topic, rng.randrange(500))
        elif kind == 7:
            broker.reject(peer, topic, rng.randrange(500), rng.choice([0.0, 3.0]))
        elif kind == 8:
            clock.advance(rng.uniform(0.0, 8.0))
            broker.run_due()
        else:
            broker.seek(peer, topic, rng.choice(["earliest", "latest"]))

    for _ in range(300):
        before = broker.stats()
        try:
            step()
        except (MemoryFull, TopicFull):
            assert broker.stats().published == before.published
        assert (
            0
            <= broker.stats().memory_bytes
            <= limit + len(topics) * len(peers) * FEW_IN_FLIGHT * (MESSAGE_SIZE + DELIVERY_SIZE)
        )
    for topic in topics:
        broker.delete_topic(topic)
    assert drained(broker) == 0
    assert broker.stats().unacknowledged == 0
