"""Work that is too much for one step is done in slices, and nobody can tell but by the count of them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from peerbus.broker import Broker, Limits
from peerbus.broker.state import Slice
from peerbus.errors import NotSubscribed, PeerbusError, PeerNotFound, TopicDeleted, TopicNotFound
from peerbus.future import Future
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from tests.support.harness import Clock

MakeBroker = Callable[..., Broker]
SMALL = Slice(answers=2, overdue=10, subscriptions=2, values=4)
SIZE = 65
"""What a message of one byte is counted as."""


@pytest.fixture
def broker(clock: Clock) -> Broker:
    """A broker with small slices, and `a` to `e` subscribed to `news`; `a` has an address."""
    return subscribed(Broker(Limits(history=0), clock, per_slice=SMALL))


def subscribed(broker: Broker) -> Broker:
    broker.create_topic("news")
    for peer_id in "abcde":
        broker.register_peer(peer_id)
        broker.subscribe(peer_id, "news")
    return broker


def slices(broker: Broker) -> Iterator[dict[str, int]]:
    """What each slice says of expired peers, until nothing is due now."""
    while True:
        result = broker.run_due()
        yield result.expired
        if result.next_in:
            return


def outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except PeerbusError as error:
        return type(error)


# Peers


@pytest.fixture
def wide(clock: Clock) -> Broker:
    """A broker with small slices; `p` has a lease of 10 seconds, five topics, and a message unread in each."""
    return make_wide(Broker(Limits(), clock, per_slice=SMALL))


def make_wide(broker: Broker) -> Broker:
    broker.register_peer("p", lease_seconds=10.0)
    for number in range(5):
        broker.create_topic(f"t{number}")
        broker.subscribe("p", f"t{number}")
        broker.publish(f"t{number}", [b"1"])
    return broker


def test_subscriptions_end_in_slices_and_the_peer_with_the_last(wide: Broker) -> None:
    ended = [wide.end_subscriptions("p", 2) for _ in range(3)]
    assert [(each.discarded, each.left) for each in ended] == [(2, 3), (2, 1), (1, 0)]
    with pytest.raises(PeerNotFound):
        wide.end_subscriptions("p", 2)
    assert (wide.stats().peers, wide.stats().subscriptions, wide.stats().discarded) == (0, 0, 5)


def test_a_peer_without_subscriptions_is_removed_by_the_first_slice(broker: Broker) -> None:
    broker.register_peer("f")
    assert broker.end_subscriptions("f", 2).left == 0
    assert broker.stats().peers == 5


@pytest.fixture
def ending(clock: Clock) -> Broker:
    """As `wide`, and the peer's queues end with its lease."""
    return make_wide(Broker(Limits(subscription_expiry=0), clock, per_slice=SMALL))


def test_a_peer_goes_away_in_slices_and_its_queues_end_where_they_may_not_stand(ending: Broker, clock: Clock) -> None:
    clock.advance(10.0)
    assert ending.run_due().expired == {}
    assert list(slices(ending)) == [{}, {"p": 5}]
    assert (ending.stats().expired_peers, ending.stats().subscriptions) == (1, 0)
    assert outcome(lambda: ending.pull("p", "t0")) is PeerNotFound


def test_a_peer_goes_away_in_slices_and_its_queues_stand(wide: Broker, clock: Clock) -> None:
    clock.advance(10.0)
    assert wide.run_due().expired == {}
    assert list(slices(wide)) == [{}, {"p": 0}]
    assert (wide.stats().expired_peers, wide.stats().subscriptions, wide.stats().discarded) == (1, 5, 0)
    assert wide.stats().peers == 0


