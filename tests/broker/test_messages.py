"""Publishing, subscribing and pulling."""

from collections.abc import Callable

import pytest

from peerbus.broker import Broker
from peerbus.broker.topic import From
from peerbus.errors import BadRequest, NotSubscribed, TopicNotFound
from tests.support.harness import Clock

MakeBroker = Callable[..., Broker]


@pytest.fixture
def news(broker: Broker) -> Broker:
    """A broker with the topic `news` and the peers `a` and `b`."""
    broker.create_topic("news")
    for peer_id in "ab":
        broker.register_peer(peer_id)
    return broker


def test_a_subscriber_gets_what_is_published_after_it_subscribed_once_and_in_order(news: Broker) -> None:
    news.publish("news", [b"before"])
    news.subscribe("a", "news")
    assert news.publish("news", [b"1", b"2"], "b").offset == 1
    news.publish("news", [b"3"], "b")
    pulled = news.pull("a", "news", 2)
    assert (pulled.offsets, pulled.values, pulled.remaining) == ([1, 2], [b"1", b"2"], 1)
    assert news.pull("a", "news").values == [b"3"]
    assert news.pull("a", "news").values == []


def test_subscribers_pull_independently(news: Broker) -> None:
    news.subscribe("a", "news")
    news.publish("news", [b"1"])
    news.subscribe("b", "news")
    news.publish("news", [b"2"])
    assert news.pull("a", "news").values == [b"1", b"2"]
    assert news.pull("b", "news").values == [b"2"]


@pytest.mark.parametrize(
    ("start", "values", "missed"),
    [
        (None, [], 0),
        ("latest", [], 0),
        ("earliest", [b"2", b"3"], 0),
        (3, [b"3"], 0),
        (0, [b"2", b"3"], 2),
        (99, [], 0),
    ],
)
def test_where_a_subscription_begins(
    make_broker: MakeBroker, start: int | None, values: list[bytes], missed: int
) -> None:
    broker = make_broker(history=2)
    broker.create_topic("news")
    broker.register_peer("a")
    broker.publish("news", [b"0", b"1", b"2", b"3"])
    broker.subscribe("a", "news", start)
    pulled = broker.pull("a", "news")
    assert (pulled.values, pulled.missed) == (values, missed)


def test_subscribing_again_keeps_the_position_whatever_it_says(news: Broker) -> None:
    assert news.subscribe("a", "news").created
    news.publish("news", [b"0", b"1"])
    assert news.subscribe("a", "news").next_offset == 0
    news.pull("a", "news")
    assert not news.subscribe("a", "news").created
    assert news.pull("a", "news").values == []
    for start in (0, "earliest", "latest"):
        assert news.subscribe("a", "news", start).next_offset == 2
    assert news.pull("a", "news").values == []


def test_seeking_moves_a_queue_forwards_and_back(news: Broker) -> None:
    news.publish("news", [b"0"])
    news.subscribe("a", "news")
    news.publish("news", [b"1", b"2"])
    news.pull("a", "news")
    places: tuple[tuple[From, int], ...] = ((1, 1), ("earliest", 0), ("latest", 3), (3, 3))
    for to, offset in places:
        assert news.seek("a", "news", to) == offset
        assert news.pull("a", "news").values == [b"0", b"1", b"2"][offset:]
    with pytest.raises(BadRequest, match=r"Expected int <= 3, the offset of the next message - at \$\.to"):
        news.seek("a", "news", 4)


def test_a_queue_is_moved_to_a_time(clock: Clock) -> None:
    news = Broker(clock=clock, wall_clock=lambda: clock() + 1e9)
    news.create_topic("news")
    news.register_peer("a")
    news.subscribe("a", "news")
    at = []
    for value in (b"0", b"1", b"2"):
        at.append(clock() + 1e9)
        news.publish("news", [value])
        clock.advance(10.0)
    news.pull("a", "news")
    for time, offset in ((0.0, 0), (at[0], 0), (at[1] - 5.0, 1), (at[1], 1), (at[2] + 1.0, 3)):
        assert news.seek_time("a", "news", time) == offset
    with pytest.raises(BadRequest, match=r"Expected a time that is past; .* - at \$\.to\.time"):
        news.seek_time("a", "news", at[2] + 11.0)


