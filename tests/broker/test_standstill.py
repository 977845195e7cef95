"""A server that stood still takes nobody for silent whom it could not hear."""

from collections.abc import Callable

import pytest

from peerbus.broker import Broker
from peerbus.broker.expiry import GRACE_SECONDS
from peerbus.broker.peers import REMEMBERED_SECONDS
from peerbus.errors import TopicDeleted
from peerbus.future import Future
from peerbus.standstill import STANDSTILL_SECONDS, Standstill
from tests.support.harness import Clock

LEASE, DEADLINE = 3.0, 10.0
BEAT = 0.5

MakeBroker = Callable[..., Broker]


class Server:
    """Beats, and does what is due, unless it stands still."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self.broker = broker
        self.clock = clock
        self.stood_still = 0.0
        broker.beat()

    def go_on(self) -> None:
        self.stood_still += self.broker.beat()
        while self.broker.run_due().next_in <= 0:
            pass

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / BEAT)):
            self.clock.advance(BEAT)
            self.go_on()

    def stand_still(self, seconds: float) -> None:
        self.clock.advance(seconds)


@pytest.fixture
def server(make_broker: MakeBroker, clock: Clock) -> Server:
    broker = make_broker()
    broker.create_topic("news")
    for peer_id in ("a", "b"):
        broker.register_peer(peer_id, lease_seconds=LEASE)
        broker.subscribe(peer_id, "news", group="g", explicit=True, ack_deadline=DEADLINE, max_attempts=1)
    return Server(broker, clock)


def present(server: Server) -> list[str]:
    return [peer.peer_id for peer in server.broker.list_peers(10)]


@pytest.mark.parametrize("seconds", [2.0, 8.0, 3600.0])
def test_each_lease_has_its_whole_time_again_after_a_standstill(server: Server, seconds: float) -> None:
    server.run(2.0)
    server.stand_still(seconds)
    server.go_on()
    assert present(server) == ["a", "b"]
    assert server.stood_still == seconds
    assert [peer.expires_in for peer in server.broker.list_peers(10)] == [LEASE, LEASE]
    server.broker.register_peer("a")
    server.run(LEASE - BEAT)
    assert present(server) == ["a", "b"]
    server.broker.register_peer("a")
    server.run(BEAT)
    assert present(server) == ["a"], "b is silent since"


def test_a_pause_between_two_beats_is_no_standstill(server: Server) -> None:
    server.clock.advance(STANDSTILL_SECONDS)
    server.go_on()
    server.clock.advance(STANDSTILL_SECONDS)
    server.go_on()
    server.clock.advance(STANDSTILL_SECONDS)
    server.go_on()
    assert (present(server), server.stood_still) == ([], 0.0)


@pytest.mark.parametrize("seconds", [8.0, 100.0])
def test_messages_in_flight_have_their_deadline_again(server: Server, seconds: float) -> None:
    """Whichever call is the first after the standstill: here it is a pull of another member."""
    server.broker.publish("news", [b"1", b"2"])
    assert server.broker.pull("a", "news", 1).values == [b"1"]
    server.run(2.5)
    server.stand_still(seconds)
    assert server.broker.pull("b", "news").values == [b"2"]
    assert server.broker.acknowledge("a", "news", [(0, 1)]).count == 1
    assert server.broker.stats().missed == 0


def test_what_is_not_acknowledged_after_a_standstill_is_redelivered(server: Server) -> None:
    server.broker.subscribe("a", "news", max_attempts=5)
    server.broker.publish("news", [b"1"])
    server.broker.pull("a", "news")
    server.stand_still(100.0)
    for _ in range(int(DEADLINE / BEAT) - 1):
        server.run(BEAT)
        server.broker.register_peer("a")
        server.broker.register_peer("b")
        assert server.broker.pull("b", "news").values == []
    server.run(BEAT)
    server.run(BEAT)
    assert server.broker.pull("b", "news").attempts == [2]


def test_what_was_rejected_before_comes_at_once(server: Server) -> None:
    server.broker.subscribe("a", "news", max_attempts=5)
    server.broker.publish("news", [b"1"])
    server.broker.pull("a", "news")
    server.broker.reject("a", "news", [(0, 1)], 5.0)
    server.stand_still(8.0)
    assert server.broker.pull("b", "news").attempts == [2]


def test_what_a_peer_left_behind_goes_to_others_at_once(server: Server) -> None:
    server.broker.subscribe("a", "news", max_attempts=5)
    server.broker.publish("news", [b"1"])
    server.broker.pull("a", "news")
    server.broker.unsubscribe("a", "news")
    server.stand_still(8.0)
    assert server.broker.pull("b", "news").attempts == [2]


@pytest.mark.parametrize(("expires_after", "more"), [(60.0, 60.0), (GRACE_SECONDS + 60.0, GRACE_SECONDS)])
def test_queues_without_members_stand_for_their_members_to_come_back(
    server: Server, expires_after: float, more: float
) -> None:
    server.broker.subscribe("a", "news", expires_after=expires_after)
    for peer_id in ("a", "b"):
        server.broker.unsubscribe(peer_id, "news")
    server.stand_still(2 * GRACE_SECONDS)
    server.go_on()
    (queue,) = server.broker.list_subscriptions(1, topic="news")
    assert (queue.queue, queue.expires_in) == ("group g", more)
    server.run(more)
    assert server.broker.list_subscriptions(1, topic="news") == []


def test_a_publish_can_be_repeated_after_a_standstill(server: Server) -> None:
    server.broker.publish("news", [b"1"], message_id="id")
    server.stand_still(GRACE_SECONDS)
    assert server.broker.publish("news", [b"1"], message_id="id").duplicate
    server.go_on()
    assert server.broker.publish("news", [b"1"], message_id="id").duplicate
    server.run(600.0)
    assert not server.broker.publish("news", [b"1"], message_id="id").duplicate


def test_who_is_to_be_told_of_a_deletion_is_remembered(server: Server) -> None:
    for peer_id in ("a", "b"):
        server.broker.leave(peer_id, 10)
    server.broker.register_peer("c", lease_seconds=LEASE)
    server.broker.subscribe("c", "news")
    server.broker.leave("c", 10)
    server.broker.delete_topic("news")
    server.run(BEAT)
    server.stand_still(2 * REMEMBERED_SECONDS)
    server.go_on()
    server.broker.register_peer("c")
    with pytest.raises(TopicDeleted):
        server.broker.pull("c", "news")


def test_a_pull_that_waits_is_answered_when_its_time_has_passed(server: Server) -> None:
    """Its client waits no longer than it said; its lease begins anew."""
    waiting = server.broker.pull_waiting("a", "news", 1, 5.0)
    server.stand_still(8.0)
    server.go_on()
    assert isinstance(waiting, Future)
    assert waiting.result(0).values == []
    assert present(server) == ["a", "b"]


def test_messages_grow_old_in_a_standstill(server: Server) -> None:
    server.broker.create_topic("short", max_age=5.0)
    server.broker.subscribe("a", "short")
    server.broker.publish("short", [b"1"])
    server.stand_still(8.0)
    pulled = server.broker.pull("a", "short")
    assert (pulled.values, pulled.missed) == ([], 1)


def test_scheduled_messages_come_when_it_is_over(server: Server) -> None:
    server.broker.subscribe("a", "news", max_attempts=5)
    server.broker.schedule("news", [b"1"], delay=5.0)
    server.stand_still(8.0)
    server.go_on()
    assert server.broker.pull("a", "news").values == [b"1"]


def test_a_standstill_is_told_once_though_a_decision_noticed_it_before() -> None:
    standstill = Standstill()
    assert standstill.beat(0.0) == 0.0
    assert standstill.check(5.0) == 5.0
    assert standstill.beat(5.25) == 5.0
    assert standstill.beat(5.5) == 0.0
    standstill.begin(100.0)
    assert standstill.beat(100.5) == 0.0
