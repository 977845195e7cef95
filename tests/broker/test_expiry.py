"""Message queues outlive their members, and end when somebody says so or when nobody came for long enough."""

from collections.abc import Callable

import pytest

from peerbus.broker import Broker, Limits
from peerbus.errors import NotSubscribed, PeerNotFound, TopicDeleted, TopicFull, TopicNotFound
from peerbus.future import Future
from tests.support.harness import Clock

MakeBroker = Callable[..., Broker]
HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture
def news(broker: Broker) -> Broker:
    """`a` has a queue of its own on `news` and a lease of a second; `w1` and `w2` are the group `g`."""
    broker.create_topic("news")
    broker.register_peer("a", address="http://a:1", lease_seconds=1.0)
    broker.subscribe("a", "news", explicit=True)
    for peer_id in ("w1", "w2"):
        broker.register_peer(peer_id, lease_seconds=1.0)
        broker.subscribe(peer_id, "news", group="g", explicit=True)
    return broker


def fall_silent(broker: Broker, clock: Clock) -> None:
    clock.advance(1.0)
    while broker.run_due().next_in == 0.0:
        pass


def pass_by(broker: Broker, clock: Clock, seconds: float) -> list[tuple[str, int]]:
    """Let time go by; returns the queues that expired, with the messages discarded."""
    clock.advance(seconds)
    ended = []
    while (result := broker.run_due()).next_in == 0.0 or result.ended:
        ended += [(queue.queue, queue.discarded) for queue in result.ended]
    return ended


def come_back_by_registering(broker: Broker) -> None:
    assert broker.register_peer("a").created


def come_back_by_subscribing(broker: Broker) -> None:
    assert not broker.subscribe("a", "news", "earliest").created


def come_back_by_pulling(broker: Broker) -> None:
    """The pull itself does it."""


BACK = (come_back_by_registering, come_back_by_subscribing, come_back_by_pulling)


@pytest.mark.parametrize("come_back", BACK)
def test_a_peer_that_comes_back_finds_its_queue_where_it_stood(
    news: Broker, clock: Clock, come_back: Callable[[Broker], None]
) -> None:
    news.publish("news", [b"0", b"1"])
    news.pull("a", "news", 1)
    news.acknowledge("a", "news", [(0, None)])
    fall_silent(news, clock)
    news.publish("news", [b"2"])
    come_back(news)
    assert news.pull("a", "news").values == [b"1", b"2"]
    (peer,) = news.list_peers(10)
    assert (peer.peer_id, peer.address, peer.lease_seconds) == ("a", "http://a:1", 1.0)


@pytest.mark.parametrize("come_back", BACK)
def test_the_lease_of_a_peer_that_comes_back_runs_out_again(clock: Clock, come_back: Callable[[Broker], None]) -> None:
    """Due work is run in time for that, before the end of its queue."""
    earlier: list[str] = []
    broker = Broker(Limits(), clock, on_due=lambda: earlier.append("due"))
    broker.create_topic("news")
    broker.register_peer("a", lease_seconds=1.0)
    broker.subscribe("a", "news")
    fall_silent(broker, clock)
    earlier.clear()
    come_back(broker)
    broker.pull("a", "news")
    assert earlier == ["due"]
    assert broker.run_due().next_in == 1.0


def test_what_an_away_peer_had_in_flight_goes_back_at_once(news: Broker, clock: Clock) -> None:
    news.publish("news", [b"0"])
    news.pull("a", "news")
    news.pull("w1", "news")
    fall_silent(news, clock)
    assert news.pull("a", "news").attempts == [2]
    news.register_peer("w2")
    news.subscribe("w2", "news", group="g")
    assert news.pull("w2", "news").attempts == [2]


def test_leaving_is_like_a_lease_that_ran_out(news: Broker) -> None:
    news.publish("news", [b"0"])
    news.pull("a", "news")
    assert (news.leave("a", 100).left, news.leave("w1", 100).left) == (0, 0)
    assert news.subscribers("news") == ["w2"]
    assert news.pull("a", "news").attempts == [2]
    with pytest.raises(PeerNotFound):
        news.pull("w1", "news")


def test_a_peer_with_nothing_to_come_back_to_is_forgotten(broker: Broker, clock: Clock) -> None:
    broker.register_peer("p", lease_seconds=1.0)
    fall_silent(broker, clock)
    with pytest.raises(PeerNotFound):
        broker.leave("p", 1)


def test_queues_expire_when_nobody_came_for_as_long_as_they_were_to_stand(news: Broker, clock: Clock) -> None:
    news.publish("news", [b"0", b"1"])
    fall_silent(news, clock)
    views = {queue.queue: queue for queue in news.list_subscriptions(10, topic="news")}
    assert {name: (view.expires_after, view.expires_in) for name, view in views.items()} == {
        "a": (HOUR, HOUR),
        "group g": (7 * DAY, 7 * DAY),
    }
    assert pass_by(news, clock, HOUR - 1) == []
    assert pass_by(news, clock, 1) == [("a", 2)]
    assert pass_by(news, clock, 7 * DAY - HOUR) == [("group g", 2)]
    assert (news.stats().expired_queues, news.stats().discarded, news.stats().subscriptions) == (2, 4, 0)
    assert news.list_topics(10)[0].discarded == 4
    with pytest.raises(PeerNotFound):
        news.pull("a", "news")


