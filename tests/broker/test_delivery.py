"""Explicit acknowledgement: redelivery, rejection, stale claims, dead letters."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from peerbus.broker import Broker
from peerbus.errors import BadRequest
from peerbus.future import Future
from tests.support.harness import Clock

MakeBroker = Callable[..., Broker]


def explicit(broker: Broker, *peers: str, **options: Any) -> Broker:
    """The topic `news`, and peers subscribed to it with explicit acknowledgement."""
    broker.create_topic("news")
    for peer_id in peers or ("a",):
        broker.register_peer(peer_id)
        broker.subscribe(peer_id, "news", explicit=True, ack_deadline=10.0, **options)
    return broker


def publish(broker: Broker, count: int) -> None:
    broker.publish("news", [b"%d" % number for number in range(count)])


def test_what_is_not_acknowledged_in_time_is_handed_over_again_with_its_attempt_counted(
    broker: Broker, clock: Clock
) -> None:
    explicit(broker)
    publish(broker, 2)
    first = broker.pull("a", "news")
    assert (first.offsets, first.attempts, first.position) == ([0, 1], [1, 1], 0)
    assert broker.acknowledge("a", "news", [(0, None)]).count == 1
    clock.advance(9.9)
    assert broker.pull("a", "news").values == []
    clock.advance(0.1)
    again = broker.pull("a", "news")
    assert (again.offsets, again.values, again.attempts) == ([1], [b"1"], [2])
    assert broker.acknowledge("a", "news", 1).count == 1
    clock.advance(100.0)
    assert broker.pull("a", "news").values == []
    assert broker.stats().acknowledged == 2
    assert broker.stats().redelivered == 1


def test_what_is_not_acknowledged_in_time_is_counted_and_nothing_else(broker: Broker, clock: Clock) -> None:
    explicit(broker, "a", "b", group="g")
    publish(broker, 4)
    broker.pull("a", "news", 3)
    broker.pull("b", "news", 1)
    broker.acknowledge("a", "news", [(0, None)])
    broker.reject("a", "news", [(1, None)])
    broker.unregister_peer("b")
    assert broker.stats().overdue == 0
    clock.advance(10.0)
    assert len(broker.pull("a", "news").values) == 3
    assert broker.stats().overdue == 1


def test_an_acknowledgement_after_the_redelivery_is_stale_and_changes_nothing(broker: Broker, clock: Clock) -> None:
    explicit(broker)
    publish(broker, 1)
    broker.pull("a", "news")
    clock.advance(10.0)
    broker.pull("a", "news")
    late = broker.acknowledge("a", "news", [(0, 1)])
    assert (late.count, late.stale) == (0, [0])
    clock.advance(10.0)
    assert broker.pull("a", "news").attempts == [3]


def test_an_acknowledgement_after_the_deadline_counts_as_long_as_nobody_has_it_again(
    broker: Broker, clock: Clock
) -> None:
    explicit(broker)
    publish(broker, 1)
    broker.pull("a", "news")
    clock.advance(11.0)
    assert broker.acknowledge("a", "news", [(0, 1)]).count == 1
    assert broker.pull("a", "news").values == []


def test_acknowledging_twice_or_what_was_never_handed_over_is_stale(broker: Broker) -> None:
    explicit(broker)
    publish(broker, 3)
    broker.pull("a", "news", 2)
    assert broker.acknowledge("a", "news", [(0, None), (0, None), (2, None), (99, None)]).stale == [2, 99]
    assert broker.acknowledge("a", "news", [(0, None)]).stale == [0]


def test_rejecting_hands_over_again_at_once_or_after_a_delay(broker: Broker, clock: Clock) -> None:
    explicit(broker)
    publish(broker, 2)
    broker.pull("a", "news")
    assert broker.reject("a", "news", [(0, None)]).count == 1
    assert broker.reject("a", "news", [(1, None)], delay=3.0).count == 1
    assert broker.pull("a", "news").offsets == [0]
    clock.advance(3.0)
    assert broker.pull("a", "news").offsets == [1]


def test_a_rejection_with_delay_extends_the_deadline(broker: Broker, clock: Clock) -> None:
    explicit(broker)
    publish(broker, 1)
    broker.pull("a", "news")
    clock.advance(9.0)
    broker.reject("a", "news", 0, delay=30.0)
    clock.advance(29.0)
    assert broker.pull("a", "news").values == []
    assert broker.acknowledge("a", "news", 0).count == 1


@pytest.mark.parametrize("delay", [0.0, 3.0])
def test_what_is_handed_back_untouched_comes_again_as_the_same_attempt(
    broker: Broker, clock: Clock, delay: float
) -> None:
    explicit(broker)
    publish(broker, 2)
    broker.pull("a", "news", 1)
    broker.reject("a", "news", 0)
    assert broker.pull("a", "news").attempts == [2, 1]
    done = broker.reject("a", "news", 1, delay, attempted=False)
    assert (done.count, done.stale, done.position) == (2, [], 0)
    if delay:
        assert broker.pull("a", "news").values == []
        clock.advance(delay)
    again = broker.pull("a", "news")
    assert (again.offsets, again.attempts) == ([0, 1], [2, 1])
    clock.advance(10.0)
    assert broker.pull("a", "news").attempts == [3, 2], "this delivery counts"


def test_handing_back_is_never_the_last_attempt(broker: Broker, clock: Clock) -> None:
    explicit(broker, "a", "b", group="g", max_attempts=2, dead_letter_topic="dead")
    publish(broker, 1)
    for attempt, attempted in ((1, True), (2, False)):
        assert broker.pull("a", "news").attempts == [attempt]
        broker.reject("a", "news", 0, attempted=attempted)
    broker.subscribe("a", "news", max_attempts=1)
    assert broker.pull("a", "news").attempts == [2], "also after fewer attempts are allowed"
    broker.reject("a", "news", 0, 5.0, attempted=False)
    broker.unsubscribe("a", "news")
    assert broker.pull("b", "news").attempts == [2], "also if its member left during the delay"
    clock.advance(10.0)
    broker.run_due()
    assert broker.stats().dead_lettered == 1


def test_what_was_handed_back_can_be_acknowledged_until_it_comes_again(broker: Broker) -> None:
    explicit(broker)
    publish(broker, 2)
    broker.pull("a", "news")
    broker.reject("a", "news", [(0, 1)], 5.0, attempted=False)
    broker.reject("a", "news", [(1, 1)], attempted=False)
    assert broker.acknowledge("a", "news", [(0, 1), (1, 1)]).count == 2
    assert broker.pull("a", "news").values == []


def test_of_two_rejections_the_later_one_counts(broker: Broker) -> None:
    explicit(broker)
    publish(broker, 2)
    broker.pull("a", "news")
    broker.reject("a", "news", [(0, 1)], attempted=False)
    broker.reject("a", "news", [(0, 1), (1, 1)])
    broker.reject("a", "news", [(1, 1)], attempted=False)
    again = broker.pull("a", "news")
    assert (again.offsets, again.attempts) == ([0, 1], [2, 1])


def test_extending_moves_the_deadline_of_what_is_in_hand(broker: Broker, clock: Clock) -> None:
    explicit(broker)
    publish(broker, 3)
    broker.pull("a", "news")
    clock.advance(9.0)
    done = broker.extend("a", "news", [(0, 1), (1, None), (2, 2), (7, None)], 30.0)
    assert (done.count, done.stale, done.position, done.explicit) == (2, [2, 7], 0, True)
    clock.advance(1.0)
    assert broker.pull("a", "news").offsets == [2]
    broker.acknowledge("a", "news", [(1, None), (2, None)])
    clock.advance(28.9)
    assert broker.pull("a", "news").values == []
    clock.advance(0.1)
    again = broker.pull("a", "news")
    assert (again.offsets, again.attempts) == ([0], [2])


def test_a_deadline_may_be_extended_to_an_earlier_one(broker: Broker, clock: Clock) -> None:
    explicit(broker)
    publish(broker, 1)
    broker.pull("a", "news")
    waiting = broker.pull_waiting("a", "news", 1, 60.0)
    assert isinstance(waiting, Future)
    broker.run_due()
    broker.extend("a", "news", 0, 1.0)
    assert broker.run_due().next_in == 1.0
    clock.advance(1.0)
    broker.run_due()
    assert waiting.result(0).attempts == [2]


@pytest.mark.parametrize("attempted", [True, False])
@pytest.mark.parametrize("delay", [0.0, 3.0])
def test_what_was_rejected_and_is_extended_is_in_hand_again(
    broker: Broker, clock: Clock, delay: float, attempted: bool
) -> None:
    explicit(broker, max_attempts=2)
    publish(broker, 1)
    broker.pull("a", "news")
    broker.reject("a", "news", 0, delay, attempted=attempted)
    assert broker.extend("a", "news", [(0, 1)], 10.0).count == 1
    clock.advance(9.9)
    assert broker.pull("a", "news").values == []
    clock.advance(0.1)
    assert broker.pull("a", "news").attempts == [2], "it counts as an attempt, however it was rejected before"


def test_what_is_overdue_can_be_extended_until_it_is_redelivered(broker: Broker, clock: Clock) -> None:
    explicit(broker, "a", "b", group="g")
    publish(broker, 2)
    broker.pull("a", "news")
    clock.advance(10.0)
    assert broker.pull("b", "news", 1).offsets == [0]
    done = broker.extend("a", "news", 1, 10.0)
    assert (done.count, done.stale) == (1, []), "one is b's now, the other is a's as before"
    assert broker.extend("a", "news", [(0, None)], 10.0).stale == [0]
    assert broker.pull("b", "news").values == []


def test_extending_is_a_sign_of_life(broker: Broker, clock: Clock) -> None:
    broker.register_peer("a", lease_seconds=5.0)
    explicit(broker)
    for _ in range(3):
        clock.advance(4.0)
        broker.extend("a", "news", [], 1.0)
    assert broker.run_due().expired == {}


def test_where_pulling_acknowledges_nothing_can_be_extended(broker: Broker) -> None:
    broker.create_topic("news")
    broker.register_peer("a")
    broker.subscribe("a", "news")
    publish(broker, 1)
    broker.pull("a", "news")
    done = broker.extend("a", "news", [(0, None)], 10.0)
    assert (done.count, done.stale, done.explicit) == (0, [0], False)


@pytest.mark.parametrize(
    ("give_up", "reason"),
    [
        (lambda _, clock: clock.advance(10.0), "not acknowledged in time"),
        (lambda broker, _: broker.reject("a", "news", 0), "rejected"),
        (lambda broker, _: broker.unregister_peer("a"), "its peer left"),
    ],
)
def test_after_the_last_attempt_a_message_goes_to_the_dead_letter_topic(
    broker: Broker, clock: Clock, give_up: Callable[[Broker, Clock], object], reason: str
) -> None:
    explicit(broker, "a", "b", max_attempts=1, dead_letter_topic="dead", group="g")
    broker.publish("news", [b'{"n": 1.0}'], "b")
    broker.pull("a", "news")
    give_up(broker, clock)
    broker.run_due()
    broker.subscribe("b", "dead", "earliest")
    (letter,) = broker.pull("b", "dead").values
    assert letter.startswith(b'{"message":{"n": 1.0},')
    origin = {"topic": "news", "offset": 0, "attempts": 1, "peer_id": "a", "reason": reason}
    told = json.loads(letter)
    times = [told.pop(name) for name in ("published_at", "first_delivery", "last_delivery")]
    assert told == {"message": {"n": 1.0}, **origin, "publisher": "b"}
    assert times == [pytest.approx(times[0], abs=1.0)] * 3
    assert broker.pull("b", "news").values == []
    assert broker.stats().dead_lettered == 1


def test_a_dead_letter_has_the_times_of_its_message(clock: Clock) -> None:
    broker = Broker(clock=clock, wall_clock=lambda: clock() + 1e9)
    explicit(broker, max_attempts=3, dead_letter_topic="dead")
    publish(broker, 1)
    for pause in (1.0, 2.0, 4.0):
        clock.advance(pause)
        broker.pull("a", "news")
        broker.reject("a", "news", 0, delay=5.0)
        clock.advance(5.0)
    broker.run_due()
    (letter,) = map(json.loads, broker.peek("dead", 1, 1000).values)
    times = [letter[name] - 1e9 - 1000.0 for name in ("published_at", "first_delivery", "last_delivery")]
    assert times == [0.0, 1.0, 17.0]


def test_without_a_dead_letter_topic_it_is_counted_as_missed(broker: Broker) -> None:
    explicit(broker, max_attempts=2)
    publish(broker, 2)
    for _ in range(2):
        broker.pull("a", "news", 1)
        broker.reject("a", "news", 0)
    pulled = broker.pull("a", "news")
    assert (pulled.offsets, pulled.missed) == ([1], 1)


def test_a_dead_letter_that_finds_no_room_stays_and_is_tried_again(broker: Broker, clock: Clock) -> None:
    explicit(broker, max_attempts=1, dead_letter_topic="dead")
    broker.create_topic("dead", max_messages=1)
    broker.subscribe("a", "dead", group="dead-letters")
    publish(broker, 2)
    broker.pull("a", "news")
    clock.advance(10.0)
    broker.run_due()
    assert broker.pull("a", "dead").values != []
    assert broker.list_topics(2)[1].unread == 1
    clock.advance(10.0)
    broker.run_due()
    assert broker.pull("a", "dead").values != []
    assert broker.list_topics(2)[1].unread == 0
    assert broker.pull("a", "news").missed == 0


def test_unacknowledged_messages_count_as_waiting_and_are_kept(make_broker: MakeBroker) -> None:
    broker = explicit(make_broker(history=0))
    publish(broker, 3)
    broker.pull("a", "news")
    broker.acknowledge("a", "news", [(1, None), (2, None)])
    assert broker.list_topics(1)[0].unread == 3
    assert broker.delete_topic("news").discarded == 3


def test_what_overflow_drops_before_it_can_be_handed_over_again_is_missed(broker: Broker, clock: Clock) -> None:
    broker.create_topic("news", max_messages=2, overflow="drop_oldest")
    broker.register_peer("a")
    broker.subscribe("a", "news", explicit=True, ack_deadline=10.0)
    publish(broker, 2)
    broker.pull("a", "news")
    publish(broker, 1)
    clock.advance(5.0)
    assert broker.acknowledge("a", "news", [(0, None)]).count == 1, "it was handed over all the same"
    broker.reject("a", "news", [(1, None)])
    publish(broker, 2)
    pulled = broker.pull("a", "news")
    assert (pulled.offsets, pulled.missed) == ([3, 4], 2)


def test_only_so_many_may_be_unacknowledged(make_broker: MakeBroker) -> None:
    broker = explicit(make_broker(max_unacknowledged=2))
    publish(broker, 5)
    assert broker.pull("a", "news").offsets == [0, 1]
    blocked = broker.pull("a", "news")
    assert (blocked.values, blocked.remaining, blocked.unacknowledged) == ([], 3, 2)
    broker.acknowledge("a", "news", [(0, None)])
    assert broker.pull("a", "news").offsets == [2]


def test_subscribing_again_changes_the_options_that_are_named(broker: Broker, clock: Clock) -> None:
    explicit(broker)
    broker.subscribe("a", "news", ack_deadline=20.0)
    publish(broker, 1)
    broker.pull("a", "news")
    clock.advance(19.0)
    assert broker.pull("a", "news").values == []
    broker.subscribe("a", "news", explicit=False)
    clock.advance(1.0)
    last = broker.pull("a", "news")
    assert (last.values, last.attempts, last.unacknowledged) == ([b"0"], None, 0)


def test_options_that_mean_nothing_are_refused(broker: Broker) -> None:
    broker.create_topic("news")
    broker.register_peer("a")
    with pytest.raises(BadRequest, match="explicit"):
        broker.subscribe("a", "news", max_attempts=3)
    with pytest.raises(BadRequest, match="dead_letter_topic"):
        broker.subscribe("a", "news", explicit=True, dead_letter_topic="news")
    assert broker.subscribers("news") == []


def test_moving_the_position_forgets_what_was_handed_over(broker: Broker, clock: Clock) -> None:
    explicit(broker)
    publish(broker, 3)
    broker.pull("a", "news")
    broker.seek("a", "news", 1)
    assert broker.acknowledge("a", "news", [(0, None), (1, None)]).stale == [0, 1]
    assert broker.pull("a", "news").attempts == [1, 1]
    clock.advance(10.0)
    assert broker.pull("a", "news").offsets == [1, 2]


@pytest.mark.parametrize("missing", [0, 1])
def test_messages_that_are_too_old_are_dropped_and_counted(broker: Broker, clock: Clock, missing: int) -> None:
    broker.create_topic("news", max_age=5.0)
    broker.register_peer("a")
    broker.subscribe("a", "news")
    publish(broker, 2)
    clock.advance(3.0)
    publish(broker, 1)
    assert broker.pull("a", "news", 2 - missing).missed == 0
    clock.advance(2.0)
    pulled = broker.pull("a", "news")
    assert (pulled.values, pulled.missed) == ([b"0"], missing)
    assert broker.stats().memory_bytes == 65


def test_memory_of_messages_that_are_too_old_returns_though_nobody_calls(broker: Broker, clock: Clock) -> None:
    broker.create_topic("news", max_age=5.0)
    publish(broker, 1000)
    clock.advance(5.0)
    broker.run_due()
    assert broker.stats().memory_bytes == 0


def test_max_attempts_named_later_counts_for_what_is_out_already(broker: Broker, clock: Clock) -> None:
    explicit(broker)
    publish(broker, 1)
    broker.pull("a", "news")
    broker.subscribe("a", "news", max_attempts=1, dead_letter_topic="dead")
    clock.advance(10.0)
    broker.run_due()
    assert broker.stats().dead_lettered == 1


def test_dead_letters_grow_too_old_like_other_messages(broker: Broker, clock: Clock) -> None:
    explicit(broker, max_attempts=1, dead_letter_topic="dead")
    broker.create_topic("dead", max_age=5.0)
    publish(broker, 1)
    broker.pull("a", "news")
    clock.advance(10.0)
    broker.run_due()
    assert broker.list_topics(1)[0].first_offset == 0
    clock.advance(5.0)
    broker.run_due()
    assert broker.list_topics(1)[0].first_offset == 1


def test_dead_letters_in_a_circle_come_to_an_end() -> None:
    broker = Broker()
    broker.register_peer("a")
    for topic, other in (("here", "there"), ("there", "here")):
        broker.create_topic(topic)
        broker.subscribe("a", topic, explicit=True, max_attempts=1, dead_letter_topic=other)
    broker.publish("here", [b"[" * 200 + b"]" * 200])
    rounds = missed = 0
    while not missed:
        for topic in ("here", "there"):
            pulled = broker.pull("a", topic)
            missed += pulled.missed
            for offset, value in zip(pulled.offsets, pulled.values, strict=True):
                json.loads(value)
                broker.reject("a", topic, [(offset, None)])
        rounds += 1
    assert (missed, rounds) == (1, 102), "the loss is told by the pull after the 201st letter"
    assert broker.stats().dead_lettered == 200


def test_very_many_exhausted_messages_are_buried_in_slices(broker: Broker, clock: Clock) -> None:
    explicit(broker, max_attempts=1, dead_letter_topic="dead")
    publish(broker, 2500)
    broker.pull("a", "news", 2500)
    clock.advance(10.0)
    buried = []
    while broker.list_topics(2)[-1].unread:
        broker.run_due()
        buried.append(broker.stats().dead_lettered)
    assert buried == [*range(100, 2501, 100)]
