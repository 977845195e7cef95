"""What can be looked at: topics, message queues and messages, without moving any of them."""

from collections.abc import Callable
from typing import Any

import pytest

from peerbus.broker import Broker
from peerbus.errors import BadRequest, MemoryFull, NotSubscribed, PeerNotFound, TopicFull, TopicNotFound
from peerbus.wire.views import InFlightView
from tests.support.harness import Clock

MakeBroker = Callable[..., Broker]
EXPLICIT: dict[str, Any] = {"explicit": True, "ack_deadline": 5.0, "max_attempts": 2, "dead_letter_topic": "dead"}


def subscribe(broker: Broker, peer_id: str, *topics: str, **options: Any) -> None:
    broker.register_peer(peer_id)
    for topic in topics:
        broker.create_topic(topic)
        broker.subscribe(peer_id, topic, **options)


def queues(broker: Broker, limit: int = 10, after: str = "", **which: Any) -> list[tuple[str, str]]:
    return [(view.topic, view.queue) for view in broker.list_subscriptions(limit, after, **which)]


def test_a_message_queue_is_told_as_it_stands(broker: Broker, clock: Clock) -> None:
    subscribe(broker, "a", "news", **EXPLICIT)
    broker.publish("news", [b"1", b"2", b"3"])
    broker.pull("a", "news", 2)
    broker.acknowledge("a", "news", [(0, None)])
    (view,) = broker.list_subscriptions(10, topic="news")
    assert (view.topic, view.queue, view.group, view.peers, view.members) == ("news", "a", None, ["a"], 1)
    assert (view.ack, view.ack_deadline, view.max_attempts, view.dead_letter_topic) == ("explicit", 5.0, 2, "dead")
    assert (view.next_offset, view.resume_from, view.unread, view.unacknowledged, view.missed) == (2, 1, 2, 1, 0)
    for _ in range(2):
        clock.advance(5.0)
        broker.run_due()
        broker.pull("a", "news", 1)
    topics = {topic.topic: topic for topic in broker.list_topics(10)}
    assert (topics["news"].redelivered, topics["news"].dead_lettered, topics["dead"].next_offset) == (1, 1, 1)


def test_a_queue_that_acknowledges_by_pulling_has_no_deadline(broker: Broker) -> None:
    subscribe(broker, "a", "news")
    (view,) = broker.list_subscriptions(10, topic="news")
    assert (view.ack, view.ack_deadline, view.max_attempts) == ("auto", None, None)


def test_a_group_has_one_queue_however_many_share_it(broker: Broker) -> None:
    for number in range(12):
        subscribe(broker, f"p{number:02}", "news", group="g")
    subscribe(broker, "alone", "news")
    alone, shared = broker.list_subscriptions(10, topic="news")
    assert (alone.queue, shared.queue, shared.group, shared.members) == ("alone", "group g", "g", 12)
    assert shared.peers == [f"p{number:02}" for number in range(10)], "the first of them"


def test_queues_come_by_topic_or_by_peer_or_by_both(broker: Broker) -> None:
    subscribe(broker, "b", "t2", "t1")
    subscribe(broker, "a", "t1", "t3")
    assert queues(broker, topic="t1") == [("t1", "a"), ("t1", "b")]
    assert queues(broker, peer_id="b") == [("t1", "b"), ("t2", "b")]
    assert queues(broker, topic="t2", peer_id="b") == [("t2", "b")]
    assert queues(broker, topic="t2", peer_id="a") == []
    with pytest.raises(TopicNotFound):
        queues(broker, topic="none")
    with pytest.raises(PeerNotFound):
        queues(broker, peer_id="none")


def test_queues_come_in_pages(broker: Broker) -> None:
    for peer_id in ("c", "a", "b"):
        subscribe(broker, peer_id, "t2", "t1", "t3")
    assert queues(broker, 2, topic="t1") == [("t1", "a"), ("t1", "b")]
    assert queues(broker, 2, "b", topic="t1") == [("t1", "c")]
    assert queues(broker, 2, "t1", peer_id="a") == [("t2", "a"), ("t3", "a")]


def test_who_is_furthest_behind_comes_first(broker: Broker) -> None:
    for peer_id in ("a", "b", "c"):
        subscribe(broker, peer_id, "news")
    broker.publish("news", [b"1", b"2", b"3"])
    broker.pull("a", "news")
    broker.pull("c", "news", 1)
    assert queues(broker, 2, topic="news", order="unread") == [("news", "b"), ("news", "c")]


def test_looking_renews_no_lease(broker: Broker, clock: Clock) -> None:
    subscribe(broker, "a", "news")
    broker.register_peer("a", lease_seconds=10.0)
    clock.advance(9.0)
    assert queues(broker, peer_id="a") == [("news", "a")]
    clock.advance(1.0)
    assert broker.run_due().expired == {"a": 0}


