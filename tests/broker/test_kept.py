"""What is the same after a restart: what the random histories of `test_restart` seldom meet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from peerbus.broker import Broker, Limits
from peerbus.broker.topic import NamedOptions
from peerbus.errors import TopicDeleted
from peerbus.future import Future
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from tests.support.harness import Clock


class Lives:
    """One broker after the other on the same folder."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._journal: GroupCommit | None = None

    def begin(self, **limits: int) -> Broker:
        """The next life, with what was on disk at the end of the one before."""
        self.end()
        self._journal = GroupCommit(Storage(self._folder), 0, self._clock, lambda: self._clock() + 1e9)
        return self._journal.open(Limits(**limits), lambda *_: None)

    def write(self) -> None:
        assert self._journal
        self._journal.write()

    def end(self) -> None:
        if self._journal:
            self._journal.close()


@pytest.fixture
def lives(tmp_path: Path, clock: Clock) -> Iterator[Lives]:
    lives = Lives(tmp_path, clock)
    yield lives
    lives.end()


@pytest.fixture
def broker(lives: Lives) -> Broker:
    """A broker on disk, with `a` subscribed to `news`, which it acknowledges explicitly within 10 seconds."""
    broker = lives.begin()
    broker.create_topic("news")
    broker.register_peer("a")
    broker.subscribe("a", "news", explicit=True, ack_deadline=10.0)
    broker.publish("news", [b"0", b"1"])
    lives.write()
    return broker


def test_what_is_beyond_limits_that_were_lowered_stays(broker: Broker, lives: Lives) -> None:
    broker.create_topic("sport")
    broker.register_peer("b")
    broker.subscribe("b", "sport")
    broker.publish("news", [b"2"], message_id="x")
    broker.publish("news", [b"3"], message_id="y")
    broker.pull("a", "news")
    broker = lives.begin(
        max_peers=1, max_topics=1, max_subscriptions=1, max_messages=1, max_bytes=1, message_ids=1, max_unacknowledged=1
    )
    assert [peer.topics for peer in broker.list_peers(10)] == [["news"], ["sport"]]
    assert [topic.unread for topic in broker.list_topics(10)] == [4, 0]
    assert broker.publish("news", [b"2"], message_id="y").offset == 3
    assert broker.acknowledge("a", "news", 3).count == 2
    lives.write()
    assert broker.pull("a", "news", 1).offsets == [2]


def test_a_topic_that_was_created_and_changed_before_it_was_written_is_as_it_was_last(lives: Lives) -> None:
    broker = lives.begin()
    broker.create_topics(["changed", "deleted", "untouched"], NamedOptions(history=0))
    broker.register_peer("a")
    broker.subscribe("a", "deleted")
    broker.publish("changed", [b"0", b"1"])
    broker.delete_topic("deleted")
    broker = lives.begin()
    topics = {topic.topic: topic for topic in broker.list_topics(10)}
    assert {name: (topic.first_offset, topic.next_offset) for name, topic in topics.items()} == {
        "changed": (2, 2),
        "untouched": (0, 0),
    }
    with pytest.raises(TopicDeleted):
        broker.pull("a", "deleted")
    assert broker.publish("changed", [b"2"], message_id="x").offset == 2
    assert lives.begin().publish("changed", [b"2"], message_id="x").duplicate


def test_what_came_back_comes_in_the_order_of_offsets(broker: Broker, lives: Lives, clock: Clock) -> None:
    broker.pull("a", "news", 1)
    lives.write()
    broker.pull("a", "news", 1)
    clock.advance(10.0)
    broker.acknowledge("a", "news", [])
    assert lives.begin().pull("a", "news").offsets == [0, 1]


@pytest.mark.parametrize("delay", [0.0, 5.0])
def test_what_was_handed_back_is_the_same_attempt_after_a_restart(
    broker: Broker, lives: Lives, clock: Clock, delay: float
) -> None:
    broker.subscribe("a", "news", max_attempts=1)
    broker.pull("a", "news")
    broker.reject("a", "news", 1, delay, attempted=False)
    broker = lives.begin()
    clock.advance(delay)
    again = broker.pull("a", "news")
    assert (again.offsets, again.attempts, again.missed) == ([0, 1], [1, 1], 0)


