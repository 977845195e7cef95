"""The history checker finds each fault it is there for, and no other."""

from dataclasses import dataclass
from itertools import combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.system.reliability.history import Delivery, Publish, check

SENT = [[Publish("a0"), Publish("a1"), Publish("a2")], [Publish("b0"), Publish("b1")]]
ARRIVED = [
    [Delivery("a0", 0, acknowledged=True), Delivery("a1", 2)],
    [Delivery("b0", 1), Delivery("a1", 2, attempt=2), Delivery("b1", 3), Delivery("a2", 4)],
]
CLEAN = "published 5, delivered 6, redelivered 1, lost 0, duplicated 0, invented 0, reordered 0"

Place = tuple[int, int]
"""Which consumer, and which of its deliveries."""


def test_a_clean_history_is_faultless() -> None:
    report = check(SENT, ARRIVED)
    assert not report.faults
    assert str(report) == CLEAN


def test_an_empty_history_is_faultless() -> None:
    assert not check([], []).faults


def test_an_acknowledged_message_that_never_arrives_is_lost() -> None:
    report = check(SENT, [ARRIVED[0], ARRIVED[1][:-1]])
    assert report.faults == {"lost": ("a2",)}
    assert str(report) == CLEAN.replace("delivered 6", "delivered 5").replace("lost 0", "lost 1")


def test_a_message_that_may_have_gone_elsewhere_is_not_lost() -> None:
    report = check(SENT, [ARRIVED[0], ARRIVED[1][:-1]], elsewhere={"a2", "b1"})
    assert not report.faults
    assert report.elsewhere == ("a2",)


@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.parametrize("consumer", [0, 1])
def test_a_message_that_arrives_twice_with_the_same_attempt_is_duplicated(consumer: int, attempt: int) -> None:
    arrived = [*ARRIVED]
    arrived[consumer] = [*arrived[consumer], Delivery("a1", 2, attempt)]
    report = check(SENT, arrived)
    assert report.faults == {"duplicated": ("a1",)}
    assert (report.delivered, report.redelivered) == (7, 1)


@pytest.mark.parametrize("acknowledged", [False, True])
def test_a_message_that_arrives_again_although_acknowledged_is_duplicated(acknowledged: bool) -> None:
    report = check(SENT, [ARRIVED[0], [*ARRIVED[1], Delivery("a0", 0, 2, acknowledged)]])
    assert report.faults == {"duplicated": ("a0",)}


def test_a_message_that_nobody_published_is_invented() -> None:
    report = check(SENT, [ARRIVED[0], [*ARRIVED[1], Delivery("c0", 5), Delivery("c0", 5)]])
    assert report.faults == {"invented": ("c0",)}


def test_a_message_that_arrives_after_a_later_one_of_its_publisher_is_reordered() -> None:
    report = check(SENT, [[Delivery("a1", 0), Delivery("b0", 1), Delivery("a0", 2)]])
    assert report.reordered == ("a0",)


def test_an_order_that_no_single_consumer_can_see_is_found_by_offset() -> None:
    assert check(SENT, [[Delivery("a0", 5)], [Delivery("a1", 4)]]).reordered == ("a0",)


def test_messages_of_different_publishers_have_no_order() -> None:
    assert not check(SENT, [[Delivery("b1", 0), Delivery("a0", 1)]]).reordered


def test_a_redelivery_has_no_place_in_the_order() -> None:
    assert not check(SENT, [[Delivery("a1", 1), Delivery("a0", 0, attempt=2)]]).reordered


@pytest.mark.parametrize("arrived", [[], [Delivery("a0", 0)]], ids=["never", "once"])
def test_a_publish_of_unknown_outcome_may_arrive_or_not(arrived: list[Delivery]) -> None:
    report = check([[Publish("a0", acknowledged=False)]], [arrived])
    assert not report.faults
    assert report.published == len(arrived)


def test_a_publish_of_unknown_outcome_may_arrive_late_but_not_twice() -> None:
    sent = [[Publish("a0", acknowledged=False), Publish("a1")]]
    late = [Delivery("a1", 0), Delivery("a0", 1)]
    assert not check(sent, [late]).faults
    assert check(sent, [[*late, Delivery("a0", 2)]]).faults == {"duplicated": ("a0",)}


