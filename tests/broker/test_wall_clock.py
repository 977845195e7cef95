"""A wall clock that is set, back or ahead, while a broker runs or between two: it costs nobody a time."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from peerbus.broker import Broker, Limits
from peerbus.broker.expiry import GRACE_SECONDS
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from tests.broker.kept import writing_each_call
from tests.support.harness import Clock

NOW = 1_800_000_000.0
"""Some time of 2027."""
UNSET = 60.0
"""What a machine without a clock of its own says a minute after its start."""
HOUR, DAY, YEAR = 3600.0, 86_400.0, 365 * 86_400.0
LIMITS = Limits(history=10)


class Machine:
    """Has a wall clock that may be set, and a broker that can be started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.wall = NOW - self.clock()
        """What the wall clock is ahead of the broker's."""
        self.journal: GroupCommit | None = None
        self.start()

    def start(self) -> None:
        self.journal = GroupCommit(Storage(self.folder), 0, self.clock, lambda: self.clock() + self.wall)
        self.broker: Broker = writing_each_call(self.journal, LIMITS)

    def stop(self) -> None:
        if self.journal:
            self.journal.close()
        self.journal = None

    def restart(self, after: float, set_by: float = 0.0) -> None:
        """Start again after some seconds, in which the wall clock is set, and the broker's clock begins anew."""
        self.stop()
        self.clock.advance(after)
        self.set_clock(set_by)
        self.wall += self.clock() - 1000.0
        self.clock.now = 1000.0
        self.start()

    def restart_twice(self, after: float, set_by: float) -> None:
        for _ in range(2):
            self.restart(after / 2, set_by)

    def set_clock(self, by: float) -> None:
        self.wall += by

    def set_clock_to(self, time: float) -> None:
        self.wall = time - self.clock()

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.broker.run_due()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.stop()


def jobs(machine: Machine, deadline: float = 2.0) -> Broker:
    """A broker whose topic `jobs` has a message in flight."""
    broker = machine.broker
    broker.create_topic("jobs")
    broker.register_peer("worker")
    broker.subscribe("worker", "jobs", explicit=True, ack_deadline=deadline)
    broker.publish("jobs", [b"1"])
    assert broker.pull("worker", "jobs").attempts == [1]
    return broker


BETWEEN: dict[str, Callable[[Machine], None]] = {
    "an hour back": lambda machine: machine.restart(1.0, -HOUR),
    "to 1970": lambda machine: machine.restart(1.0, UNSET - NOW),
    "an hour back, twice": lambda machine: machine.restart_twice(1.0, -HOUR),
}


@pytest.mark.parametrize("restart", BETWEEN.values(), ids=BETWEEN)
def test_no_deadline_is_longer_than_it_was_when_the_clock_is_set_back(
    machine: Machine, restart: Callable[[Machine], None]
) -> None:
    jobs(machine)
    restart(machine)
    assert machine.broker.pull("worker", "jobs").values == []
    machine.pass_time(2.0)
    assert machine.broker.pull("worker", "jobs").attempts == [2]


@pytest.mark.parametrize("restart", BETWEEN.values(), ids=BETWEEN)
def test_no_delay_is_longer_than_it_was_when_the_clock_is_set_back(
    machine: Machine, restart: Callable[[Machine], None]
) -> None:
    broker = jobs(machine)
    broker.reject("worker", "jobs", 0, 5.0)
    broker.schedule("jobs", [b"later"], delay=5.0)
    restart(machine)
    machine.pass_time(5.0)
    assert machine.broker.pull("worker", "jobs").values == [b"1", b"later"]


def test_a_long_extension_outlives_a_restart(machine: Machine) -> None:
    broker = jobs(machine)
    broker.extend("worker", "jobs", 0, 2 * HOUR)
    machine.restart(HOUR)
    assert machine.broker.pull("worker", "jobs").values == []
    machine.pass_time(HOUR)
    assert machine.broker.pull("worker", "jobs").attempts == [2]


@pytest.mark.parametrize("restart", BETWEEN.values(), ids=BETWEEN)
def test_messages_do_not_live_longer_than_their_age_again_when_the_clock_is_set_back(
    machine: Machine, restart: Callable[[Machine], None]
) -> None:
    machine.broker.create_topic("news", max_age=5.0)
    machine.broker.register_peer("a")
    machine.broker.subscribe("a", "news")
    machine.broker.publish("news", [b"1"], message_id="id")
    restart(machine)
    (topic,) = machine.broker.list_topics(1)
    assert topic.oldest_unread_seconds is not None
    assert topic.oldest_unread_seconds >= 0.0
    machine.pass_time(5.0)
    pulled = machine.broker.pull("a", "news")
    assert (pulled.values, pulled.missed) == ([], 1)
    machine.pass_time(LIMITS.message_id_seconds)
    assert not machine.broker.publish("news", [b"1"], message_id="id").duplicate


@pytest.mark.parametrize("restart", BETWEEN.values(), ids=BETWEEN)
def test_a_queue_stands_no_longer_than_it_was_to_when_the_clock_is_set_back(
    machine: Machine, restart: Callable[[Machine], None]
) -> None:
    broker = jobs(machine)
    broker.leave("worker", 10)
    restart(machine)
    (queue,) = machine.broker.list_subscriptions(1, topic="jobs")
    assert queue.expires_in is not None
    assert HOUR - 2 <= queue.expires_in <= HOUR
    assert queue.idle_seconds >= 0.0


