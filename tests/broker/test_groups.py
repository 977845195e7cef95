"""Groups: several peers share one message queue."""

import pytest

from peerbus.broker import Broker
from peerbus.errors import SubscriptionExists, TopicDeleted, TopicNotFound
from tests.support.harness import Clock


@pytest.fixture
def group(broker: Broker) -> Broker:
    """The topic `news`, with `a` and `b` in one group, acknowledging explicitly within 10 seconds."""
    broker.create_topic("news")
    for peer_id in "ab":
        broker.register_peer(peer_id, lease_seconds=100.0)
        broker.subscribe(peer_id, "news", group="g", explicit=True, ack_deadline=10.0)
    return broker


def test_each_message_goes_to_one_member(group: Broker) -> None:
    group.publish("news", [b"0", b"1", b"2"])
    assert group.pull("a", "news", 2).offsets == [0, 1]
    assert group.pull("b", "news", 2).offsets == [2]


def test_only_the_member_that_has_a_message_can_settle_it(group: Broker, clock: Clock) -> None:
    group.publish("news", [b"0"])
    group.pull("a", "news")
    assert group.acknowledge("b", "news", [(0, None)]).stale == [0]
    clock.advance(10.0)
    assert group.pull("b", "news").attempts == [2]
    assert group.acknowledge("a", "news", [(0, None)]).stale == [0]
    assert group.reject("a", "news", [(0, None)]).stale == [0]
    assert group.acknowledge("a", "news", 0).count == 0
    assert group.acknowledge("b", "news", 0).count == 1


def test_what_the_last_member_leaves_exhausted_is_dead_lettered_at_once(broker: Broker) -> None:
    broker.create_topic("news")
    broker.register_peer("a")
    broker.subscribe("a", "news", group="g", explicit=True, max_attempts=1, dead_letter_topic="dead")
    broker.publish("news", [b"0"])
    broker.pull("a", "news")
    broker.unsubscribe("a", "news")
    assert len(broker.peek("dead", 10, 1000).values) == 1


@pytest.mark.parametrize("how", ["unregister", "unsubscribe", "lease"])
def test_a_member_that_vanishes_gives_back_at_once(group: Broker, clock: Clock, how: str) -> None:
    group.publish("news", [b"0", b"1"])
    group.pull("a", "news", 1)
    if how == "unregister":
        group.unregister_peer("a")
    elif how == "unsubscribe":
        assert group.unsubscribe("a", "news") == 0
    else:
        group.register_peer("a", lease_seconds=1.0)
        clock.advance(1.0)
        group.run_due()
    again = group.pull("b", "news")
    assert (again.offsets, again.attempts) == ([0, 1], [2, 1])


def test_the_queue_of_a_group_stands_without_members(group: Broker) -> None:
    group.publish("news", [b"0"])
    for peer_id in "ab":
        assert group.unsubscribe(peer_id, "news") == 0
    group.publish("news", [b"1"])
    assert group.list_topics(1)[0].unread == 2
    joined = group.subscribe("a", "news", "latest", group="g")
    assert (joined.created, joined.begun, joined.next_offset) == (True, False, 0)
    assert group.pull("a", "news").values == [b"0", b"1"]


def test_a_new_member_joins_where_the_group_stands(group: Broker) -> None:
    group.publish("news", [b"0", b"1"])
    group.pull("a", "news", 1)
    group.register_peer("c")
    joined = group.subscribe("c", "news", group="g")
    assert (joined.created, joined.next_offset, joined.members) == (True, 1, 3)
    group.register_peer("d")
    assert group.subscribe("d", "news", "earliest", group="g").next_offset == 1, "joining moves nobody"
    assert group.pull("c", "news").offsets == [1]
    assert group.acknowledge("a", "news", [(0, None)]).count == 1


def test_a_group_and_a_peer_of_the_same_name_are_apart(group: Broker) -> None:
    group.register_peer("g")
    group.subscribe("g", "news")
    group.publish("news", [b"0"])
    assert group.pull("a", "news").values == group.pull("g", "news").values == [b"0"]


def test_a_subscription_stays_in_its_group(group: Broker) -> None:
    group.register_peer("c")
    group.subscribe("c", "news")
    assert not group.subscribe("a", "news").created
    for peer_id, other in (("a", "h"), ("c", "g")):
        with pytest.raises(SubscriptionExists, match="Unsubscribe first"):
            group.subscribe(peer_id, "news", group=other)


def test_all_members_are_told_that_the_topic_is_deleted(group: Broker) -> None:
    assert group.subscribers("news") == ["a", "b"]
    group.delete_topic("news")
    assert group.stats().subscriptions == 0
    for peer_id in "ab":
        with pytest.raises(TopicDeleted):
            group.pull(peer_id, "news")
        with pytest.raises(TopicNotFound):
            group.pull(peer_id, "news")
    group.create_topic("news")
    assert group.subscribe("a", "news", group="g").members == 1