@dataclass
class History:
    sent: list[list[Publish]]
    arrived: list[list[Delivery]]

    def acknowledged(self) -> list[str]:
        return [publish.message for publisher in self.sent for publish in publisher if publish.acknowledged]

    def pairs(self) -> list[tuple[Place, Place]]:
        """Where any two deliveries are whose order counts: first ones of one publisher."""
        acknowledged = set(self.acknowledged())
        first = [
            (consumer, position)
            for consumer, deliveries in enumerate(self.arrived)
            for position, delivery in enumerate(deliveries)
            if delivery.attempt == 1 and delivery.message in acknowledged
        ]
        return [(a, b) for a, b in combinations(first, 2) if self.at(a).message[0] == self.at(b).message[0]]

    def at(self, place: Place) -> Delivery:
        consumer, position = place
        return self.arrived[consumer][position]

    def put(self, place: Place, delivery: Delivery) -> None:
        consumer, position = place
        self.arrived[consumer][position] = delivery


@st.composite
def topics(draw: st.DrawFn, sent: list[list[Publish]]) -> list[str]:
    """The messages of all publishers interleaved, without some of those whose outcome is unknown."""
    turns = draw(st.permutations([number for number, publisher in enumerate(sent) for _ in publisher]))
    pending = [iter(publisher) for publisher in sent]
    publishes = [next(pending[number]) for number in turns]
    return [message for message, acknowledged in publishes if acknowledged or draw(st.booleans())]


@st.composite
def clean_histories(draw: st.DrawFn) -> History:
    """Messages handed out to consumers, each first in its turn, then any time until one acknowledges.

    The first to get a message may be killed before it notes that.
    """
    outcomes = st.lists(st.booleans(), min_size=2, max_size=6)
    sent = [[Publish(f"{name}:{number}", known) for number, known in enumerate(draw(outcomes))] for name in "abc"]
    arrived: list[list[Delivery]] = [[] for _ in range(2)]
    consumers = st.sampled_from(arrived)
    again = []
    for offset, message in enumerate(draw(topics(sent))):
        attempts, noted = draw(st.integers(1, 4)), draw(st.booleans())
        if attempts == 1 or noted:
            draw(consumers).append(Delivery(message, offset, 1, attempts == 1))
        again += [Delivery(message, offset, attempt, attempt == attempts) for attempt in range(2, attempts + 1)]
    for delivery in again:
        consumer = draw(consumers)
        consumer.insert(draw(st.integers(0, len(consumer))), delivery)
    return History(sent, arrived)


HISTORIES = clean_histories()


@given(HISTORIES)
def test_any_clean_history_is_faultless(history: History) -> None:
    assert not check(history.sent, history.arrived).faults


@given(HISTORIES, st.data())
def test_any_message_lost_is_found(history: History, data: st.DataObject) -> None:
    assume(history.acknowledged())
    lost = data.draw(st.sampled_from(history.acknowledged()))
    arrived = [[delivery for delivery in consumer if delivery.message != lost] for consumer in history.arrived]
    report = check(history.sent, arrived)
    assert report.faults == {"lost": (lost,)}


@given(HISTORIES, st.data())
def test_any_delivery_repeated_is_found(history: History, data: st.DataObject) -> None:
    deliveries = [delivery for consumer in history.arrived for delivery in consumer]
    assume(deliveries)
    repeated = data.draw(st.sampled_from(deliveries))
    consumer = data.draw(st.sampled_from(history.arrived))
    consumer.insert(data.draw(st.integers(0, len(consumer))), repeated)
    report = check(history.sent, history.arrived)
    assert report.duplicated == (repeated.message,)


@given(HISTORIES, st.data())
def test_any_delivery_invented_is_found(history: History, data: st.DataObject) -> None:
    consumer = data.draw(st.sampled_from(history.arrived))
    consumer.insert(data.draw(st.integers(0, len(consumer))), Delivery("d:0", data.draw(st.integers(0, 99))))
    report = check(history.sent, history.arrived)
    assert report.faults == {"invented": ("d:0",)}


@given(HISTORIES, st.data())
def test_any_two_messages_exchanged_at_a_consumer_are_found(history: History, data: st.DataObject) -> None:
    pairs = [(one, other) for one, other in history.pairs() if one[0] == other[0]]
    assume(pairs)
    one, other = data.draw(st.sampled_from(pairs))
    before, after = history.at(one), history.at(other)
    history.put(one, after)
    history.put(other, before)
    assert set(check(history.sent, history.arrived).faults) == {"reordered"}


@given(HISTORIES, st.data())
def test_any_two_offsets_exchanged_are_found(history: History, data: st.DataObject) -> None:
    assume(history.pairs())
    one, other = data.draw(st.sampled_from(history.pairs()))
    before, after = history.at(one), history.at(other)
    history.put(one, before._replace(offset=after.offset))
    history.put(other, after._replace(offset=before.offset))
    assert set(check(history.sent, history.arrived).faults) == {"reordered"}