def test_messages_in_flight_are_listed_with_their_holder_and_their_times(clock: Clock) -> None:
    broker = Broker(clock=clock, wall_clock=lambda: clock() + 1e9)
    broker.create_topic("news")
    for peer_id in "ab":
        broker.register_peer(peer_id, lease_seconds=100.0)
        broker.subscribe(peer_id, "news", group="g", explicit=True, ack_deadline=10.0)
    broker.publish("news", [b"0", b"1", b"2", b"3"])
    broker.pull("a", "news", 2)
    clock.advance(1.0)
    broker.pull("b", "news", 1)
    broker.reject("b", "news", 2)
    expected = [(0, "a", 1, 0.0, 10.0), (1, "a", 1, 0.0, 10.0), (2, "b", 1, 1.0, None)]
    began = 1e9 + 1000.0
    listed = [
        InFlightView(offset, holder, attempt, began + since, None if due is None else began + due)
        for offset, holder, attempt, since, due in expected
    ]
    assert broker.in_flight("news", 10, group="g") == broker.in_flight("news", 10, peer_id="a") == listed
    assert broker.in_flight("news", 1, 0, group="g", peer_id="b") == listed[1:2]
    assert broker.in_flight("news", 10, 2, group="g") == []
    clock.advance(98.0)
    broker.in_flight("news", 10, peer_id="a")
    clock.advance(2.0)
    assert "a" in broker.run_due().expired, "looking renews no lease"


def test_there_is_nothing_in_flight_where_there_is_no_queue(broker: Broker) -> None:
    subscribe(broker, "a", "news")
    broker.register_peer("b")
    with pytest.raises(TopicNotFound):
        broker.in_flight("none", 10, group="g")
    with pytest.raises(PeerNotFound):
        broker.in_flight("news", 10, peer_id="none")
    for peer_id, group in ((None, "g"), ("b", None), ("a", "g")):
        with pytest.raises(NotSubscribed):
            broker.in_flight("news", 10, group=group, peer_id=peer_id)


def test_what_is_lost_of_a_queue_is_missed_and_no_longer_unread(broker: Broker) -> None:
    broker.create_topic("news", max_messages=3, overflow="drop_oldest")
    subscribe(broker, "a", "news", explicit=True)
    broker.publish("news", [b"1", b"2"])
    broker.pull("a", "news")
    broker.publish("news", [b"3", b"4", b"5", b"6"])
    (view,) = broker.list_subscriptions(10, topic="news")
    assert (view.unread, view.unacknowledged, view.missed) == (3, 2, 1)


def test_the_last_messages_are_seen_and_stay_where_they_are(broker: Broker) -> None:
    subscribe(broker, "a", "news")
    broker.publish("news", [b"1", b"2", b"3"])
    peeked = broker.peek("news", 2, 1000)
    assert (peeked.first, list(peeked.values), peeked.start) == (1, [b"2", b"3"], 0)
    assert broker.peek("news", 10, 1000).values == [b"1", b"2", b"3"]
    assert broker.pull("a", "news").values == [b"1", b"2", b"3"]
    with pytest.raises(TopicNotFound):
        broker.peek("none", 1, 1)


def test_messages_are_seen_from_an_offset_on(make_broker: MakeBroker) -> None:
    broker = make_broker(history=2)
    broker.create_topic("news")
    broker.publish("news", [b"0", b"1", b"2", b"3"])
    peeked = broker.peek("news", 1, 1000, 3)
    assert (peeked.first, peeked.values, peeked.start) == (3, [b"3"], 2)
    assert broker.peek("news", 10, 1000, 0).first == 2, "the first that is retained"
    for offset in (4, 5):
        with pytest.raises(BadRequest, match="no messages from offset 4 on yet"):
            broker.peek("news", 10, 1000, offset)


def test_a_topic_without_messages_shows_none(make_broker: MakeBroker) -> None:
    broker = make_broker(history=0)
    broker.create_topic("news")
    assert broker.peek("news", 10, 1000).values == []
    broker.publish("news", [b"1"])
    peeked = broker.peek("news", 10, 1000)
    assert (peeked.first, peeked.values, peeked.start) == (1, [], 1)


@pytest.mark.parametrize(("max_bytes", "seen"), [(1, [b"333"]), (5, [b"22", b"333"]), (6, [b"1", b"22", b"333"])])
def test_only_so_many_bytes_are_shown(broker: Broker, max_bytes: int, seen: list[bytes]) -> None:
    broker.create_topic("news")
    broker.publish("news", [b"1", b"22", b"333"])
    assert broker.peek("news", 10, max_bytes).values == seen


def test_a_look_shows_no_more_bytes_than_a_pull(make_broker: MakeBroker) -> None:
    broker = make_broker(max_pull_bytes=5)
    broker.create_topic("news")
    broker.publish("news", [b"1", b"22", b"333"])
    assert broker.peek("news", 10, 1000).values == [b"22", b"333"]


def test_publishes_without_room_are_counted(make_broker: MakeBroker) -> None:
    broker = make_broker(max_bytes=200)
    subscribe(broker, "a", "small", "large")
    broker.publish("small", [b"1", b"2"])
    with pytest.raises(MemoryFull):
        broker.publish("large", [b"x" * 100])
    broker.create_topic("full", max_messages=1)
    broker.register_peer("b")
    broker.subscribe("b", "full")
    broker.publish("full", [b"1"])
    for _ in range(2):
        with pytest.raises(TopicFull):
            broker.publish("full", [b"2"])
    assert {topic.topic: topic.refused for topic in broker.list_topics(10)} == {"full": 2, "large": 1, "small": 0}
    stats = broker.stats()
    assert (stats.refused, stats.max_bytes) == (3, 200)


def test_names_stay_in_order_while_they_come_and_go(broker: Broker) -> None:
    for name in ("m", "z", "a", "k"):
        broker.create_topic(name)
        broker.register_peer(name)
    broker.delete_topic("k")
    broker.unregister_peer("z")
    broker.create_topic("b")
    assert [topic.topic for topic in broker.list_topics(3, "a")] == ["b", "m", "z"]
    assert [peer.peer_id for peer in broker.list_peers(2)] == ["a", "k"]
