"""Pulls that wait for a message, with real threads and real time."""

from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic

import pytest

from peerbus.broker import Broker, Limits
from peerbus.broker.results import Pulled
from peerbus.errors import BadRequest, NotSubscribed, PeerNotFound, TooManyWaiting, TopicDeleted
from tests.support import DEADLINE, eventually, in_background


@pytest.fixture
def broker() -> Broker:
    """A broker on the real clock, with `a` and `b` subscribed to `news`."""
    broker = Broker(Limits(max_waiting=3, max_wait=60.0))
    broker.create_topic("news")
    for peer_id in "ab":
        broker.register_peer(peer_id)
        broker.subscribe(peer_id, "news")
    return broker


def waiting_pull(broker: Broker, peer_id: str = "a", pulls: int = 1) -> "Future[Pulled]":
    """A pull in the background that is known to wait, as the `pulls`-th."""
    future = in_background(lambda: broker.pull(peer_id, "news", wait=60.0))
    eventually(lambda: broker.stats().waiting_pulls == pulls)
    return future


def test_publishing_wakes_every_waiting_subscriber(broker: Broker) -> None:
    pulls = [waiting_pull(broker, "a"), waiting_pull(broker, "b", pulls=2)]
    broker.publish("news", [b"1"])
    assert [pull.result(DEADLINE).values for pull in pulls] == [[b"1"], [b"1"]]
    assert broker.stats().waiting_pulls == 0


def test_of_two_pulls_of_one_peer_one_gets_the_message_and_one_waits_on(broker: Broker) -> None:
    pulls = [waiting_pull(broker), waiting_pull(broker, pulls=2)]
    broker.publish("news", [b"1"])
    eventually(lambda: any(pull.done() for pull in pulls))
    broker.publish("news", [b"2"])
    assert sorted(value for pull in pulls for value in pull.result(DEADLINE).values) == [b"1", b"2"]


def test_a_wait_that_ends_without_a_message_answers_empty(broker: Broker) -> None:
    assert broker.pull("a", "news", wait=0.01).values == []


def test_a_pull_does_not_wait_when_there_is_something_to_say(broker: Broker) -> None:
    broker.publish("news", [b"1"])
    assert broker.pull("a", "news", wait=60.0).values == [b"1"]


ENDINGS: dict[str, tuple[Callable[[Broker], object], type[Exception]]] = {
    "the topic is deleted": (lambda broker: broker.delete_topic("news"), TopicDeleted),
    "the peer unsubscribes": (lambda broker: broker.unsubscribe("a", "news"), NotSubscribed),
    "the peer unregisters": (lambda broker: broker.unregister_peer("a"), PeerNotFound),
}


@pytest.mark.parametrize(("end", "error"), ENDINGS.values(), ids=ENDINGS)
def test_a_waiting_pull_ends_when(broker: Broker, end: Callable[[Broker], object], error: type[Exception]) -> None:
    pull = waiting_pull(broker)
    end(broker)
    with pytest.raises(error):
        pull.result(DEADLINE)
    assert broker.stats().waiting_pulls == 0


def test_moving_back_wakes_a_waiting_pull(broker: Broker) -> None:
    broker.publish("news", [b"1"])
    broker.pull("a", "news")
    pull = waiting_pull(broker)
    broker.subscribe("a", "news", "earliest")
    assert pull.result(DEADLINE).values == [b"1"]


def test_closing_answers_those_who_wait_and_lets_nobody_wait_again(broker: Broker) -> None:
    pull = waiting_pull(broker)
    broker.close()
    assert pull.result(DEADLINE).closing
    assert broker.pull("a", "news", wait=60.0).closing


def test_only_so_many_may_wait_and_only_so_long(broker: Broker) -> None:
    pulls = [waiting_pull(broker, pulls=number) for number in (1, 2, 3)]
    with pytest.raises(TooManyWaiting, match="3 pulls"):
        broker.pull("b", "news", wait=60.0)
    assert broker.pull("b", "news").values == []
    with pytest.raises(BadRequest, match=r"<= 60"):
        broker.pull("b", "news", wait=61.0)
    broker.close()
    for pull in pulls:
        pull.result(DEADLINE)


def test_a_peer_that_waits_is_alive(broker: Broker) -> None:
    broker.register_peer("a", lease_seconds=0.05)
    broker.register_peer("silent", lease_seconds=0.1)
    pull = waiting_pull(broker)
    expired: list[str] = []
    while "silent" not in expired:
        expired += broker.tend(wait=DEADLINE)
    assert expired == ["silent"]
    broker.publish("news", [b"1"])
    assert pull.result(DEADLINE).values == [b"1"]


def test_waiting_for_leases_ends_when_one_runs_out_or_the_broker_closes(broker: Broker) -> None:
    broker.register_peer("brief", lease_seconds=0.01)
    assert broker.tend(wait=DEADLINE) == ["brief"]
    watch = in_background(lambda: broker.tend(wait=2 * DEADLINE))
    broker.close()
    assert watch.result(DEADLINE) == []


def test_a_wait_sleeps_although_deadlines_of_acknowledged_messages_pass() -> None:
    looks = 0

    def clock() -> float:
        nonlocal looks
        looks += 1
        return monotonic()

    broker = Broker(clock=clock)
    broker.create_topic("news")
    broker.register_peer("a")
    broker.subscribe("a", "news", explicit=True, ack_deadline=0.001)
    broker.publish("news", [b"1"])
    broker.acknowledge("a", "news", broker.pull("a", "news").offsets[-1])
    looks = 0
    assert broker.pull("a", "news", wait=0.3).values == []
    assert looks < 100


def test_a_waiting_peer_with_a_tiny_lease_is_not_looked_at_all_the_time(broker: Broker) -> None:
    broker.register_peer("a", lease_seconds=0.001)
    pull = waiting_pull(broker)
    began = monotonic()
    for _ in range(3):
        broker.tend(wait=DEADLINE)
    assert monotonic() - began > 0.5, "each look is a second after the one before"
    broker.close()
    pull.result(DEADLINE)
