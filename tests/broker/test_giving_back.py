"""What a pull handed over and did not arrive, and going back to what was handed over before."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peerbus.broker import Broker, Limits
from peerbus.broker.in_flight import Claim
from peerbus.broker.results import Pulled
from peerbus.errors import StreamReplaced, TopicDeleted
from peerbus.future import Future
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from tests.broker.kept import writing_each_call
from tests.support.harness import DEADLINE, Clock

MakeBroker = Callable[..., Broker]


def subscribed(broker: Broker, *peers: str, group: str | None = None, explicit: bool = False) -> Broker:
    broker.create_topic("news")
    for peer_id in peers:
        broker.register_peer(peer_id)
        broker.subscribe(peer_id, "news", group=group, explicit=explicit)
    broker.publish("news", [b"0", b"1", b"2", b"3"])
    return broker


def give_back(broker: Broker, peer_id: str, pulled: Pulled, begin: int = 0) -> None:
    attempts = None if pulled.attempts is None else pulled.attempts[begin:]
    broker.give_back(peer_id, "news", pulled.queue, pulled.generation, pulled.offsets[begin:], attempts, pulled.missed)


def test_what_was_pulled_last_and_given_back_comes_again(broker: Broker) -> None:
    subscribed(broker, "a")
    give_back(broker, "a", broker.pull("a", "news", 3), begin=1)
    again = broker.pull("a", "news")
    assert (list(again.offsets), again.missed) == ([1, 2, 3], 0)


def test_many_that_are_given_back_come_again(broker: Broker) -> None:
    subscribed(broker, "a")
    broker.publish("news", [b"%d" % number for number in range(4, 500)])
    give_back(broker, "a", broker.pull("a", "news", 300), begin=100)
    again = broker.pull("a", "news")
    assert (list(again.offsets), again.missed) == (list(range(100, 500)), 0)
    assert again.values == [b"%d" % number for number in range(100, 500)]


def test_what_is_given_back_wakes_who_waits(broker: Broker) -> None:
    subscribed(broker, "a")
    pulled = broker.pull("a", "news")
    waiting = broker.pull_waiting("a", "news", 10, 60.0)
    assert isinstance(waiting, Future)
    give_back(broker, "a", pulled)
    broker.run_due()
    assert waiting.result(DEADLINE).values == [b"0", b"1", b"2", b"3"]


def test_with_explicit_acknowledgement_it_is_the_same_attempt(broker: Broker) -> None:
    subscribed(broker, "a", explicit=True)
    give_back(broker, "a", broker.pull("a", "news", 2), begin=1)
    again = broker.pull("a", "news", 1)
    assert (list(again.offsets), again.attempts) == ([1], [1])


def test_where_another_of_the_group_pulled_since_it_comes_again(broker: Broker) -> None:
    subscribed(broker, "a", "b", group="g")
    pulled = broker.pull("a", "news", 2)
    assert broker.pull("b", "news", 1).values == [b"2"]
    give_back(broker, "a", pulled)
    again = broker.pull("a", "news")
    assert (again.offsets, again.values, again.missed) == ([0, 1, 3], [b"0", b"1", b"3"], 0)


def test_what_is_given_back_and_no_longer_kept_counts_as_missed(make_broker: MakeBroker) -> None:
    broker = subscribed(make_broker(history=2), "a", "b", group="g")
    pulled = broker.pull("a", "news", 2)
    broker.pull("b", "news", 1)
    give_back(broker, "a", pulled)
    again = broker.pull("a", "news")
    assert (again.values, again.missed) == ([b"1", b"3"], 1)


def passed_over(broker: Broker) -> Broker:
    """`w` of the group of dead letters, whose pulls acknowledge; of four letters the third was redriven."""
    broker.create_topic("jobs")
    broker.register_peer("w")
    broker.subscribe("w", "jobs", explicit=True, max_attempts=1, dead_letter_topic="news")
    broker.publish("jobs", [b"0", b"1", b"2", b"3"])
    broker.reject("w", "jobs", [(offset, None) for offset in broker.pull("w", "jobs").offsets])
    broker.register_peer("a")
    broker.subscribe("a", "news", group="dead-letters", explicit=False)
    broker.redrive("news", [2])
    return broker


def test_new_messages_and_those_passed_over_are_given_back_together(broker: Broker) -> None:
    passed_over(broker)
    pulled = broker.pull("a", "news")
    assert pulled.offsets == [0, 1, 3]
    give_back(broker, "a", pulled, begin=1)
    again = broker.pull("a", "news")
    assert (again.offsets, again.missed) == ([1, 3], 0)


def test_new_messages_and_those_passed_over_are_rejected_together(broker: Broker) -> None:
    passed_over(broker)
    broker.pull("a", "news")
    assert broker.reject("a", "news", claims(0, 1)).stale == [0, 1], "the last ones alone"
    assert broker.reject("a", "news", claims(1, 3)).count == 2
    assert broker.reject("a", "news", claims(1, 3)).stale == [1, 3], "once"
    again = broker.pull("a", "news")
    assert (again.offsets, again.missed) == ([1, 3], 0)


def test_what_is_given_back_waits_over_a_restart(tmp_path: Path, clock: Clock) -> None:
    journal = GroupCommit(Storage(tmp_path), reserve=0, clock=clock)
    broker = subscribed(writing_each_call(journal, Limits()), "a", "b", group="g")
    pulled = broker.pull("a", "news", 2)
    broker.pull("b", "news", 1)
    give_back(broker, "a", pulled)
    journal.close()
    journal = GroupCommit(Storage(tmp_path), reserve=0, clock=clock)
    again = writing_each_call(journal, Limits()).pull("b", "news")
    journal.close()
    assert (again.offsets, again.missed) == ([0, 1, 3], 0)


def test_a_count_of_missed_messages_is_given_back_too(make_broker: MakeBroker) -> None:
    broker = make_broker(history=0)
    broker.create_topic("news", max_messages=2, overflow="drop_oldest")
    broker.register_peer("a")
    broker.subscribe("a", "news")
    for number in range(5):
        broker.publish("news", [b"%d" % number])
    pulled = broker.pull("a", "news", 1)
    assert pulled.missed == 3
    give_back(broker, "a", pulled)
    again = broker.pull("a", "news")
    assert again.missed + len(again.values) == 5
    assert broker.stats().missed == 4, "each counts once"


@pytest.mark.parametrize("explicit", [False, True])
def test_a_count_of_missed_messages_that_is_given_back_outlives_a_restart(
    tmp_path: Path, clock: Clock, explicit: bool
) -> None:
    missed: list[int] = []
    for _ in range(2):
        journal = GroupCommit(Storage(tmp_path), reserve=0, clock=clock)
        broker = writing_each_call(journal, Limits(history=0))
        if not missed:
            broker.create_topic("news", max_messages=2, overflow="drop_oldest")
            broker.register_peer("a")
            broker.subscribe("a", "news", explicit=explicit)
            for number in range(5):
                broker.publish("news", [b"%d" % number])
        pulled = broker.pull("a", "news", 1)
        missed.append(pulled.missed)
        attempts: list[int] | None = [] if explicit else None
        broker.give_back("a", "news", pulled.queue, pulled.generation, [], attempts, pulled.missed)
        journal.close()
    assert missed == [3, 3]


def test_nothing_is_given_back_to_who_is_gone(broker: Broker) -> None:
    subscribed(broker, "a")
    pulled = broker.pull("a", "news")
    broker.unregister_peer("a")
    give_back(broker, "a", pulled)
    subscribed(broker, "a")
    assert broker.pull("a", "news").values == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("leave", [lambda b: b.leave("a", 100), lambda b: b.unsubscribe("a", "news")])
@pytest.mark.parametrize("explicit", [False, True])
def test_a_group_gets_what_is_given_back_after_its_member_left(
    broker: Broker, explicit: bool, leave: Callable[[Broker], object]
) -> None:
    subscribed(broker, "a", "b", group="g", explicit=explicit)
    pulled = broker.pull("a", "news", 2)
    leave(broker)
    give_back(broker, "a", pulled)
    again = broker.pull("b", "news")
    assert (sorted(again.values), again.missed) == ([b"0", b"1", b"2", b"3"], 0)
    assert not explicit or set(again.attempts or ()) == {1}


def test_a_peer_that_is_back_gets_what_is_given_back_while_it_was_away(broker: Broker) -> None:
    subscribed(broker, "a")
    broker.create_topic("other")
    broker.subscribe("a", "other")
    pulled = broker.pull("a", "news")
    assert broker.leave("a", 1).left == 1
    give_back(broker, "a", pulled)
    assert broker.pull("a", "news").values == [b"0", b"1", b"2", b"3"]


def test_giving_back_is_no_sign_of_life(broker: Broker, clock: Clock) -> None:
    broker.register_peer("a", lease_seconds=10.0)
    subscribed(broker, "a")
    pulled = broker.pull("a", "news")
    clock.now += 6
    give_back(broker, "a", pulled)
    clock.now += 6
    assert broker.run_due().expired == {"a": 0}


def test_who_gives_back_is_not_who_is_told_of_a_deleted_topic(broker: Broker) -> None:
    subscribed(broker, "a")
    pulled = broker.pull("a", "news")
    broker.delete_topic("news")
    give_back(broker, "a", pulled)
    with pytest.raises(TopicDeleted):
        broker.pull("a", "news")


def test_nothing_is_given_back_to_a_topic_of_the_same_name(broker: Broker) -> None:
    subscribed(broker, "a")
    pulled = broker.pull("a", "news")
    broker.delete_topic("news")
    subscribed(broker, "a")
    broker.pull("a", "news")
    give_back(broker, "a", pulled)
    again = broker.pull("a", "news")
    assert (again.values, again.missed) == ([], 0)


def go_back(broker: Broker) -> None:
    broker.resume("a", "news", 1)


def seek(broker: Broker) -> None:
    broker.seek("a", "news", 1)


@pytest.mark.parametrize("move", [go_back, seek])
@pytest.mark.parametrize("count", [1, 3])
def test_what_was_pulled_before_the_queue_was_moved_is_not_given_back(
    broker: Broker, move: Callable[[Broker], None], count: int
) -> None:
    subscribed(broker, "a")
    pulled = broker.pull("a", "news")
    move(broker)
    seen = broker.pull("a", "news", count).values
    give_back(broker, "a", pulled)
    again = broker.pull("a", "news")
    assert ([*seen, *again.values], again.missed) == ([b"1", b"2", b"3"], 0)


def test_a_queue_of_ones_own_goes_back_and_never_on(broker: Broker) -> None:
    subscribed(broker, "a")
    broker.pull("a", "news", 3)
    broker.resume("a", "news", 10)
    assert broker.pull("a", "news", 1).values == [b"3"]
    broker.resume("a", "news", 1)
    assert broker.pull("a", "news").values == [b"1", b"2", b"3"]


@pytest.mark.parametrize("offset", [1, 3])
def test_a_reader_that_comes_back_ends_those_before_it(broker: Broker, offset: int) -> None:
    subscribed(broker, "a")
    first = broker.resume("a", "news", None)
    assert broker.resume("a", "news", None) == first, "who does not come back shares the queue"
    broker.pull_waiting("a", "news", 10, 0.0, first)
    waiting = broker.pull_waiting("a", "news", 10, 60.0, first)
    plain = broker.pull_waiting("a", "news", 10, 60.0)
    assert isinstance(waiting, Future)
    assert isinstance(plain, Future)
    second = broker.resume("a", "news", offset + 1)
    broker.run_due()
    with pytest.raises(StreamReplaced):
        waiting.result(0)
    with pytest.raises(StreamReplaced):
        broker.pull_waiting("a", "news", 10, 60.0, first)
    if offset == 3:
        assert not plain.done, "only readers end"
        broker.publish("news", [b"4"])
        broker.run_due()
    assert plain.result(0).values == ([b"2", b"3"] if offset == 1 else [b"4"])
    broker.publish("news", [b"5"])
    own = broker.pull_waiting("a", "news", 10, 60.0, second)
    assert not isinstance(own, Future)
    assert own.values == [b"5"]


def test_what_is_no_longer_kept_counts_as_missed(make_broker: MakeBroker) -> None:
    broker = subscribed(make_broker(history=1), "a")
    broker.pull("a", "news")
    broker.resume("a", "news", 1)
    again = broker.pull("a", "news")
    assert (again.values, again.missed) == ([b"3"], 2)


@pytest.mark.parametrize("shared", [{"group": "g"}, {"explicit": True}])
def test_what_others_share_or_is_to_be_acknowledged_stays_where_it_is(broker: Broker, shared: dict[str, Any]) -> None:
    subscribed(broker, "a", **shared)
    broker.pull("a", "news", 3)
    broker.resume("a", "news", 0)
    assert broker.pull("a", "news").values == [b"3"]


def test_what_was_unacknowledged_comes_once_where_its_queue_went_back(broker: Broker, clock: Clock) -> None:
    subscribed(broker, "a", explicit=True)
    broker.pull("a", "news")
    broker.acknowledge("a", "news", [(0, None), (1, None), (2, None)])
    broker.subscribe("a", "news", explicit=False)
    broker.resume("a", "news", 1)
    assert broker.list_subscriptions(1, topic="news")[0].resume_from == 1
    assert broker.pull("a", "news").values == [b"1", b"2", b"3"]
    clock.advance(60.0)
    assert broker.pull("a", "news").values == []
    assert broker.list_subscriptions(1, topic="news")[0].resume_from == 4


def test_what_was_gone_back_to_is_given_back_too(broker: Broker) -> None:
    broker.create_topic("news")
    broker.publish("news", [b"0"])
    subscribed(broker, "a")
    broker.pull("a", "news")
    broker.resume("a", "news", 0)
    give_back(broker, "a", broker.pull("a", "news", 2))
    again = broker.pull("a", "news", 1)
    assert (again.values, again.missed) == ([b"0"], 0)


# Rejecting what pulling has acknowledged


def claims(*offsets: int) -> list[Claim]:
    return [(offset, None) for offset in offsets]


@pytest.mark.parametrize("group", [None, "g"])
def test_what_was_pulled_last_may_be_rejected_where_pulling_acknowledges(broker: Broker, group: str | None) -> None:
    subscribed(broker, "a", group=group)
    broker.pull("a", "news", 3)
    done = broker.reject("a", "news", claims(1, 2))
    assert (done.count, done.stale, done.position) == (2, [], 1)
    assert broker.pull("a", "news").values == [b"1", b"2", b"3"]


@pytest.mark.parametrize("offsets", [(0,), (0, 1), (2, 1), (1, 1), (0, 2), (2, 3), (3,), (10**12,), (2, 2)], ids=str)
def test_other_messages_are_stale_and_nothing_changes(broker: Broker, offsets: tuple[int, ...]) -> None:
    subscribed(broker, "a")
    broker.pull("a", "news", 3)
    done = broker.reject("a", "news", claims(*offsets))
    assert (done.count, done.stale, done.position) == (0, list(offsets), 3)
    assert broker.pull("a", "news").values == [b"3"]


def test_what_was_pulled_last_cannot_be_rejected_for_later(broker: Broker) -> None:
    subscribed(broker, "a")
    broker.pull("a", "news", 3)
    assert broker.reject("a", "news", claims(2), delay=1.0).stale == [2]


def test_what_came_before_the_subscription_cannot_be_rejected(broker: Broker) -> None:
    broker.create_topic("news")
    broker.publish("news", [b"0", b"1"])
    subscribed(broker, "a")
    assert broker.reject("a", "news", claims(1)).stale == [1]
    assert broker.pull("a", "news").offsets[0] == 2


def test_rejecting_wakes_who_waits(broker: Broker) -> None:
    subscribed(broker, "a")
    broker.pull("a", "news")
    waiting = broker.pull_waiting("a", "news", 10, 60.0)
    assert isinstance(waiting, Future)
    broker.reject("a", "news", claims(3))
    broker.run_due()
    assert waiting.result(DEADLINE).values == [b"3"]
