"""Push targets of message queues: what they are handed, and what a push that went well or badly changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peerbus.broker import Broker, Limits
from peerbus.broker.push_target import Push, PushKey, PushProblem
from peerbus.errors import BadRequest, NotSubscribed, TopicDeleted
from peerbus.future import Future
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from tests.broker.kept import writing_each_call
from tests.support.harness import Clock

MakeBroker = Callable[..., Broker]
URL = "http://127.0.0.1:8000/hook"
DOWN = PushProblem("connection refused", pause=1.0)
BUSY = PushProblem("status 503", pause=5.0, attempted=False)


def _next(broker: Broker, key: PushKey) -> Push | None:
    """The next push of a target, None also for one that is no more."""
    try:
        return broker.next_push(key, 0)
    except NotSubscribed:
        return None


class Pushes:
    """The push targets that a broker named, as its pusher does it."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.named: list[PushKey] = []
        broker.on_push = self.named.append

    def ready(self) -> list[PushKey]:
        """The targets named since the last call."""
        self.broker.run_due()
        named, self.named[:] = list(self.named), []
        return named

    def next(self) -> Push:
        """The next push of the one target that is ready."""
        (push,) = [push for key in self.ready() if (push := _next(self.broker, key))]
        return push


def subscribed(broker: Broker, *peers: str, **options: Any) -> Pushes:
    """Peers that are pushed to from the topic `news`."""
    broker.create_topic("news")
    for peer_id in peers or ("a",):
        broker.register_peer(peer_id)
        broker.subscribe(peer_id, "news", explicit=True, push_to=URL, **options)
    return Pushes(broker)


@pytest.fixture
def broker(make_broker: MakeBroker) -> Broker:
    return make_broker()


def test_a_target_is_named_once_there_is_something_to_push(broker: Broker) -> None:
    pushes = subscribed(broker, push_batch=2)
    assert pushes.ready() == []
    broker.publish("news", [b"1", b"2", b"3"], "a")
    push = pushes.next()
    assert (push.key.peer_id, push.key.topic, push.options.url) == ("a", "news", URL)
    assert (push.pulled.offsets, push.pulled.values, push.pulled.attempts) == ([0, 1], [b"1", b"2"], [1, 1])
    assert push.pulled.details
    assert push.pulled.details.publishers == ["a", "a"]
    broker.settle_push(push)
    second = broker.next_push(push.key, 0)
    assert second
    assert second.pulled.values == [b"3"]
    broker.settle_push(second)
    assert broker.next_push(push.key, 0) is None
    broker.publish("news", [b"4"])
    assert pushes.next().pulled.values == [b"4"]


def test_what_was_published_before_is_pushed_from_where_the_queue_begins(broker: Broker) -> None:
    broker.create_topic("news")
    broker.publish("news", [b"1"])
    pushes = subscribed(broker, start="earliest")
    assert pushes.next().pulled.values == [b"1"]


def test_a_failed_push_comes_again_in_order_and_before_what_follows(broker: Broker) -> None:
    pushes = subscribed(broker, push_batch=2)
    broker.publish("news", [b"1", b"2", b"3"])
    push = pushes.next()
    broker.settle_push(push, DOWN)
    again = broker.next_push(push.key, 0)
    assert again
    assert (again.pulled.offsets, again.pulled.attempts) == ([0, 1], [2, 2])


def test_a_busy_target_hands_messages_back_untouched(broker: Broker) -> None:
    pushes = subscribed(broker, max_attempts=1)
    broker.publish("news", [b"1"])
    push = pushes.next()
    broker.settle_push(push, BUSY)
    again = broker.next_push(push.key, 0)
    assert again
    assert again.pulled.attempts == [1]


def test_after_the_last_attempt_the_dead_letter_has_the_reason(broker: Broker) -> None:
    pushes = subscribed(broker, max_attempts=2, dead_letter_topic="dead")
    broker.publish("news", [b"1"])
    push: Push | None = pushes.next()
    for _ in range(2):
        assert push
        broker.settle_push(push, DOWN)
        push = broker.next_push(push.key, 0)
    assert push is None
    (letter,) = broker.peek("dead", 1, 1000).values
    assert b'"reason":"rejected: connection refused"' in letter