def kept(machine: Machine) -> Broker:
    """A broker with things that end by time: in a day at the earliest."""
    broker = machine.broker
    broker.create_topic("news", max_age=DAY)
    broker.register_peer("a")
    broker.subscribe("a", "news", expires_after=2 * DAY)
    broker.publish("news", [b"1"], message_id="id")
    broker.schedule("news", [b"later"], delay=HOUR)
    broker.leave("a", 10)
    return broker


def is_all_there(machine: Machine) -> None:
    broker = machine.broker
    (queue,) = broker.list_subscriptions(1, topic="news")
    assert queue.expires_in is not None
    assert queue.expires_in > DAY
    assert broker.list_topics(1)[0].first_offset == 0
    assert broker.publish("news", [b"1"], message_id="id").duplicate
    assert [entry.count for entry in broker.list_scheduled("news", 10).entries] == [1]
    assert broker.pull("a", "news").values == [b"1"]


def test_nothing_ends_early_that_was_kept_before_the_clock_was_set(machine: Machine) -> None:
    """The machine has no clock that goes on without power, and its clock is right at the next start."""
    machine.stop()
    machine.set_clock_to(UNSET)
    machine.start()
    kept(machine)
    machine.restart(10.0, NOW - UNSET)
    is_all_there(machine)


@pytest.mark.parametrize("by", [NOW - UNSET, 3 * DAY, 30 * YEAR, -3 * DAY, -HOUR])
def test_nothing_ends_early_when_the_clock_is_set_while_the_server_runs(machine: Machine, by: float) -> None:
    """As when the machine starts with its clock wrong, and the network corrects it."""
    machine.stop()
    machine.set_clock(-by)
    machine.start()
    kept(machine)
    machine.pass_time(10.0)
    machine.set_clock(by)
    machine.pass_time(10.0)
    machine.broker.publish("news", [b"after"])
    machine.restart(10.0)
    broker = machine.broker
    (queue,) = broker.list_subscriptions(1, topic="news")
    assert queue.expires_in == pytest.approx(2 * DAY - 30.0, abs=2.0)
    assert broker.list_topics(1)[0].oldest_unread_seconds == pytest.approx(30.0, abs=2.0)
    assert broker.publish("news", [b"1"], message_id="id").duplicate
    (scheduled,) = broker.list_scheduled("news", 10).entries
    assert scheduled.at == pytest.approx(machine.clock() + machine.wall + HOUR - 30.0, abs=2.0)
    pulled = broker.pull("a", "news", details=True)
    assert (pulled.values, pulled.missed) == ([b"1", b"after"], 0)
    assert pulled.details is not None
    ago = [machine.clock() + machine.wall - time for time in pulled.details.published_at]
    assert ago == pytest.approx([30.0, 10.0], abs=2.0), "by the clock as it is now"


def test_a_start_with_the_clock_unset_costs_nothing_though_it_is_set_later(machine: Machine) -> None:
    kept(machine)
    machine.restart(10.0, UNSET - NOW)
    machine.pass_time(30.0)
    machine.set_clock(NOW - UNSET)
    machine.pass_time(30.0)
    is_all_there(machine)
    machine.broker.leave("a", 10)
    machine.restart(10.0)
    (queue,) = machine.broker.list_subscriptions(1, topic="news")
    assert queue.expires_in == pytest.approx(2 * DAY - 10.0, abs=2.0)


@pytest.mark.parametrize("by", [3 * DAY, -3 * DAY, -HOUR])
def test_lives_after_the_one_in_which_the_clock_was_set_keep_their_times(machine: Machine, by: float) -> None:
    kept(machine)
    machine.set_clock(by)
    machine.pass_time(10.0)
    for _ in range(3):
        machine.restart(10.0)
        machine.broker.publish("news", [b"later"])
        machine.pass_time(10.0)
    machine.restart(10.0)
    pulled = machine.broker.pull("a", "news", details=True)
    assert pulled.details is not None
    ago = [machine.clock() + machine.wall - time for time in pulled.details.published_at]
    assert ago == pytest.approx([80.0, 60.0, 40.0, 20.0], abs=2.0)


@pytest.mark.parametrize("by", [YEAR, -YEAR, HOUR, -HOUR])
def test_while_the_server_runs_a_clock_that_is_set_changes_no_time(machine: Machine, by: float) -> None:
    broker = jobs(machine)
    broker.register_peer("worker", lease_seconds=10.0)
    machine.set_clock(by)
    machine.pass_time(1.0)
    assert broker.pull("worker", "jobs").values == []
    assert broker.list_peers(1)[0].expires_in == 10.0
    machine.pass_time(1.0)
    assert broker.pull("worker", "jobs").attempts == [2]


def test_what_the_stop_itself_took_counts(machine: Machine) -> None:
    """Without a set clock nothing is different: what was to end while no server ran has ended."""
    kept(machine)
    machine.restart(2 * DAY)
    machine.pass_time(0.0)
    pulled = machine.broker.list_subscriptions(1, topic="news")[0]
    assert pulled.expires_in == GRACE_SECONDS
    assert machine.broker.list_topics(1)[0].first_offset == 1


def test_messages_stay_in_the_order_of_their_times(machine: Machine) -> None:
    broker = machine.broker
    broker.create_topic("news", max_age=DAY)
    broker.register_peer("a")
    broker.subscribe("a", "news")
    for by in (0.0, HOUR, -2 * HOUR, HOUR):
        machine.set_clock(by)
        machine.pass_time(1.0)
        broker.publish("news", [b"x"])
    machine.restart(1.0)
    pulled = machine.broker.pull("a", "news", details=True)
    assert pulled.details is not None
    assert pulled.details.published_at == sorted(pulled.details.published_at)
    assert len(pulled.values) == 4