@pytest.mark.parametrize("back", ["register", "pull"])
def test_a_peer_that_is_back_before_the_last_slice_has_all_its_queues(wide: Broker, clock: Clock, back: str) -> None:
    clock.advance(10.0)
    wide.run_due()
    if back == "register":
        assert wide.register_peer("p", lease_seconds=10.0).created
    else:
        assert wide.pull("p", "t0").values == [b"1"]
    assert [sorted(peer.topics) for peer in wide.list_peers(10)] == [[f"t{number}" for number in range(5)]]
    assert list(slices(wide)) == [{"p": 0}, {}, {}], "two of its five queues are woken a slice"
    assert [wide.pull("p", f"t{number}").values for number in range(1, 5)] == [[b"1"]] * 4


def test_a_peer_that_leaves_and_is_back_before_the_last_slice_keeps_its_queues(wide: Broker) -> None:
    assert wide.leave("p", 2).left == 3
    wide.pull("p", "t0")
    assert wide.leave("p", 100).left == 0
    assert wide.stats().subscriptions == 5


def test_a_peer_that_leaves_its_groups_and_is_back_before_the_last_slice_stays_in_the_others(broker: Broker) -> None:
    broker.register_peer("p", lease_seconds=10.0)
    for topic in ("t0", "t1", "t2"):
        broker.create_topic(topic)
        broker.subscribe("p", topic, group="g")
    assert broker.leave("p", 1).left == 2
    broker.register_peer("p")
    assert broker.leave("p", 1, begin=False).left == 0
    assert [peer.topics for peer in broker.list_peers(10, after="e")] == [["t0", "t1"]]


def test_queues_of_a_peer_that_is_back_are_passed_over_in_slices(wide: Broker, clock: Clock) -> None:
    wide.leave("p", 100)
    wide.register_peer("p", lease_seconds=None)
    clock.advance(Limits().subscription_expiry)
    assert len(list(slices(wide))) > 1
    assert wide.stats().subscriptions == 5


@pytest.mark.parametrize("others", [True, False], ids=["with other members", "alone"])
def test_after_a_crash_a_peer_that_had_yet_to_leave_its_groups_has_left_them(
    others: bool, clock: Clock, tmp_path: Path
) -> None:
    journal = GroupCommit(Storage(tmp_path / "data"), 0, clock, clock)
    broker = journal.open(Limits(), lambda *_: None, per_slice=SMALL)
    make_wide(broker)
    for number in range(5):
        broker.unsubscribe("p", f"t{number}")
        broker.subscribe("p", f"t{number}", group="g")
    if others:
        broker.register_peer("q")
        broker.subscribe("q", "t0", group="g")
    broker.leave("p", 2)
    journal.close()
    for _ in range(2):
        journal = GroupCommit(Storage(tmp_path / "data"), 0, clock, clock)
        broker = journal.open(Limits(), lambda *_: None, per_slice=SMALL)
        (first,) = broker.list_subscriptions(10, topic="t0")
        assert (first.members, first.expires_in) == ((1, None) if others else (0, Limits().group_expiry))
        assert outcome(lambda: broker.pull("p", "t0")) is PeerNotFound  # noqa: B023
        journal.close()


def test_a_group_ends_in_slices(clock: Clock) -> None:
    broker = Broker(Limits(), clock, per_slice=SMALL)
    broker.create_topic("news")
    for peer_id in "abcde":
        broker.register_peer(peer_id)
        broker.subscribe(peer_id, "news", group="g")
    broker.publish("news", [b"1"])
    ended = [broker.end_group("news", "g", 2) for _ in range(3)]
    assert [(each.discarded, each.left) for each in ended] == [(0, 3), (0, 1), (1, 0)]
    assert outcome(lambda: broker.end_group("news", "g", 2)) is NotSubscribed
    assert outcome(lambda: broker.pull("a", "news")) is NotSubscribed
    assert (broker.stats().subscriptions, broker.stats().discarded) == (0, 1)


def test_many_peers_expire_in_slices(clock: Clock) -> None:
    broker = Broker(Limits(), clock, per_slice=SMALL)
    for number in range(5):
        broker.register_peer(f"p{number}", lease_seconds=10.0)
    clock.advance(10.0)
    assert [len(expired) for expired in slices(broker)] == [2, 2, 1]