def test_an_extended_deadline_is_the_same_after_a_restart(broker: Broker, lives: Lives, clock: Clock) -> None:
    broker.pull("a", "news")
    lives.write()
    broker.extend("a", "news", [(1, 1)], 60.0)
    broker = lives.begin()
    clock.advance(10.0)
    assert broker.pull("a", "news").offsets == [0]
    broker.acknowledge("a", "news", 0)
    clock.advance(49.9)
    assert broker.pull("a", "news").values == []
    clock.advance(0.1)
    assert broker.pull("a", "news").attempts == [2]


def test_what_came_back_before_fewer_attempts_were_allowed_is_handed_over_again(
    broker: Broker, lives: Lives, clock: Clock
) -> None:
    broker.pull("a", "news", 1)
    lives.write()
    clock.advance(10.0)
    broker.subscribe("a", "news", ack_deadline=20.0)
    broker.acknowledge("a", "news", [])
    broker.subscribe("a", "news", max_attempts=1)
    again = lives.begin().pull("a", "news", 1)
    assert (again.attempts, again.missed) == ([2], 0)


def test_a_pull_waits_while_more_is_unacknowledged_than_a_lowered_limit_allows(broker: Broker, lives: Lives) -> None:
    broker.publish("news", [b"2"])
    broker.pull("a", "news", 2)
    assert isinstance(lives.begin(max_unacknowledged=1).pull_waiting("a", "news", 1, 60.0), Future)


def test_a_dead_letter_that_found_no_room_is_tried_again_when_it_was_to_be(
    broker: Broker, lives: Lives, clock: Clock
) -> None:
    broker.create_topic("dead", max_messages=1)
    broker.register_peer("b")
    broker.subscribe("b", "dead", group="dead-letters")
    broker.subscribe("a", "news", max_attempts=1, dead_letter_topic="dead")
    broker.publish("dead", [b"in the way"])
    broker.pull("a", "news", 1)
    lives.write()
    clock.advance(10.0)
    broker.run_due()
    broker.pull("b", "dead")
    broker = lives.begin()
    clock.advance(9.0)
    broker.run_due()
    assert broker.stats().dead_lettered == 0
    clock.advance(1.0)
    broker.run_due()
    assert broker.stats().dead_lettered == 1


def test_a_queue_that_was_moved_stays_there(broker: Broker, lives: Lives) -> None:
    broker.pull("a", "news")
    lives.write()
    broker.seek("a", "news", 1)
    lives.write()
    assert lives.begin().pull("a", "news").offsets == [1]


def test_a_queue_without_members_has_time_again_after_a_restart(broker: Broker, lives: Lives, clock: Clock) -> None:
    broker.subscribe("a", "news", expires_after=3 * 3600.0)
    broker.leave("a", 1)
    lives.write()
    clock.advance(4 * 3600.0)
    broker = lives.begin()
    assert broker.run_due().ended == []
    clock.advance(3599.0)
    assert broker.run_due().ended == []
    clock.advance(1.0)
    assert [queue.queue for queue in broker.run_due().ended] == ["a"]


def test_messages_of_a_member_that_left_come_back_after_a_restart_between_two_slices(
    broker: Broker, lives: Lives
) -> None:
    broker.create_topic("jobs")
    for peer_id in "ab":
        broker.register_peer(peer_id)
        broker.subscribe(peer_id, "jobs", group="g", explicit=True, ack_deadline=3600.0)
    broker.publish("jobs", [b"1"] * 2500)
    lives.write()
    broker.pull("a", "jobs", 2500)
    broker.unsubscribe("a", "jobs")
    broker = lives.begin()
    again = broker.pull("b", "jobs", 2500)
    assert (again.offsets, again.attempts) == (list(range(2500)), [2] * 2500)