def test_who_comes_back_in_time_has_all_the_time_again(news: Broker, clock: Clock) -> None:
    for _ in range(3):
        fall_silent(news, clock)
        assert pass_by(news, clock, HOUR - 2) == []
        news.pull("a", "news")
    fall_silent(news, clock)
    assert pass_by(news, clock, HOUR) == [("a", 0)]


def test_a_peer_without_a_lease_keeps_its_queue_however_long_it_does_nothing(broker: Broker, clock: Clock) -> None:
    broker.create_topic("news")
    broker.register_peer("nightly")
    broker.subscribe("nightly", "news")
    broker.publish("news", [b"0"])
    assert pass_by(broker, clock, 30 * DAY) == []
    (queue,) = broker.list_subscriptions(10, topic="news")
    assert (queue.idle_seconds, queue.expires_in) == (30 * DAY, None)
    assert broker.pull("nightly", "news").values == [b"0"]
    assert broker.list_subscriptions(10, topic="news")[0].idle_seconds == 0.0


@pytest.mark.parametrize("group", [None, "g2"])
def test_expires_after_is_kept_like_other_options(broker: Broker, clock: Clock, group: str | None) -> None:
    broker.create_topic("news")
    broker.register_peer("b", lease_seconds=1.0)
    broker.subscribe("b", "news", group=group, expires_after=10.0)
    broker.subscribe("b", "news", group=group)
    fall_silent(broker, clock)
    assert pass_by(broker, clock, 9.0) == []
    assert len(pass_by(broker, clock, 1.0)) == 1


@pytest.mark.parametrize("group", [None, "g2"])
def test_zero_ends_a_queue_with_its_last_member(broker: Broker, clock: Clock, group: str | None) -> None:
    broker.create_topic("news")
    for peer_id in ("b", "c"):
        broker.register_peer(peer_id, lease_seconds=1.0)
    broker.subscribe("b", "news", group=group, expires_after=0.0)
    if group:
        broker.subscribe("c", "news", group=group)
        broker.unsubscribe("c", "news")
    broker.publish("news", [b"0"])
    clock.advance(1.0)
    assert broker.run_due().expired == {"b": 1, "c": 0}
    assert broker.stats().subscriptions == 0


def test_unregistering_ends_a_peers_own_queue_and_leaves_the_groups(news: Broker) -> None:
    news.publish("news", [b"0"])
    assert [news.unregister_peer(peer_id) for peer_id in ("a", "w1", "w2")] == [1, 0, 0]
    assert [queue.queue for queue in news.list_subscriptions(10, topic="news")] == ["group g"]
    with pytest.raises(PeerNotFound):
        news.pull("a", "news")


def test_an_away_peer_can_be_unregistered(news: Broker, clock: Clock) -> None:
    news.publish("news", [b"0"])
    fall_silent(news, clock)
    assert news.unregister_peer("a") == 1
    assert news.subscribers("news") == []


def test_a_group_is_ended_with_members_or_without(news: Broker, clock: Clock) -> None:
    news.publish("news", [b"0"])
    ended = news.end_group("news", "g", 100)
    assert (ended.discarded, ended.left) == (1, 0)
    with pytest.raises(NotSubscribed):
        news.pull("w1", "news")
    news.subscribe("w1", "news", "earliest", group="g")
    fall_silent(news, clock)
    assert news.end_group("news", "g", 100).discarded == 1
    with pytest.raises(NotSubscribed, match="no message queue of a group 'g'"):
        news.end_group("news", "g", 100)


def test_an_away_peer_is_told_once_of_a_topic_deleted_meanwhile(news: Broker, clock: Clock) -> None:
    fall_silent(news, clock)
    news.delete_topic("news")
    news.run_due()
    with pytest.raises(TopicDeleted):
        news.pull("a", "news")
    with pytest.raises(TopicNotFound):
        news.pull("a", "news")


def test_a_peer_that_is_to_be_told_is_not_remembered_for_ever(news: Broker, clock: Clock) -> None:
    fall_silent(news, clock)
    news.delete_topic("news")
    pass_by(news, clock, HOUR)
    with pytest.raises(PeerNotFound):
        news.pull("a", "news")


def test_the_id_of_an_away_peer_may_be_taken_with_another_token(broker: Broker, clock: Clock) -> None:
    broker.register_peer("p", lease_seconds=1.0, token_hash=b"one")
    broker.create_topic("news")
    broker.subscribe("p", "news")
    fall_silent(broker, clock)
    assert broker.token_hash("p") == b"one"
    again = broker.register_peer("p", token_hash=b"two")
    assert (again.created, again.token_is_new, broker.token_hash("p")) == (True, True, b"two")


