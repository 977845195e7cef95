"""Creating and deleting topics, their limits and overflow policies."""

from collections.abc import Callable
from typing import Any

import pytest

from peerbus.broker import Broker
from peerbus.broker.dedup import ID_SIZE
from peerbus.errors import (
    BadRequest,
    MemoryFull,
    NotSubscribed,
    TooLarge,
    TooManySubscriptions,
    TooManyTopics,
    TopicDeleted,
    TopicExists,
    TopicFull,
    TopicNotFound,
)
from tests.support.harness import Clock

MakeBroker = Callable[..., Broker]


def subscribed(broker: Broker, *peers: str, topic: str = "news", **options: Any) -> Broker:
    broker.create_topic(topic, **options)
    for peer_id in peers:
        broker.register_peer(peer_id)
        broker.subscribe(peer_id, topic)
    return broker


def test_creating_again_keeps_the_topic(broker: Broker) -> None:
    assert broker.create_topic("news", 5, "drop_oldest")
    broker.publish("news", [b"1"])
    assert not broker.create_topic("news")
    assert not broker.create_topic("news", 5)
    assert broker.list_topics(10)[0].next_offset == 1
    for options in ({"max_messages": 6}, {"overflow": "reject"}):
        with pytest.raises(TopicExists, match="max_messages 5, overflow drop_oldest"):
            broker.create_topic("news", **options)


def test_a_topic_keeps_no_more_than_the_server(make_broker: MakeBroker) -> None:
    with pytest.raises(BadRequest, match=r"max_messages"):
        make_broker(max_messages=10).create_topic("news", 11)


def test_there_are_only_so_many_topics_and_subscriptions(make_broker: MakeBroker) -> None:
    broker = subscribed(make_broker(max_topics=1, max_subscriptions=1), "a")
    with pytest.raises(TooManyTopics):
        broker.create_topic("more")
    broker.register_peer("b")
    with pytest.raises(TooManySubscriptions):
        broker.subscribe("b", "news")
    broker.delete_topic("news")
    subscribed(broker, "b", topic="other")


def test_deleting_returns_the_subscribers_and_how_much_was_unread(make_broker: MakeBroker) -> None:
    told: list[object] = []
    broker = make_broker(on_topic_deleted=lambda topic, peers: told.append((topic, peers)))
    subscribed(broker, "a", "b")
    broker.publish("news", [b"1", b"2", b"3"])
    broker.pull("a", "news", 2)
    broker.pull("b", "news", 1)
    deleted = broker.delete_topic("news")
    assert (deleted.peers, deleted.discarded) == (["a", "b"], 2)
    assert told == [("news", ["a", "b"])]
    with pytest.raises(TopicNotFound):
        broker.delete_topic("news")


def test_a_former_subscriber_is_told_once_that_the_topic_is_deleted(broker: Broker) -> None:
    subscribed(broker, "a", "b")
    broker.delete_topic("news")
    for peer_id in "ab":
        with pytest.raises(TopicDeleted):
            broker.pull(peer_id, "news")
        with pytest.raises(TopicNotFound):
            broker.pull(peer_id, "news")


def test_a_deleted_topic_can_be_created_again_at_once_and_is_another(broker: Broker) -> None:
    subscribed(broker, "old", "told")
    broker.publish("news", [b"1"])
    broker.delete_topic("news")
    assert broker.create_topic("news")
    with pytest.raises(TopicDeleted):
        broker.pull("told", "news")
    with pytest.raises(NotSubscribed):
        broker.pull("told", "news")
    assert broker.subscribe("old", "news").created
    assert broker.publish("news", [b"2"]).offset == 0
    assert broker.pull("old", "news").values == [b"2"]


def test_memory_of_a_deleted_topic_returns(broker: Broker) -> None:
    subscribed(broker, "a")
    broker.publish("news", [b"1"] * 10)
    broker.delete_topic("news")
    assert broker.stats().memory_bytes == 0


def test_a_full_topic_refuses_until_its_slowest_subscriber_has_pulled(broker: Broker) -> None:
    subscribed(broker, "fast", "slow", max_messages=3)
    broker.publish("news", [b"1", b"2"])
    broker.pull("fast", "news")
    with pytest.raises(TopicFull, match="holds 2 messages"):
        broker.publish("news", [b"3", b"4"])
    assert broker.publish("news", [b"3"]).offset == 2
    broker.pull("slow", "news", 1)
    broker.publish("news", [b"4"])
    assert broker.pull("slow", "news").values == [b"2", b"3", b"4"]