def test_no_more_pushes_than_allowed_are_under_way_at_once(broker: Broker) -> None:
    pushes = subscribed(broker, push_at_once=2)
    broker.publish("news", [b"1", b"2", b"3"])
    push = pushes.next()
    assert broker.next_push(push.key, 1)
    assert broker.next_push(push.key, 2) is None
    third = broker.next_push(push.key, 1)
    assert third
    assert third.pulled.values == [b"3"]


def test_the_view_tells_the_target_and_its_problem(broker: Broker, clock: Clock) -> None:
    pushes = subscribed(broker)
    broker.subscribe("a", "news", push_to=f"{URL}?key=secret", push_secret="s" * 16)
    broker.publish("news", [b"1"])
    push = pushes.next()
    (view,) = broker.list_subscriptions(1, topic="news")
    (target,) = view.push_to
    assert (target.peer_id, target.url, target.problem, target.tries_in) == ("a", URL, None, None)
    broker.settle_push(push, BUSY)
    clock.advance(2.0)
    (target,) = broker.list_subscriptions(1, topic="news")[0].push_to
    assert (target.problem, target.tries_in) == ("status 503", 3.0)
    again = broker.next_push(push.key, 0)
    assert again
    broker.settle_push(again)
    assert broker.list_subscriptions(1, topic="news")[0].push_to[0].problem is None


