"""What a call costs, in lines of Python that are run: the same however much there is of what it is not about."""

from collections.abc import Callable
from typing import Any

import pytest

from peerbus.broker import Broker
from peerbus.future import Future
from tests.support.costs import steps

MakeBroker = Callable[..., Broker]
FEW, MANY = 20, 400


def subscribed(broker: Broker, peers: int, **options: Any) -> Broker:
    """So many peers subscribed to `news`, and all waiting."""
    broker.create_topic("news")
    for number in range(peers):
        peer_id = f"peer{number}"
        broker.register_peer(peer_id)
        broker.subscribe(peer_id, "news", **options)
        assert isinstance(broker.pull_waiting(peer_id, "news", 1, 60.0), Future)
    return broker


def test_publishing_costs_the_same_however_many_subscribe_and_wait(make_broker: MakeBroker) -> None:
    few, many = (subscribed(make_broker(), peers) for peers in (FEW, MANY))
    assert steps(lambda: few.publish("news", [b"1"])) == steps(lambda: many.publish("news", [b"1"]))


def test_publishing_and_pulling_cost_the_same_however_many_messages_there_are(make_broker: MakeBroker) -> None:
    taken = []
    for messages in (FEW, MANY):
        broker = make_broker()
        broker.create_topic("news")
        broker.register_peer("a")
        broker.subscribe("a", "news")
        broker.publish("news", [b"1"] * messages)
        taken.append(
            (steps(lambda: broker.publish("news", [b"1"])), steps(lambda: broker.pull("a", "news", 1)))  # noqa: B023
        )
    assert taken[0] == taken[1]


SETTLING: dict[str, Callable[[Broker], object]] = {
    "acknowledging": lambda broker: broker.acknowledge("a", "news", [(0, None)]),
    "rejecting": lambda broker: broker.reject("a", "news", [(0, None)]),
    "moving": lambda broker: broker.subscribe("a", "news", "latest"),
    "leaving": lambda broker: broker.unsubscribe("a", "news"),
}


@pytest.mark.parametrize("settle", SETTLING.values(), ids=SETTLING)
def test_it_costs_the_same_however_many_wait_for_other_queues(
    make_broker: MakeBroker, settle: Callable[[Broker], object]
) -> None:
    taken = []
    for peers in (FEW, MANY):
        broker = make_broker()
        broker.create_topic("news")
        broker.publish("news", [b"1"])
        broker.register_peer("a")
        broker.subscribe("a", "news", "earliest", explicit=True)
        broker.pull("a", "news")
        subscribed(broker, peers)
        broker.run_due()
        taken.append(steps(lambda: (settle(broker), broker.run_due())))  # noqa: B023
    assert taken[0] == taken[1]


def test_ending_all_pulls_of_a_group_costs_as_much_more_as_there_are_more(make_broker: MakeBroker) -> None:
    few, many = (subscribed(make_broker(), peers, group="g") for peers in (FEW, MANY))
    assert steps(lambda: many.delete_topic("news")) < 2 * MANY / FEW * steps(lambda: few.delete_topic("news"))


def test_ending_a_group_costs_as_much_more_as_there_are_more(make_broker: MakeBroker) -> None:
    few, many = (subscribed(make_broker(), peers, group="g") for peers in (FEW, MANY))
    costs = [steps(lambda: broker.end_group("news", "g", MANY)) for broker in (few, many)]  # noqa: B023
    assert costs[1] < 2 * MANY / FEW * costs[0]


def test_acknowledging_costs_the_same_however_many_of_a_group_have_no_room(make_broker: MakeBroker) -> None:
    taken = []
    for peers in (FEW, MANY):
        broker = subscribed(make_broker(), 0)
        for number in range(peers):
            broker.register_peer(f"peer{number}")
            broker.subscribe(f"peer{number}", "news", group="g", explicit=True)
        broker.publish("news", [b"1"] * (peers + 10))
        for number in range(peers):
            broker.pull(f"peer{number}", "news", 1)
        pulls = [broker.pull_waiting(f"peer{number}", "news", 1, 60.0, in_flight=1) for number in range(peers)]
        while broker.run_due().next_in == 0.0:
            pass

        def acknowledge(at: int, broker: Broker = broker) -> None:
            broker.acknowledge(f"peer{at}", "news", [(at, None)])
            broker.run_due()

        acknowledge(5)
        taken.append(steps(lambda: acknowledge(7)))
        assert [number for number, pull in enumerate(pulls) if isinstance(pull, Future) and pull.done] == [5, 7]
    assert taken[0] == taken[1]