def test_a_batch_that_can_never_fit_is_refused_for_good(broker: Broker) -> None:
    subscribed(broker, "a", max_messages=3)
    with pytest.raises(TooLarge, match="at most 3"):
        broker.publish("news", [b"1"] * 4)


def test_a_topic_without_subscribers_is_never_full(broker: Broker) -> None:
    broker.create_topic("news", max_messages=3)
    for _ in range(10):
        broker.publish("news", [b"1"] * 4)


def test_dropping_the_oldest_is_counted_for_who_had_not_pulled_them(broker: Broker) -> None:
    subscribed(broker, "fast", "slow", max_messages=3, overflow="drop_oldest")
    broker.publish("news", [b"1", b"2"])
    broker.pull("fast", "news")
    broker.publish("news", [b"3", b"4", b"5"])
    fast, slow = broker.pull("fast", "news"), broker.pull("slow", "news")
    assert (fast.values, fast.missed) == ([b"3", b"4", b"5"], 0)
    assert (slow.values, slow.missed, slow.offsets) == ([b"3", b"4", b"5"], 2, [2, 3, 4])
    assert broker.pull("slow", "news").missed == 0
    assert broker.list_topics(1)[0].dropped == broker.stats().missed == 2


def test_a_batch_larger_than_a_dropping_topic_keeps_its_last(broker: Broker) -> None:
    subscribed(broker, "a", max_messages=2, overflow="drop_oldest")
    broker.publish("news", [b"1", b"2", b"3", b"4"])
    pulled = broker.pull("a", "news")
    assert (pulled.values, pulled.missed) == ([b"3", b"4"], 2)


def test_history_gives_way_to_new_messages_when_memory_is_full(make_broker: MakeBroker) -> None:
    broker = subscribed(make_broker(max_bytes=1000), "a")
    broker.create_topic("other")
    broker.publish("other", [b"x" * 436])
    broker.publish("news", [b"x" * 436])
    broker.publish("news", [b"x" * 436])
    assert broker.list_topics(2)[1].first_offset == 1, "the history of the other topic went"
    with pytest.raises(MemoryFull):
        broker.publish("news", [b"x"])
    assert broker.list_topics(1)[0].next_offset == 2, "nothing was published"
    broker.pull("a", "news", 1)
    broker.publish("news", [b"x" * 400])
    assert broker.pull("a", "news").missed == 0


def test_what_a_new_subscriber_is_to_pull_is_no_longer_history(make_broker: MakeBroker) -> None:
    broker = make_broker(max_bytes=1000)
    broker.create_topic("news")
    broker.publish("news", [b"x" * 436])
    subscribed(broker, "b", topic="other")
    broker.register_peer("a")
    broker.subscribe("a", "news", "earliest")
    broker.publish("other", [b"x" * 436])
    with pytest.raises(MemoryFull):
        broker.publish("other", [b"x"])
    assert broker.pull("a", "news").missed == 0


def test_messages_that_can_never_fit_into_memory_are_refused_for_good(make_broker: MakeBroker) -> None:
    broker = make_broker(max_bytes=1000)
    broker.create_topic("news")
    broker.publish("news", [b"kept"])
    with pytest.raises(TooLarge, match="1000 bytes"):
        broker.publish("news", [b"x" * 1000])
    assert broker.list_topics(1)[0].first_offset == 0, "the history is not given up for nothing"


def test_message_ids_are_counted_as_memory_until_they_are_forgotten(make_broker: MakeBroker, clock: Clock) -> None:
    broker = make_broker(history=0, message_id_seconds=10.0)
    broker.create_topic("news")
    for number in range(5):
        broker.publish("news", [b"x"], message_id=f"id{number}")
    assert broker.stats().memory_bytes == 5 * ID_SIZE
    clock.advance(10.0)
    broker.run_due()
    assert broker.stats().memory_bytes == 0
    broker.publish("news", [b"x"], message_id="again")
    broker.delete_topic("news")
    assert broker.stats().memory_bytes == 0