def test_a_queue_without_members_counts_against_the_limit(make_broker: MakeBroker) -> None:
    broker = make_broker(max_subscriptions=1)
    broker.create_topic("news")
    broker.register_peer("p")
    broker.subscribe("p", "news", group="g")
    broker.unsubscribe("p", "news")
    assert broker.stats().subscriptions == 1
    assert broker.subscribe("p", "news", group="g").created
    assert broker.stats().subscriptions == 1


def test_a_full_topic_names_the_queue_that_is_furthest_behind(make_broker: MakeBroker, clock: Clock) -> None:
    broker = make_broker()
    broker.create_topic("news", max_messages=2)
    broker.register_peer("p")
    broker.subscribe("p", "news", group="g")
    broker.subscribe("p", "news", group="g")
    broker.unsubscribe("p", "news")
    broker.register_peer("q")
    broker.subscribe("q", "news")
    broker.publish("news", [b"0", b"1"])
    broker.pull("q", "news")
    clock.advance(3 * DAY)
    for _ in range(2):
        with pytest.raises(TopicFull, match="'group g' is furthest behind, and was last used 3 days ago"):
            broker.publish("news", [b"2"])
    broker.end_group("news", "g", 100)
    broker.subscribe("q", "news")
    broker.publish("news", [b"2", b"3"])
    with pytest.raises(TopicFull, match="'q' is furthest behind, and was last used 0 seconds ago"):
        broker.publish("news", [b"4"])


def test_a_full_topic_names_a_queue_that_has_lost_messages(broker: Broker, clock: Clock) -> None:
    broker.create_topic("short", max_messages=2, max_age=5.0)
    broker.register_peer("p")
    broker.subscribe("p", "short")
    broker.publish("short", [b"0"])
    clock.advance(5.0)
    broker.publish("short", [b"1", b"2"])
    with pytest.raises(TopicFull, match="'p' is furthest behind"):
        broker.publish("short", [b"3"])


def test_pulls_that_wait_end_when_their_peer_leaves(news: Broker) -> None:
    waiting = news.pull_waiting("a", "news", 1, 30.0)
    assert isinstance(waiting, Future)
    news.leave("a", 100)
    news.run_due()
    with pytest.raises(PeerNotFound):
        waiting.result()
    assert news.subscribers("news") == ["w1", "w2"]


def test_a_member_takes_nothing_back_that_another_has_in_flight(broker: Broker) -> None:
    """Also when the group acknowledges by pulling since."""
    broker.create_topic("news")
    for peer_id in ("p1", "p2"):
        broker.register_peer(peer_id)
        broker.subscribe(peer_id, "news", group="g", explicit=True)
    broker.publish("news", [b"0"])
    broker.pull("p2", "news")
    broker.subscribe("p1", "news", explicit=False)
    rejected = broker.reject("p1", "news", [(0, None)])
    assert (rejected.count, rejected.stale) == (0, [0])
    assert broker.pull("p1", "news").values == []
    assert broker.acknowledge("p2", "news", [(0, 1)]).count == 1


def exhaust(broker: Broker) -> None:
    """Two messages fail their last attempt without a dead-letter topic, and one is freed before it was pulled."""
    broker.create_topic("jobs", max_messages=3, overflow="drop_oldest")
    broker.register_peer("w")
    broker.subscribe("w", "jobs", group="g", explicit=True, max_attempts=1)
    broker.publish("jobs", [b"1", b"2"])
    broker.reject("w", "jobs", [(offset, None) for offset in broker.pull("w", "jobs").offsets])
    broker.publish("jobs", [b"3", b"4", b"5", b"6"])


def end_group(broker: Broker, _: Clock) -> None:
    broker.end_group("jobs", "g", 10)


def expire(broker: Broker, clock: Clock) -> None:
    broker.subscribe("w", "jobs", expires_after=5.0)
    broker.unsubscribe("w", "jobs")
    clock.advance(5.0)
    broker.run_due()


@pytest.mark.parametrize("end", [end_group, expire])
def test_what_was_missed_and_not_told_counts_when_its_queue_ends(
    make_broker: Callable[..., Broker], clock: Clock, end: Callable[[Broker, Clock], None]
) -> None:
    broker = make_broker(history=0)
    exhaust(broker)
    end(broker, clock)
    assert (broker.stats().missed, broker.stats().discarded) == (3, 3)
    assert broker.list_topics(1)[0].missed == 3


def test_what_was_given_up_counts_when_its_topic_is_deleted(make_broker: Callable[..., Broker]) -> None:
    broker = make_broker(history=0)
    exhaust(broker)
    broker.delete_topic("jobs")
    broker.run_due()
    assert broker.stats().missed == 2
