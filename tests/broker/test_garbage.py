"""What is deleted or ends is let go of at once, without Python having to look for it."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from peerbus.broker import Broker, Limits
from peerbus.broker.peers import REMEMBERED_SECONDS
from peerbus.errors import PeerNotFound, TopicFull
from peerbus.future import Future
from tests.support.harness import Clock


@contextmanager
def garbage() -> Iterator[list[str]]:
    """The kinds of our own objects that are left behind by what is done meanwhile."""
    kinds: list[str] = []
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield kinds
        gc.collect()
        kinds += [type(left).__qualname__ for left in gc.garbage if type(left).__module__.startswith("peerbus")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def live_and_end(broker: Broker, clock: Clock) -> None:
    """Of everything there is, something: and all of it ends."""
    broker.create_topic("dead")
    for topic in ("jobs", "news"):
        broker.create_topic(topic, max_messages=10)
        for number in range(4):
            peer_id = f"peer{number}"
            broker.register_peer(peer_id, lease_seconds=60.0)
            group = "workers" if number < 2 else None
            broker.subscribe(
                peer_id, topic, group=group, explicit=True, ack_deadline=5.0, max_attempts=2, dead_letter_topic="dead"
            )
        waiting = broker.pull_waiting("peer0", topic, 1, 30.0)
        assert isinstance(waiting, Future)
        broker.publish(topic, [b"1", b"2", b"3"], "peer3", "id")
        broker.run_due()
        assert waiting.result(0).values == [b"1"]
        broker.pull("peer1", topic)
        broker.reject("peer1", topic, [(1, None)])
        broker.acknowledge("peer1", topic, 2)
        for _ in range(4):
            broker.pull("peer2", topic)
            clock.advance(6.0)
            broker.run_due()
        with pytest.raises(TopicFull):
            broker.publish(topic, [b"1"] * 10)
    broker.unsubscribe("peer0", "jobs")
    broker.unregister_peer("peer1")
    broker.pull("peer3", "news")
    waiting = broker.pull_waiting("peer3", "news", 1, 30.0)
    assert isinstance(waiting, Future)
    broker.delete_topic("news")
    broker.run_due()
    clock.advance(100.0)
    broker.run_due()
    for seconds in (Limits().subscription_expiry, REMEMBERED_SECONDS):
        clock.advance(seconds)
        broker.run_due()
    with pytest.raises(PeerNotFound):
        broker.pull("peer2", "jobs")
    broker.delete_topic("jobs")


def test_what_ends_leaves_nothing_behind(make_broker: Callable[..., Broker], clock: Clock) -> None:
    broker = make_broker()
    with garbage() as kinds:
        live_and_end(broker, clock)
    assert kinds == []
