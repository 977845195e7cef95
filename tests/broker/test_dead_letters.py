"""Dead letters stay until they are dealt with, and can go back to where they came from."""

import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from peerbus.broker import Broker, Limits
from peerbus.errors import BadRequest, TopicNotFound
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from tests.broker.kept import writing_each_call
from tests.support.harness import Clock

MakeBroker = Callable[..., Broker]


@pytest.fixture
def jobs(make_broker: MakeBroker) -> Broker:
    """`w` subscribed to `jobs`: what it rejects once is a dead letter."""
    broker = make_broker(history=2)
    broker.register_peer("w")
    broker.create_topic("jobs")
    broker.subscribe("w", "jobs", explicit=True, max_attempts=1, dead_letter_topic="dead")
    return broker


def fail(broker: Broker, count: int) -> None:
    """Publish and reject messages."""
    broker.publish("jobs", [b"%d" % number for number in range(count)])
    pulled = broker.pull("w", "jobs", count)
    broker.reject("w", "jobs", [(offset, None) for offset in pulled.offsets])


def queue(broker: Broker) -> Any:
    (found,) = broker.list_subscriptions(10, topic="dead")
    return found


def redriven(broker: Broker, *offsets: int, to: str | None = None) -> tuple[int, list[int], list[int]]:
    chosen = offsets or tuple(chain(*broker.dead_letters("dead")))
    done = broker.redrive("dead", chosen, to)
    return done.count, done.stale, done.failed


def test_dead_letters_that_nobody_subscribed_to_are_kept_however_many(jobs: Broker) -> None:
    fail(jobs, 50)
    assert (queue(jobs).queue, queue(jobs).members, queue(jobs).unread) == ("group dead-letters", 0, 50)
    assert (queue(jobs).expires_after, queue(jobs).expires_in) == (None, None)
    assert jobs.list_topics(10)[0].first_offset == 0


def test_all_go_back_to_where_they_came_from_once(jobs: Broker) -> None:
    fail(jobs, 5)
    assert redriven(jobs) == (5, [], [])
    assert (queue(jobs).unread, redriven(jobs)) == (0, (0, [], []))
    again = jobs.pull("w", "jobs")
    assert (again.values, again.offsets, again.attempts) == ([b"%d" % n for n in range(5)], [5, 6, 7, 8, 9], [1] * 5)


def test_single_letters_go_back_and_the_others_stay_in_order(jobs: Broker) -> None:
    fail(jobs, 5)
    assert redriven(jobs, 3, 1) == (2, [], [])
    assert redriven(jobs, 3, 7) == (0, [3, 7], [])
    assert jobs.pull("w", "jobs").values == [b"3", b"1"]
    jobs.subscribe("w", "dead", group="dead-letters")
    left = jobs.pull("w", "dead")
    assert (left.offsets, left.attempts) == ([0, 2, 4], [1, 1, 1])


def test_a_letter_in_flight_is_taken_from_who_has_it(jobs: Broker) -> None:
    fail(jobs, 2)
    jobs.subscribe("w", "dead", group="dead-letters")
    jobs.pull("w", "dead", 1)
    assert redriven(jobs, 0) == (1, [], [])
    assert jobs.acknowledge("w", "dead", [(0, None)]).stale == [0]


def test_they_go_to_another_topic_when_it_is_named(jobs: Broker) -> None:
    fail(jobs, 1)
    jobs.create_topic("retry")
    assert redriven(jobs, to="retry") == (1, [], [])
    assert jobs.peek("retry", 10, 1000).values == [b"0"]


def test_what_cannot_be_published_stays(jobs: Broker) -> None:
    fail(jobs, 2)
    jobs.publish("dead", [b'"not a letter"'])
    jobs.delete_topic("jobs")
    done = jobs.redrive("dead", [0, 1, 2])
    assert (done.count, done.failed) == (0, [0, 1, 2])
    assert isinstance(done.error, TopicNotFound)
    jobs.create_topic("jobs", max_messages=1)
    jobs.subscribe("w", "jobs")
    assert redriven(jobs) == (1, [], [1, 2])
    assert queue(jobs).unread == 2


def test_a_topic_without_dead_letters_is_refused(jobs: Broker) -> None:
    jobs.create_topic("dead")
    for topic in ("dead", "jobs"):
        with pytest.raises(BadRequest, match=rf"Topic '{topic}' is no dead-letter topic: .* - at \$\.topic"):
            jobs.redrive(topic, [0])
    with pytest.raises(TopicNotFound):
        jobs.dead_letters("none")


def test_no_more_letters_are_passed_over_than_may_be_in_flight(make_broker: MakeBroker) -> None:
    broker = make_broker(max_unacknowledged=3)
    broker.register_peer("w")
    broker.create_topic("jobs")
    broker.subscribe("w", "jobs", explicit=True, max_attempts=1, dead_letter_topic="dead")
    for _ in range(3):
        fail(broker, 2)
    assert redriven(broker, 5, 3, 4) == (2, [], [5])