def test_an_exhausted_message_of_a_member_that_left_is_dead_lettered_after_a_restart_between_two_slices(
    broker: Broker, lives: Lives
) -> None:
    broker.create_topic("jobs")
    for peer_id in "ab":
        broker.register_peer(peer_id)
        broker.subscribe(
            peer_id, "jobs", group="g", explicit=True, ack_deadline=3600.0, max_attempts=1, dead_letter_topic="dead"
        )
    broker.publish("jobs", [b"1"] * 150)
    lives.write()
    broker.pull("a", "jobs", 150)
    broker.unsubscribe("a", "jobs")
    assert broker.stats().dead_lettered == 100, "those of one slice"
    broker = lives.begin()
    while not broker.run_due().next_in:
        pass
    lives.write()
    letters = broker.peek("dead", 1000, 1 << 20).values
    assert len(letters) == 150
    assert all(b'"reason":"its peer left"' in letter for letter in letters)


def run_due(broker: Broker) -> None:
    while not broker.run_due().next_in:
        pass


def test_what_is_overdue_after_a_restart_is_published_at_once_and_in_order(
    broker: Broker, lives: Lives, clock: Clock
) -> None:
    for value, delay in ((b"later", 60.0), (b"second", 20.0), (b"first", 10.0), (b"third", 20.0)):
        broker.schedule("news", [value], delay=delay)
    lives.write()
    broker = lives.begin()
    clock.advance(30.0)
    run_due(broker)
    lives.write()
    assert list(broker.pull("a", "news").values) == [b"0", b"1", b"first", b"second", b"third"]
    lives.write()
    broker = lives.begin()
    assert [entry.id for entry in broker.list_scheduled("news", 10).entries] == [1]
    assert broker.schedule("news", [b"x"], delay=1.0).scheduled == 5, "numbers are never given again"


@pytest.mark.parametrize("written_between", [False, True])
def test_a_number_is_not_given_again_though_nothing_is_scheduled(
    broker: Broker, lives: Lives, clock: Clock, written_between: bool
) -> None:
    number = broker.schedule("news", [b"x"], delay=1.0).scheduled
    if written_between:
        lives.write()
    clock.advance(1.0)
    run_due(broker)
    lives.write()
    assert lives.begin().schedule("news", [b"y"], delay=1.0).scheduled == (number or 0) + 1


def test_a_message_id_of_what_was_scheduled_is_known_in_the_next_life(
    broker: Broker, lives: Lives, clock: Clock
) -> None:
    number = broker.schedule("news", [b"x"], message_id="id", delay=10.0).scheduled
    lives.write()
    broker = lives.begin()
    done = broker.publish("news", [b"x"], message_id="id")
    assert (done.duplicate, done.scheduled, done.offset) == (True, number, None)
    clock.advance(10.0)
    run_due(broker)
    lives.write()
    done = lives.begin().publish("news", [b"x"], message_id="id")
    assert (done.duplicate, done.scheduled, done.offset) == (True, number, 2)


def test_scheduled_messages_are_published_though_limits_were_lowered(
    broker: Broker, lives: Lives, clock: Clock
) -> None:
    for value in (b"2", b"3"):
        broker.schedule("news", [value], delay=10.0)
    lives.write()
    broker = lives.begin(max_scheduled=1, max_bytes=1)
    clock.advance(10.0)
    run_due(broker)
    lives.write()
    clock.advance(1.0)
    run_due(broker)  # the second one, which had to wait until the first was on disk
    lives.write()
    assert broker.list_topics(1)[0].unread == 4


def test_a_deleted_topic_has_nothing_scheduled_in_the_next_life(broker: Broker, lives: Lives) -> None:
    broker.schedule("news", [b"x"], delay=10.0)
    lives.write()
    broker.delete_topic("news")
    lives.write()
    broker = lives.begin()
    run_due(broker)
    assert (broker.stats().scheduled, broker.stats().memory_bytes) == (0, 0)