def test_an_empty_pull_tells_of_messages_from_before_the_subscription(news: Broker) -> None:
    news.publish("news", [b"0", b"1"])
    news.subscribe("a", "news")
    assert news.pull("a", "news").earlier == 2
    news.publish("news", [b"2"])
    news.pull("a", "news")
    assert news.pull("a", "news").earlier == 0


def test_messages_pulled_by_all_are_freed_but_for_the_history(make_broker: MakeBroker) -> None:
    broker = make_broker(history=3)
    broker.create_topic("news")
    for peer_id in "ab":
        broker.register_peer(peer_id)
        broker.subscribe(peer_id, "news")
    broker.publish("news", [b"x"] * 10)
    broker.pull("a", "news")
    assert broker.list_topics(1)[0].first_offset == 0
    broker.pull("b", "news", 5)
    assert broker.list_topics(1)[0].first_offset == 2
    broker.unsubscribe("b", "news")
    assert broker.list_topics(1)[0].first_offset == 7


def test_a_message_id_publishes_once_within_its_window(make_broker: MakeBroker, clock: Clock) -> None:
    broker = make_broker(message_ids=2, message_id_seconds=10.0)
    broker.create_topic("news")
    first = broker.publish("news", [b"1", b"2"], message_id="x")
    again = broker.publish("news", [b"1", b"2"], message_id="x")
    assert (first.offset, first.duplicate, again.offset, again.duplicate) == (0, False, 0, True)
    assert broker.list_topics(1)[0].next_offset == 2
    clock.advance(10.0)
    assert broker.publish("news", [b"1"], message_id="x").offset == 2
    broker.publish("news", [b"1"], message_id="y")
    broker.publish("news", [b"1"], message_id="z")
    assert not broker.publish("news", [b"1"], message_id="x").duplicate, "only two ids are remembered"
    assert broker.publish("news", [b"1"], message_id="z").duplicate


def test_one_pull_hands_over_only_so_much(make_broker: MakeBroker) -> None:
    broker = make_broker(max_pull=3, max_pull_bytes=10)
    broker.create_topic("news")
    broker.register_peer("a")
    broker.subscribe("a", "news")
    broker.publish("news", [b"1"] * 4 + [b"x" * 100, b"123456", b"123456"])
    sizes = []
    while values := broker.pull("a", "news", 1000).values:
        sizes.append([len(value) for value in values])
    assert sizes == [[1, 1, 1], [1], [100], [6], [6]]


def test_unsubscribing_ends_the_queue_and_tells_what_was_left(news: Broker) -> None:
    news.subscribe("a", "news")
    news.publish("news", [b"1", b"2"])
    news.pull("a", "news", 1)
    assert news.unsubscribe("a", "news") == 1
    for call in (news.pull, news.unsubscribe):
        with pytest.raises(NotSubscribed):
            call("a", "news")
    assert news.subscribers("news") == []


def test_a_topic_that_does_not_exist(news: Broker) -> None:
    for call in (
        lambda: news.publish("none", [b"1"]),
        lambda: news.subscribe("a", "none"),
        lambda: news.pull("a", "none"),
        lambda: news.unsubscribe("a", "none"),
        lambda: news.subscribers("none"),
    ):
        with pytest.raises(TopicNotFound, match="'none' does not exist"):
            call()


def test_the_subscribers_of_a_topic_and_their_addresses(news: Broker) -> None:
    news.register_peer("a", address="http://a:1")
    for peer_id in "ab":
        news.subscribe(peer_id, "news")
    assert news.subscribers("news") == ["a", "b"]
    assert news.addresses(["a", "b", "gone"]) == {"a": "http://a:1"}