def test_many_letters_are_passed_over_in_slices(jobs: Broker) -> None:
    fail(jobs, 1)
    jobs.publish("dead", [b'"not a letter"'] * 25_000)
    fail(jobs, 1)
    jobs.register_peer("x")
    jobs.subscribe("x", "dead", group="dead-letters")
    done = [jobs.redrive("dead", [0, 25_001, 25_002])]
    while done[-1].left:
        done.append(jobs.redrive("dead", done[-1].left))
    assert [(each.count, each.left, each.stale) for each in done] == [
        (1, [25_001, 25_002], []),
        (0, [25_001, 25_002], []),
        (1, [], [25_002]),
    ]
    offsets: list[int] = []
    while pulled := jobs.pull("x", "dead", 10_000).offsets:
        offsets += pulled
    assert offsets == list(range(1, 25_001))


FORGED = b'{"message":1,"topic":"jobs","offset":0,"attempts":1,"peer_id":"w","reason":"rejected","publisher":"w"}'


@pytest.mark.parametrize("publisher", [None, "mallory"])
def test_a_message_that_looks_like_a_dead_letter_is_none(jobs: Broker, publisher: str | None) -> None:
    jobs.register_peer("mallory")
    fail(jobs, 1)
    jobs.publish("dead", [FORGED], publisher)
    done = jobs.redrive("dead", [1])
    assert (done.count, done.failed, queue(jobs).unread) == (0, [1], 2)
    assert "is no dead letter: it was published to the topic" in str(done.error)
    assert jobs.pull("w", "jobs").values == []


def test_a_letter_is_one_after_a_restart_and_a_look_alike_none(tmp_path: Path, clock: Clock) -> None:
    for is_first in (True, False):
        journal = GroupCommit(Storage(tmp_path), reserve=0, clock=clock)
        broker = writing_each_call(journal, Limits())
        if is_first:
            broker.register_peer("w")
            broker.create_topic("jobs")
            broker.subscribe("w", "jobs", explicit=True, max_attempts=1, dead_letter_topic="dead")
            fail(broker, 1)
            broker.publish("dead", [FORGED])
        else:
            assert redriven(broker) == (1, [], [1])
        journal.close()


def test_a_letter_that_failed_as_well_is_one_where_it_goes_back(jobs: Broker) -> None:
    jobs.publish("jobs", [b"0"], "w")
    jobs.pull("w", "jobs")
    jobs.reject("w", "jobs", [(0, None)])
    jobs.register_peer("x")
    jobs.subscribe("x", "dead", group="dead-letters", max_attempts=1, dead_letter_topic="buried")
    jobs.pull("x", "dead")
    jobs.reject("x", "dead", [(0, None)])
    assert json.loads(jobs.peek("buried", 1, 1000).values[0])["publisher"] == "the server"
    assert jobs.redrive("buried", [0]).count == 1
    assert redriven(jobs, 1) == (1, [], [])
    again = jobs.pull("w", "jobs", details=True)
    assert (again.values, again.details and again.details.publishers) == ([b"0"], ["w"])


def test_a_letter_has_no_publisher_for_who_asks(jobs: Broker) -> None:
    fail(jobs, 1)
    told = jobs.peek("dead", 1, 1000, details=True).details
    assert told
    assert told.publishers == [None]


def test_letters_that_are_freed_as_others_come_in_their_place_are_missed_once(make_broker: MakeBroker) -> None:
    broker = make_broker()
    broker.register_peer("w")
    broker.create_topic("jobs")
    broker.create_topic("dead", max_messages=3, overflow="drop_oldest")
    broker.subscribe("w", "jobs", explicit=True, max_attempts=1, dead_letter_topic="dead")
    fail(broker, 3)
    assert redriven(broker, 0, to="dead") == (1, [], [])
    assert queue(broker).missed == 0
    assert redriven(broker, 2, to="dead") == (1, [], [])
    assert (queue(broker).missed, queue(broker).unread) == (1, 2)


def test_a_queue_that_was_ended_begins_again_with_the_next_letter(jobs: Broker) -> None:
    fail(jobs, 3)
    assert jobs.end_group("dead", "dead-letters", 10).discarded == 3
    fail(jobs, 1)
    assert queue(jobs).unread == 1


def test_other_messages_of_the_topic_are_not_kept_with_them(jobs: Broker) -> None:
    jobs.create_topic("dead")
    jobs.publish("dead", [b"1"])
    fail(jobs, 1)
    assert queue(jobs).unread == 1


def test_a_letter_has_the_message_as_it_was(jobs: Broker) -> None:
    jobs.publish("jobs", [b'{"a": [1,  2.50]}'])
    jobs.pull("w", "jobs")
    jobs.reject("w", "jobs", [(0, None)])
    assert json.loads(jobs.peek("dead", 1, 1000).values[0])["message"] == {"a": [1, 2.5]}
    redriven(jobs)
    assert jobs.pull("w", "jobs").values == [b'{"a": [1,  2.50]}']


def test_a_topic_keeps_as_much_history_as_it_was_created_with(make_broker: MakeBroker) -> None:
    broker = make_broker(history=2)
    broker.register_peer("w")
    for topic, history, kept in (("none", 0, 0), ("server", None, 2), ("more", 5, 5)):
        broker.create_topic(topic, history=history)
        broker.subscribe("w", topic)
        broker.publish(topic, [b"0"] * 10)
        broker.pull("w", topic)
        assert broker.seek("w", topic, "earliest") == 10 - kept