# Options


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"push_to": URL}, "push_to only means something with ack: explicit - at $.push_to"),
        ({"push_to": URL, "explicit": False}, "push_to only means something with ack: explicit - at $.push_to"),
        ({"push_batch": 2, "explicit": True}, "push_batch only mean something with push_to - at $.push_batch"),
        ({"push_to": None, "push_secret": "s"}, "push_secret only mean something with push_to - at $.push_secret"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(broker: Broker, options: dict[str, Any], fault: str) -> None:
    broker.create_topic("news")
    broker.register_peer("a")
    with pytest.raises(BadRequest) as raised:
        broker.subscribe("a", "news", **options)
    assert raised.value.message == fault
    assert broker.list_subscriptions(1, topic="news") == []


def test_a_queue_that_is_pushed_stays_explicit(broker: Broker) -> None:
    subscribed(broker, "a", "b", group="g")
    with pytest.raises(BadRequest, match=r"at \$\.push_to"):
        broker.subscribe("a", "news", explicit=False)
    with pytest.raises(BadRequest, match=r"at \$\.ack"):
        broker.subscribe("a", "news", explicit=False, push_to=None)
    broker.subscribe("a", "news", push_to=None)
    broker.subscribe("b", "news", push_to=None, explicit=False)


def test_options_that_are_not_named_stay_and_other_ones_make_another_target(broker: Broker) -> None:
    pushes = subscribed(broker, push_batch=5, push_secret="s" * 16)
    broker.publish("news", [b"1"])
    push = pushes.next()
    broker.subscribe("a", "news", push_to=URL)
    assert broker.next_push(push.key, 0) is None
    broker.subscribe("a", "news", push_to="http://127.0.0.1:8001/")
    with pytest.raises(NotSubscribed):
        broker.next_push(push.key, 0)
    broker.settle_push(push, DOWN)  # of the earlier target, and settled all the same
    assert broker.list_subscriptions(1, topic="news")[0].push_to[0].problem is None
    again = pushes.next()
    assert again.options == ("http://127.0.0.1:8001/", 5, 1, "s" * 16)
    assert again.pulled.attempts == [2]


def test_each_member_of_a_group_has_its_own_target(broker: Broker) -> None:
    pushes = subscribed(broker, "a", "b", group="g")
    broker.publish("news", [b"1", b"2"])
    keys = pushes.ready()
    assert [key.peer_id for key in keys] == ["a", "b"]
    first, second = (broker.next_push(key, 0) for key in keys)
    assert first
    assert second
    assert (first.pulled.values, second.pulled.values) == ([b"1"], [b"2"])
    broker.settle_push(first, DOWN)
    broker.settle_push(second)
    third = broker.next_push(keys[1], 0)  # `a` pauses, and `b` gets what it could not take
    assert third
    assert (third.pulled.values, third.pulled.attempts) == ([b"1"], [2])


def test_a_peer_with_a_target_may_pull_from_the_same_queue(broker: Broker) -> None:
    pushes = subscribed(broker)
    broker.publish("news", [b"1", b"2"])
    assert pushes.next().pulled.values == [b"1"]
    assert broker.pull("a", "news").values == [b"2"]


# Ends


ENDS: dict[str, Callable[[Broker], object]] = {
    "push_to is removed": lambda broker: broker.subscribe("a", "news", push_to=None),
    "unsubscribed": lambda broker: broker.unsubscribe("a", "news"),
    "unregistered": lambda broker: broker.unregister_peer("a"),
    "the topic is deleted": lambda broker: broker.delete_topic("news"),
    "the peer went away": lambda broker: broker.leave("a", 100),
    "the server stops": lambda broker: broker.close(),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_nothing_is_pushed_after_the_end(broker: Broker, end: Callable[[Broker], object]) -> None:
    pushes = subscribed(broker)
    broker.publish("news", [b"1", b"2"])
    push = pushes.next()
    end(broker)
    with pytest.raises(NotSubscribed):
        broker.next_push(push.key, 0)
    broker.settle_push(push)
    assert all(_next(broker, key) is None for key in pushes.ready())


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_an_idle_target_is_named_when_it_ends_and_is_no_more(broker: Broker, end: Callable[[Broker], object]) -> None:
    pushes = subscribed(broker)
    end(broker)
    assert all(_next(broker, key) is None for key in pushes.ready())
    assert pushes.ready() == []


def test_a_deleted_topic_is_still_told_to_the_peer(broker: Broker) -> None:
    pushes = subscribed(broker)
    broker.delete_topic("news")
    assert all(_next(broker, key) is None for key in pushes.ready())
    with pytest.raises(TopicDeleted):
        broker.pull("a", "news")


def test_late_answers_change_nothing(broker: Broker) -> None:
    pushes = subscribed(broker)
    broker.publish("news", [b"1"])
    push = pushes.next()
    broker.seek("a", "news", "earliest")
    again = broker.next_push(push.key, 0)
    assert again
    broker.settle_push(push)
    assert broker.list_subscriptions(1, topic="news")[0].unacknowledged == 1
    broker.settle_push(again)
    assert broker.list_subscriptions(1, topic="news")[0].unread == 0


def test_what_is_not_answered_in_time_comes_again_and_the_late_answer_is_stale(broker: Broker, clock: Clock) -> None:
    pushes = subscribed(broker, ack_deadline=10.0, push_at_once=2)
    broker.publish("news", [b"1"])
    push = pushes.next()
    assert broker.next_push(push.key, 1) is None
    clock.advance(10.0)
    again = pushes.next()
    broker.settle_push(push)
    assert (again.pulled.attempts, broker.list_subscriptions(1, topic="news")[0].unread) == ([2], 1)


# Peers that are away


def test_pushes_renew_no_lease_and_bring_no_peer_back(broker: Broker, clock: Clock) -> None:
    pushes = subscribed(broker)
    broker.register_peer("a", lease_seconds=10.0)
    broker.publish("news", [b"1", b"2"])
    push = pushes.next()
    clock.advance(9.0)
    assert broker.next_push(push.key, 1) is None
    clock.advance(1.0)
    assert pushes.ready() == []
    broker.settle_push(push)
    assert broker.list_peers(1) == []
    with pytest.raises(NotSubscribed):
        broker.next_push(push.key, 0)


@pytest.mark.parametrize("come_back", [lambda b: b.register_peer("a"), lambda b: b.subscribe("a", "news")])
def test_a_peer_that_comes_back_is_pushed_to_again(broker: Broker, come_back: Callable[[Broker], object]) -> None:
    pushes = subscribed(broker)
    broker.leave("a", 100)
    broker.publish("news", [b"1"])
    assert all(_next(broker, key) is None for key in pushes.ready())
    come_back(broker)
    assert pushes.next().pulled.values == [b"1"]


def test_a_member_that_goes_away_leaves_its_group_and_its_target_with_it(broker: Broker) -> None:
    pushes = subscribed(broker, "a", "b", group="g")
    broker.leave("a", 100)
    broker.register_peer("a")
    broker.publish("news", [b"1"])
    assert pushes.next().key.peer_id == "b"
    broker.subscribe("a", "news", group="g")
    (queue,) = broker.list_subscriptions(1, topic="news")
    assert [target.peer_id for target in queue.push_to] == ["b"]


# Costs


def test_idle_targets_take_no_places_of_waiting_pulls_and_nothing_is_due_for_them(make_broker: MakeBroker) -> None:
    broker = make_broker(max_waiting=1)
    pushes = subscribed(broker, *(f"peer{number}" for number in range(20)))
    assert pushes.ready() == []
    assert broker.run_due().next_in == float("inf")
    assert broker.stats().waiting_pulls == 0
    assert isinstance(broker.pull_waiting("peer0", "news", 1, 60.0), Future)


# Restarts


class Lives:
    """Brokers on one folder, one after the other."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self.clock = clock
        self.journal: GroupCommit | None = None

    def begin(self) -> Broker:
        self.end()
        self.journal = GroupCommit(Storage(self.folder), reserve=0, clock=self.clock, wall_clock=self.clock)
        return writing_each_call(self.journal, Limits())

    def end(self) -> None:
        if self.journal:
            self.journal.close()


def test_pushes_go_on_after_a_restart_in_order_and_as_the_same_attempt(tmp_path: Path, clock: Clock) -> None:
    lives = Lives(tmp_path / "data", clock)
    broker = lives.begin()
    pushes = subscribed(broker, push_at_once=2, push_secret="s" * 16)
    broker.publish("news", [b"1", b"2", b"3"])
    push = pushes.next()
    broker.settle_push(push, DOWN)
    assert broker.next_push(push.key, 0)
    assert broker.next_push(push.key, 1)
    broker = lives.begin()
    again = Pushes(broker).next()
    assert again.options == push.options
    assert (again.pulled.values, again.pulled.attempts) == ([b"1"], [2])
    second = broker.next_push(again.key, 1)
    assert second
    assert (second.pulled.values, second.pulled.attempts) == ([b"2"], [1])
    lives.end()


def test_a_target_that_was_removed_or_is_away_is_not_pushed_to_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    lives = Lives(tmp_path / "data", clock)
    broker = lives.begin()
    subscribed(broker, "a", "b")
    broker.subscribe("a", "news", push_to=None)
    broker.leave("b", 100)
    broker.publish("news", [b"1"])
    broker = lives.begin()
    pushes = Pushes(broker)
    assert pushes.ready() == []
    broker.register_peer("b")
    assert pushes.next().pulled.values == [b"1"]
    lives.end()


def test_what_was_lost_before_a_push_is_told_until_a_push_is_taken(broker: Broker) -> None:
    broker.create_topic("news", max_messages=2, overflow="drop_oldest")
    broker.register_peer("a")
    broker.subscribe("a", "news", explicit=True, push_to=URL)
    pushes = Pushes(broker)
    for number in range(4):
        broker.publish("news", [b"%d" % number])
    (key,) = pushes.ready()
    told = []
    for problem in (DOWN, BUSY, None, None):
        push = broker.next_push(key, 0)
        assert push
        told.append((push.pulled.values, push.missed))
        broker.settle_push(push, problem)
    assert told == [([b"2"], 2), ([b"2"], 2), ([b"2"], 2), ([b"3"], 0)]
    assert broker.stats().missed == 2


def lost_before_a_push(broker: Broker) -> PushKey:
    """A target that refused a push which told that two messages were lost."""
    broker.create_topic("news", max_messages=1, overflow="drop_oldest")
    broker.register_peer("a")
    pushes = Pushes(broker)
    broker.subscribe("a", "news", explicit=True, push_to=URL)
    broker.publish("news", [b"1"])
    broker.publish("news", [b"2"])
    broker.publish("news", [b"3"])
    push = pushes.next()
    assert push.missed == 2
    broker.settle_push(push, DOWN)
    return push.key


def test_what_was_lost_is_told_after_a_restart_until_a_push_is_taken(tmp_path: Path, clock: Clock) -> None:
    told: list[int] = []
    for restart in range(4):
        journal = GroupCommit(Storage(tmp_path), reserve=0, clock=clock)
        broker = writing_each_call(journal, Limits(history=0))
        if restart == 0:
            lost_before_a_push(broker)
        else:
            if restart == 3:
                broker.publish("news", [b"4"])
            push = Pushes(broker).next()
            told.append(push.missed)
            broker.settle_push(push, None if restart == 2 else DOWN)
        journal.close()
    assert told == [2, 2, 0]


def test_what_was_lost_counts_once_however_often_it_is_told(broker: Broker) -> None:
    lost_before_a_push(broker)
    broker.subscribe("a", "news", push_to=None)
    assert broker.pull("a", "news").missed == 2
    assert broker.stats().missed == 2
    assert broker.list_topics(1)[0].missed == 2