# Deleted topics


def test_a_deleted_topic_is_gone_at_once_and_each_subscriber_is_told_once(broker: Broker) -> None:
    broker.publish("news", [b"1"])
    broker.pull("a", "news")
    assert broker.delete_topic("news").discarded == 1
    assert broker.stats().subscriptions == 0
    assert [peer.topics for peer in broker.list_peers(10)] == [[]] * 5
    assert [broker.list_subscriptions(10, peer_id=peer_id) for peer_id in "abcde"] == [[]] * 5
    assert [broker.subscribed_topics(peer_id) for peer_id in "abcde"] == [[]] * 5
    told = [outcome(lambda: broker.pull(peer_id, "news")) for peer_id in "abc"]  # noqa: B023
    assert len(list(slices(broker))) < 3
    told += [outcome(lambda: broker.pull(peer_id, "news")) for peer_id in "de"]  # noqa: B023
    assert told == [TopicDeleted] * 5
    assert [outcome(lambda: broker.pull(peer_id, "news")) for peer_id in "ae"] == [TopicNotFound] * 2  # noqa: B023


def test_a_topic_created_again_at_once_has_no_old_subscribers(broker: Broker) -> None:
    broker.delete_topic("news")
    broker.create_topic("news")
    assert broker.subscribers("news") == []
    assert broker.subscribe("a", "news").created
    assert broker.subscribe("e", "news").created
    broker.publish("news", [b"1"])
    list(slices(broker))
    assert [outcome(lambda: broker.pull(peer_id, "news").values) for peer_id in "abe"] == [  # noqa: B023
        [b"1"],
        TopicDeleted,
        [b"1"],
    ]
    assert broker.stats().subscriptions == 2


def test_subscriptions_to_a_deleted_topic_end_in_slices(broker: Broker) -> None:
    broker.delete_topic("news")
    assert len(list(slices(broker))) == 2, "the call itself did the first"


def test_a_peer_may_go_while_it_is_to_be_told_of_a_deleted_topic(broker: Broker) -> None:
    broker.delete_topic("news")
    assert [broker.unregister_peer(peer_id) for peer_id in "abcde"] == [0] * 5
    for peer_id in "abcde":
        broker.register_peer(peer_id)
    assert [outcome(lambda: broker.pull(peer_id, "news")) for peer_id in "abcde"] == [TopicNotFound] * 5  # noqa: B023


def test_pulls_waiting_for_a_deleted_topic_end_in_slices(broker: Broker) -> None:
    pulls = [broker.pull_waiting(peer_id, "news", 1, 60.0) for peer_id in "abcde"]
    broker.delete_topic("news")
    done = [sum(isinstance(pull, Future) and pull.done for pull in pulls) for _ in slices(broker)]
    assert done == [2, 4, 5]


def test_messages_in_flight_of_a_deleted_topic_are_counted_until_their_slice(clock: Clock) -> None:
    broker = Broker(Limits(), clock, per_slice=SMALL)
    broker.create_topic("news")
    for peer_id in "abcde":
        broker.register_peer(peer_id)
        broker.subscribe(peer_id, "news", explicit=True)
    broker.publish("news", [b"1"])
    for peer_id in "abcde":
        broker.pull(peer_id, "news")
    broker.delete_topic("news")
    assert broker.stats().unacknowledged == 3
    list(slices(broker))
    assert broker.stats().unacknowledged == 0


