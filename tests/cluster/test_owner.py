"""An owner answers no call before its changes are in the log, and none at all once another server has claimed it."""

from collections.abc import Callable, Iterator

import pytest

from peerbus.broker import Broker, Limits
from peerbus.errors import IndexTimeout, ShardUnavailable
from peerbus.future import Future
from peerbus.http.event_loop import Loop
from tests.support.fake_engine import FakeEngine, LoggedJournal
from tests.support.harness import Clock

WAIT_SECONDS = 10.0


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop("engine")
    yield loop
    loop.close()


@pytest.fixture
def begin(loop: Loop, clock: Clock) -> Iterator[Callable[[FakeEngine], tuple[LoggedJournal, Broker]]]:
    """Makes owners of an engine's shard, each with a broker that has the topic `news`."""
    journals: list[LoggedJournal] = []

    def begin(engine: FakeEngine) -> tuple[LoggedJournal, Broker]:
        journals.append(LoggedJournal(engine, loop, clock, clock))
        broker = journals[-1].open(Limits(), lambda *_: None)
        broker.create_topic("news")
        journals[-1].write()
        return journals[-1], broker

    yield begin
    for journal in journals:
        journal.die()


Begin = Callable[[FakeEngine], tuple[LoggedJournal, Broker]]


def held(owner: LoggedJournal) -> Future[str]:
    """A value that waits for the changes made until now."""
    value = owner.journal.after_commit("done")
    assert isinstance(value, Future)
    return value


def test_a_call_is_answered_when_its_changes_are_in_the_log(begin: Begin) -> None:
    engine = FakeEngine()
    owner, broker = begin(engine)
    engine.entries.is_paused = True
    broker.publish("news", [b"1"])
    waiting = held(owner)
    assert not waiting.done
    engine.entries.is_paused = False
    assert waiting.result(WAIT_SECONDS) == "done"


def test_messages_are_delivered_when_they_are_in_the_log(begin: Begin) -> None:
    engine = FakeEngine()
    owner, broker = begin(engine)
    broker.register_peer("a")
    broker.subscribe("a", "news")
    owner.write()
    engine.entries.is_paused = True
    broker.publish("news", [b"1"])
    waiting = held(owner)
    assert broker.pull("a", "news").values == []
    engine.entries.is_paused = False
    waiting.result(WAIT_SECONDS)
    assert broker.pull("a", "news").values == [b"1"]


def test_calls_of_several_batches_are_answered_in_their_order(begin: Begin) -> None:
    engine = FakeEngine()
    owner, broker = begin(engine)
    engine.entries.is_paused = True
    answered: list[int] = []
    futures = []
    for number in range(50):
        broker.publish("news", [b"%d" % number])
        value = owner.journal.after_commit(number)
        assert isinstance(value, Future)
        value.add_done_callback(lambda done: answered.append(done.result()))
        futures.append(value)
    engine.entries.is_paused = False
    futures[-1].result(WAIT_SECONDS)
    assert answered == list(range(50))


def test_an_owner_that_was_overtaken_fails_what_is_not_in_the_log_and_all_later_calls(begin: Begin) -> None:
    engine = FakeEngine()
    old, broker = begin(engine)
    engine.entries.is_paused = True
    broker.publish("news", [b"lost"])
    waiting = held(old)
    _, new = begin(engine.seen_by_another())
    engine.entries.is_paused = False
    assert isinstance(waiting.exception(WAIT_SECONDS), ShardUnavailable)
    assert isinstance(held(old).exception(WAIT_SECONDS), ShardUnavailable)
    assert old.is_lost
    assert list(new.peek("news", 10, 1000).values) == []


def test_a_call_that_changes_nothing_is_answered_at_once_while_the_log_is_known_to_be_ours(begin: Begin) -> None:
    owner, _ = begin(FakeEngine())
    assert owner.journal.after_commit("done") == "done"


def test_a_call_that_changes_nothing_waits_until_the_log_is_known_to_be_ours(begin: Begin, clock: Clock) -> None:
    engine = FakeEngine()
    owner, _ = begin(engine)
    clock.advance(60.0)
    assert held(owner).result(WAIT_SECONDS) == "done"
    assert owner.journal.after_commit("done") == "done"


def test_an_owner_that_stood_still_answers_nothing_from_its_old_state(begin: Begin, clock: Clock) -> None:
    engine = FakeEngine()
    old, _ = begin(engine)
    begin(engine)
    clock.advance(60.0)
    assert isinstance(held(old).exception(WAIT_SECONDS), ShardUnavailable)
    assert old.is_lost


def test_calls_whose_changes_are_not_known_to_be_in_the_log_at_the_end_may_have_been_carried_out(begin: Begin) -> None:
    engine = FakeEngine()
    owner, broker = begin(engine)
    engine.entries.is_paused = True
    broker.publish("news", [b"1"])
    waiting = held(owner)
    owner.die()
    assert isinstance(waiting.exception(WAIT_SECONDS), IndexTimeout)


def test_closing_appends_what_is_left(begin: Begin) -> None:
    engine = FakeEngine()
    owner, broker = begin(engine)
    broker.publish("news", [b"1"])
    waiting = held(owner)
    owner.close()
    assert waiting.result(WAIT_SECONDS) == "done"
    _, next_broker = begin(engine)
    assert list(next_broker.peek("news", 10, 1000).values) == [b"1"]
