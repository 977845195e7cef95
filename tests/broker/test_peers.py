"""Peers and their leases."""

from collections.abc import Callable

import pytest

from peerbus.broker import Broker
from peerbus.errors import PeerNotFound, TooManyPeers
from tests.support.harness import Clock

MakeBroker = Callable[..., Broker]


def test_registering_again_changes_only_what_is_named(broker: Broker) -> None:
    assert broker.register_peer("p", address="http://a:1", lease_seconds=5.0).created
    assert not broker.register_peer("p").created
    broker.register_peer("p", address="http://a:2")
    (peer,) = broker.list_peers(10)
    assert (peer.address, peer.lease_seconds) == ("http://a:2", 5.0)
    broker.register_peer("p", address=None, lease_seconds=None)
    (peer,) = broker.list_peers(10)
    assert (peer.address, peer.lease_seconds, peer.expires_in) == (None, None, None)


def test_the_epoch_is_one_for_the_life_of_a_broker(make_broker: MakeBroker) -> None:
    broker = make_broker()
    assert broker.register_peer("p").epoch == broker.register_peer("q").epoch
    assert broker.register_peer("p").epoch != make_broker().register_peer("p").epoch


def test_a_peer_that_falls_silent_is_away_and_its_queues_stand(broker: Broker, clock: Clock) -> None:
    broker.register_peer("silent", lease_seconds=10.0)
    broker.register_peer("patient")
    broker.create_topic("news")
    broker.subscribe("silent", "news", explicit=True)
    broker.publish("news", [b"1", b"2", b"3"])
    broker.pull("silent", "news", 1)
    clock.advance(9.9)
    assert broker.run_due().expired == {}
    clock.advance(0.1)
    assert broker.run_due().expired == {"silent": 0}
    assert broker.subscribers("news") == []
    assert [peer.peer_id for peer in broker.list_peers(10)] == ["patient"]
    assert (broker.stats().peers, broker.stats().expired_peers, broker.stats().discarded) == (1, 1, 0)
    (queue,) = broker.list_subscriptions(10, topic="news")
    assert (queue.queue, queue.peers, queue.members, queue.unread) == ("silent", [], 0, 3)


CALLS: dict[str, Callable[[Broker], object]] = {
    "register": lambda broker: broker.register_peer("p"),
    "publish": lambda broker: broker.publish("news", [b"1"], "p"),
    "subscribe": lambda broker: broker.subscribe("p", "news"),
    "pull": lambda broker: broker.pull("p", "news"),
    "unsubscribe": lambda broker: broker.unsubscribe("p", "news"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_any_call_of_a_peer_renews_its_lease(broker: Broker, clock: Clock, call: Callable[[Broker], object]) -> None:
    broker.register_peer("p", lease_seconds=10.0)
    broker.create_topic("news")
    broker.subscribe("p", "news")
    clock.advance(9.0)
    call(broker)
    clock.advance(9.0)
    assert broker.run_due().expired == {}
    clock.advance(1.0)
    assert list(broker.run_due().expired) == ["p"]


def test_a_lease_made_shorter_or_longer_counts_from_then(broker: Broker, clock: Clock) -> None:
    broker.register_peer("shorter", lease_seconds=1000.0)
    broker.register_peer("longer", lease_seconds=5.0)
    broker.register_peer("shorter", lease_seconds=5.0)
    broker.register_peer("longer", lease_seconds=1000.0)
    clock.advance(5.0)
    assert broker.run_due().expired == {"shorter": 0}
    clock.advance(995.0)
    assert broker.run_due().expired == {"longer": 0}


def test_peers_that_come_and_go_leave_nothing_behind(broker: Broker, clock: Clock) -> None:
    for _ in range(200):
        broker.register_peer("p", lease_seconds=50_000.0)
        broker.register_peer("p", lease_seconds=10.0)
        broker.unregister_peer("p")
    broker.register_peer("p", lease_seconds=10.0)
    clock.advance(10.0)
    assert broker.run_due().expired == {"p": 0}
    clock.advance(100_000.0)
    assert broker.run_due().expired == {}


def test_the_messages_of_a_removed_peer_are_freed(make_broker: MakeBroker) -> None:
    broker = make_broker(history=0)
    broker.register_peer("p")
    broker.create_topic("news")
    broker.subscribe("p", "news")
    broker.publish("news", [b"1"] * 100)
    assert broker.stats().memory_bytes > 0
    broker.unregister_peer("p")
    assert broker.stats().memory_bytes == 0
    assert broker.stats().subscriptions == 0


def test_there_are_only_so_many_peers(make_broker: MakeBroker) -> None:
    broker = make_broker(max_peers=2)
    broker.register_peer("a")
    broker.register_peer("b")
    broker.register_peer("a")
    with pytest.raises(TooManyPeers, match="2 peers"):
        broker.register_peer("c")
    broker.unregister_peer("a")
    assert broker.register_peer("c").created


def test_a_listing_comes_in_pages(broker: Broker) -> None:
    for peer_id in "dbac":
        broker.register_peer(peer_id)
    assert [peer.peer_id for peer in broker.list_peers(2)] == ["a", "b"]
    assert [peer.peer_id for peer in broker.list_peers(2, after="b")] == ["c", "d"]
    assert broker.list_peers(2, after="d") == []


def test_an_unknown_peer_cannot_call(broker: Broker) -> None:
    broker.create_topic("news")
    for call in (CALLS["publish"], CALLS["subscribe"], CALLS["pull"], CALLS["unsubscribe"]):
        with pytest.raises(PeerNotFound, match="'p' is not registered"):
            call(broker)