@pytest.mark.parametrize("finished", [False, True], ids=["between two slices", "after the last slice"])
def test_after_a_restart_each_subscriber_of_a_deleted_topic_is_told_once(
    finished: bool, clock: Clock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("data")

    def begin() -> tuple[GroupCommit, Broker]:
        journal = GroupCommit(Storage(folder), 0, clock, clock)
        return journal, journal.open(Limits(), lambda *_: None, per_slice=SMALL)

    journal, broker = begin()
    subscribed(broker)
    broker.publish("news", [b"1"], message_id="x")
    journal.write()
    broker.delete_topic("news")
    assert outcome(lambda: broker.pull("a", "news")) is TopicDeleted
    broker.create_topic("news")
    broker.subscribe("b", "news")
    if finished:
        list(slices(broker))
    journal.close()
    journal, broker = begin()
    assert [topic.next_offset for topic in broker.list_topics(10)] == [0]
    assert (broker.stats().subscriptions, broker.subscribers("news")) == (1, ["b"])
    assert outcome(lambda: broker.pull("c", "news")) is TopicDeleted
    list(slices(broker))
    journal.close()
    journal, broker = begin()
    assert [outcome(lambda: broker.pull(peer_id, "news")) for peer_id in "acde"] == [  # noqa: B023
        NotSubscribed,
        NotSubscribed,
        TopicDeleted,
        TopicDeleted,
    ]
    assert broker.stats().memory_bytes == 0
    journal.close()


# Messages in flight


@pytest.fixture
def group(make_broker: MakeBroker) -> Broker:
    """`a` and `b` in one group; `a` has 2,500 messages in flight, pulled five at a time."""
    broker = make_broker()
    broker.create_topic("news")
    for peer_id in "ab":
        broker.register_peer(peer_id)
        broker.subscribe(peer_id, "news", group="g", explicit=True, ack_deadline=10.0)
    broker.publish("news", [b"%d" % number for number in range(2500)])
    for _ in range(500):
        broker.pull("a", "news", 5)
    return broker


def test_claims_on_all_in_hand_come_in_slices_as_they_were(group: Broker) -> None:
    claims = group.in_hand("a", "news", 2400)
    group.acknowledge("a", "news", [(0, 1)])
    group.pull("b", "news")
    done = [group.acknowledge("a", "news", some) for some in claims]
    assert [settled.count + len(settled.stale) for settled in done] == [1000, 1000, 401]
    assert [settled.stale for settled in done] == [[0], [], []]
    assert done[-1].position == 2401
    assert list(group.in_hand("b", "news", 2500)) == []


def test_messages_rejected_in_slices_come_back_together(group: Broker, clock: Clock) -> None:
    for claims in group.in_hand("a", "news", 2499):
        group.reject("a", "news", claims, delay=60.0)
    clock.advance(59.0)
    assert group.pull("b", "news").values == []
    clock.advance(1.0)
    again = [group.pull("b", "news", 10_000).offsets for _ in range(3)]
    assert [offset for offsets in again for offset in offsets] == list(range(2500))
    assert [len(offsets) for offsets in again] == [1000, 1000, 500]


def test_deadlines_are_extended_in_slices(group: Broker, clock: Clock) -> None:
    done = [group.extend("a", "news", claims, 100.0) for claims in group.in_hand("a", "news", 2399)]
    assert [(settled.count, settled.stale) for settled in done] == [(1000, []), (1000, []), (400, [])]
    clock.advance(99.0)
    assert group.pull("b", "news", 10_000).offsets == list(range(2400, 2500))
    clock.advance(1.0)
    again = [group.pull("b", "news", 10_000).offsets for _ in range(3)]
    assert [offset for offsets in again for offset in offsets] == list(range(2400))


def test_a_member_that_leaves_gives_back_all_it_has(group: Broker) -> None:
    group.reject("a", "news", [(7, None)], delay=3600.0)
    group.unsubscribe("a", "news")
    for _ in slices(group):
        pass
    again = group.pull("b", "news", 10_000)
    assert sorted(again.offsets) == list(range(2500))
    assert again.attempts == [2] * 2500
    assert group.stats().unacknowledged == 2500


def test_a_member_that_comes_back_has_nothing_of_what_it_gave_back(group: Broker) -> None:
    group.unsubscribe("a", "news")
    group.subscribe("a", "news", group="g")
    first = group.pull("b", "news", 10_000).offsets
    assert group.acknowledge("a", "news", [(first[0], None)]).stale == [first[0]]


# Freed messages


def test_what_is_freed_at_once_is_let_go_of_in_slices(broker: Broker) -> None:
    for peer_id in "bcde":
        broker.unsubscribe(peer_id, "news")
    broker.publish("news", [b"1"] * 14)
    broker.seek("a", "news", "latest")
    assert broker.list_topics(1)[0].first_offset == 14
    held = [broker.stats().memory_bytes, *(broker.stats().memory_bytes for _ in slices(broker))]
    assert held[:4] == [10 * SIZE, 6 * SIZE, 2 * SIZE, 0]
    assert broker.stats().freed_bytes == 14 * SIZE


@pytest.mark.parametrize("free", ["move", "delete"])
def test_freed_messages_leave_room_for_new_ones_at_once(free: str, clock: Clock) -> None:
    broker = subscribed(Broker(Limits(max_bytes=20 * SIZE, history=0), clock, per_slice=SMALL))
    for peer_id in "bcde":
        broker.unsubscribe(peer_id, "news")
    broker.publish("news", [b"1"] * 20)
    if free == "move":
        broker.seek("a", "news", "latest")
    else:
        broker.delete_topic("news")
        broker.create_topic("news")
        broker.subscribe("a", "news")
    broker.publish("news", [b"2"] * 20)
    assert broker.stats().memory_bytes == 20 * SIZE
    assert broker.pull("a", "news").values == [b"2"] * 20


# Waiting pulls


def test_pulls_that_hand_over_many_messages_are_answered_in_smaller_slices(clock: Clock) -> None:
    broker = subscribed(Broker(Limits(), clock, per_slice=SMALL._replace(answers=100)))
    pulls = [broker.pull_waiting(peer_id, "news", 3, 60.0) for peer_id in "abcde"]
    broker.publish("news", [b"1"] * 3)
    done = [sum(isinstance(pull, Future) and pull.done for pull in pulls) for _ in slices(broker)]
    assert done == [2, 4, 5], "a slice ends with the pull that hands over the fourth message"


# When the next slice is due


class Calls:
    """Counts calls."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1

    def since(self) -> int:
        count, self.count = self.count, 0
        return count


@pytest.fixture
def scheduled(clock: Clock) -> Broker:
    """A broker with small slices; of five entries in `news`, of two messages each, four are due in 10 seconds."""
    broker = subscribed(Broker(Limits(history=0), clock, per_slice=SMALL._replace(scheduled=2, values=15)))
    for number in range(5):
        broker.schedule("news", [b"%d" % number] * 2, delay=10.0 if number < 4 else 20.0)
    return broker


def test_scheduled_messages_are_published_in_slices_each_entry_whole(scheduled: Broker, clock: Clock) -> None:
    clock.advance(10.0)
    assert [scheduled.list_topics(1)[0].next_offset for _ in slices(scheduled)] == [4, 8]


@pytest.mark.parametrize("number", range(1, 5))
def test_what_is_cancelled_in_the_middle_of_slices_is_not_published(
    scheduled: Broker, clock: Clock, number: int
) -> None:
    clock.advance(10.0)
    scheduled.run_due()
    done = scheduled.cancel_scheduled("news", [number])
    assert done.unknown == ([number] if number <= 2 else [])
    list(slices(scheduled))
    assert scheduled.list_topics(1)[0].next_offset == 8 - done.count


@pytest.mark.parametrize("end", ["cancel", "delete"])
def test_memory_of_many_cancelled_messages_is_released_in_slices(scheduled: Broker, end: str, clock: Clock) -> None:
    if end == "cancel":
        assert scheduled.cancel_scheduled("news", range(1, 6)).count == 10
        assert scheduled.list_scheduled("news", 10).entries == []
        again = scheduled.schedule("news", [b"again"], delay=10.0).scheduled
        assert [entry.id for entry in scheduled.list_scheduled("news", 10).entries] == [again]
        clock.advance(10.0)
    else:
        assert scheduled.delete_topic("news").discarded == 10
    used = [scheduled.stats().memory_bytes, *(scheduled.stats().memory_bytes for _ in slices(scheduled))]
    assert len(set(used)) >= 2
    assert used == sorted(used, reverse=True)
    assert used[-1] == (64 + len(b"again") if end == "cancel" else 0)
    assert scheduled.stats().scheduled == 0


def test_who_runs_due_work_is_called_once_for_what_is_due_earlier_than_was_said(clock: Clock) -> None:
    calls = Calls()
    broker = Broker(Limits(), clock, on_due=calls)
    broker.create_topic("news")
    broker.register_peer("a", lease_seconds=100.0)
    assert calls.since() == 1, "it was never said"
    broker.subscribe("a", "news")
    assert broker.run_due().next_in == 100.0
    broker.register_peer("b", lease_seconds=200.0)
    assert calls.since() == 0, "later than was said"
    broker.register_peer("b", lease_seconds=50.0)
    broker.register_peer("c", lease_seconds=70.0)
    assert calls.since() == 1
    broker.pull_waiting("a", "news", 1, 60.0)
    assert broker.run_due().next_in == 50.0
    for _ in range(10):
        broker.publish("news", [b"1"])
    assert calls.since() == 1
    assert broker.run_due().next_in == 50.0


def test_when_nothing_is_due_it_never_will_be(clock: Clock) -> None:
    assert Broker(Limits(), clock).run_due().next_in == float("inf")


@pytest.mark.parametrize("what", ["a freed message", "a deleted topic"])
def test_who_runs_due_work_is_called_for(what: str, broker: Broker) -> None:
    calls = Calls()
    broker.on_due = calls
    broker.publish("news", [b"1"] * 14)
    list(slices(broker))
    calls.since()
    if "topic" in what:
        broker.delete_topic("news")
    else:
        for peer_id in "abcde":
            broker.seek(peer_id, "news", "latest")
    assert calls.since() == 1
    assert broker.run_due().next_in == 0.0


# Listings


def test_views_of_named_queues_are_those_that_still_exist(make_broker: MakeBroker) -> None:
    broker = subscribed(make_broker())
    broker.register_peer("f")
    broker.subscribe("f", "news", group="g")
    names = broker.queue_names("news")
    assert sorted(names) == ["a", "b", "c", "d", "e", "group g"]
    broker.unsubscribe("b", "news")
    assert [view.queue for view in broker.queue_views("news", ["group g", "b", "a"])] == ["group g", "a"]
    assert broker.subscribed_topics("f") == ["news"]
    assert [view.group for view in broker.subscription_views("f", ["news", "other"])] == ["g"]
    assert broker.queue_views("news", names) == [
        view for name in names for view in broker.list_subscriptions(10, topic="news") if view.queue == name
    ]
    assert broker.queue_backlogs("news", ["b", "a"]) == [(0, 0), (0, 0)]
    broker.publish("news", [b"1"])
    assert broker.queue_backlogs("news", ["b", "a"]) == [(0, 0), (1, 1)]
    assert [figures.queue for figures in broker.queue_figures("news", names)] == sorted(
        {*names} - {"b"}, key=names.index
    )
    broker.delete_topic("news")
    with pytest.raises(TopicNotFound):
        broker.queue_names("news")
    with pytest.raises(TopicNotFound):
        broker.queue_backlogs("news", names)
    with pytest.raises(TopicNotFound):
        broker.queue_figures("news", names)
    assert broker.subscription_views("f", ["news"]) == []
    with pytest.raises(PeerNotFound):
        broker.subscription_views("nobody", ["news"])
