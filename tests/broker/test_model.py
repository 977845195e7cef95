"""The broker against a naive model, over random histories of calls."""

import json
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from itertools import chain
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from peerbus.broker import Broker, Limits
from peerbus.broker.push_target import Push, PushKey, PushProblem
from peerbus.broker.results import Ended, ExpiredQueue, Pulled
from peerbus.broker.state import Slice
from peerbus.broker.topic import NamedOptions
from peerbus.errors import PeerbusError
from peerbus.future import Future
from peerbus.wire.views import InFlightView
from tests.broker.model import WALL, Model, Queue
from tests.support.harness import Clock
from tests.support.histories import histories

PEERS = st.sampled_from(["p1", "p1", "p2", "p3"])
TOPICS = st.sampled_from(["t1", "t1", "t1", "t2", "dead"])
PROBLEMS = (PushProblem("status 500", 1.0), PushProblem("status 503", 1.0, attempted=False))
DEAD = st.sampled_from(["dead", "dead", "dead", "t1", "t2"])
STARTS = st.sampled_from([None, None, None, "latest", "earliest", 0, 2, 1000])
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "explicit": st.sampled_from([True, True, True, True, False]),
        "ack_deadline": st.sampled_from([3.0, 8.0]),
        "max_attempts": st.sampled_from([1, 2]),
        "dead_letter_topic": st.just("dead"),
        "expires_after": st.sampled_from([0.0, 2.375, 12.375]),
    },
)
STEP = 0.125
"""Deadlines end at whole seconds, leases at quarters, ages at halves past, and queues three eighths after calls and
leases: no two at once in one step."""
BACK = st.integers(1, 8)
"""How far back from the end of the topic a claimed offset is."""
IN_FLIGHT = st.sampled_from([None, None, 1, 2, 4])
CLAIMS = st.one_of(BACK, st.lists(st.tuples(BACK, st.sampled_from([None, None, 1, 2])), min_size=1, max_size=4))
DELAYS = st.sampled_from([0.75, 1.75, 1.75, 4.75])
ATTEMPTED = st.sampled_from([True, True, False])
EXTENSIONS = st.sampled_from([1.0, 5.0, 20.0])
SLICE = Slice(answers=1, overdue=1, subscriptions=1, scheduled=1000, values=1)
LIMITS = Limits(
    history=3, max_messages=8, max_pull=4, max_unacknowledged=6, group_expiry=20.375, subscription_expiry=6.375
)


def outcome(call: Callable[[], Any]) -> Any:
    """What a call answers, or the code of the error it raises."""
    try:
        return call()
    except PeerbusError as error:
        return error.code


def readable(value: bytes) -> Any:
    """A message as the model has it: a number, or a dead letter."""
    content = json.loads(value)
    return (
        tuple(readable(json.dumps(v).encode()) if k == "message" else v for k, v in content.items())
        if isinstance(content, dict)
        else content
    )


def pulled(answer: Callable[[], Pulled | str]) -> Any:
    """What a pull was answered with, as the model has it."""
    found = outcome(answer)
    if isinstance(found, str):
        return found
    values = [readable(value) for value in found.values]
    return list(found.offsets), values, found.attempts, found.missed, found.remaining, found.position


class BrokerAndModel(RuleBasedStateMachine):
    """Makes the same calls on both and compares what they answer."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.broker = Broker(LIMITS, self.clock, wall_clock=lambda: self.clock() + WALL, per_slice=SLICE)
        self.model = Model(LIMITS)
        self.published = 0
        self.behind = False
        """Whether something that the broker has to do in slices may not be done."""

    @initialize(
        subscriptions=st.lists(st.tuples(PEERS, TOPICS, st.sampled_from([None, "g"]), OPTIONS), min_size=4, max_size=8)
    )
    def begin_with_subscriptions(self, subscriptions: list[tuple[str, str, str | None, dict[str, Any]]]) -> None:
        """Most histories that matter begin like this."""
        for peer in ("p1", "p2", "p3"):
            self.register(peer, None)
        self.create(("t1", "t2"), 8, "reject", None)
        self.subscribe("p1", "t1", None, "g", {"explicit": True, "max_attempts": 2, "dead_letter_topic": "dead"})
        for peer, topic, group, options in subscriptions:
            self.subscribe(peer, topic, None, group, dict(options))

    @rule(peer=PEERS, lease=st.sampled_from([None, 5.25, 20.25]))
    def register(self, peer: str, lease: float | None) -> None:
        assert self.broker.register_peer(peer, lease_seconds=lease).created == self.model.register(peer, lease)

    @rule(
        topics=st.sampled_from([("t1",), ("t2",), ("t1", "t2")]),
        max_messages=st.sampled_from([2, 8, 8]),
        overflow=st.sampled_from(["reject", "drop_oldest"]),
        max_age=st.sampled_from([None, None, 6.5]),
    )
    def create(self, topics: tuple[str, ...], max_messages: int, overflow: Any, max_age: float | None) -> None:
        named = NamedOptions(max_messages, overflow, max_age)
        expected = self.model.create(topics, max_messages, overflow, max_age)
        assert outcome(lambda: self.broker.create_topics(topics, named)) == expected

    @rule(
        peer=PEERS,
        topic=TOPICS,
        end=st.sampled_from(["peer", "peer in slices", "peer stays away", "topic", "group", *["subscription"] * 2]),
    )
    def end(self, peer: str, topic: str, end: str) -> None:
        if end.startswith("peer"):
            is_known = peer in self.model.leases or peer in self.model.away
            leave = self.model.go_away if end == "peer stays away" else self.model.remove
            gone = leave(peer) if is_known else "peer_not_found"
            assert outcome(lambda: self.end_peer(peer, end)) == gone
            self.run_due()
        elif end == "group":
            expected = self.model.end_group(topic, "g")
            assert outcome(lambda: self.in_slices(lambda: self.broker.end_group(topic, "g", 1))) == expected
        elif end == "topic":
            expected = self.model.delete(topic)
            self.behind = True
            assert outcome(lambda: self.broker.delete_topic(topic).discarded) == expected
        else:
            expected = self.model.unsubscribe(peer, topic)
            assert outcome(lambda: self.broker.unsubscribe(peer, topic)) == expected

    def end_peer(self, peer: str, end: str) -> int:
        if end == "peer":
            return self.broker.unregister_peer(peer)
        step = self.broker.leave if end == "peer stays away" else self.broker.end_subscriptions
        return self.in_slices(lambda: step(peer, 1))

    def in_slices(self, step: Callable[[], Ended]) -> int:
        ended = step()
        return ended.discarded + (self.in_slices(step) if ended.left else 0)

    @rule(topic=TOPICS, count=st.integers(1, 5), publisher=st.none() | PEERS)
    def publish(self, topic: str, count: int, publisher: str | None = None) -> None:
        numbers = list(range(self.published, self.published + count))
        self.published += count
        expected = self.model.publish(topic, list(numbers), publisher)
        assert outcome(lambda: self.broker.publish(topic, [b"%d" % n for n in numbers], publisher).offset) == expected

    @rule(topic=TOPICS, count=st.integers(1, 3), delay=DELAYS)
    def schedule(self, topic: str, count: int, delay: float) -> None:
        numbers = list(range(self.published, self.published + count))
        self.published += count
        expected = self.model.schedule(topic, list(numbers), delay)
        values = [b"%d" % n for n in numbers]
        assert outcome(lambda: self.broker.schedule(topic, values, delay=delay).scheduled) == expected

    @rule(topic=TOPICS, back=st.sets(st.integers(0, 4), min_size=1))
    def cancel(self, topic: str, back: set[int]) -> None:
        numbers = [self.model.last_scheduled - each for each in sorted(back)]
        expected = self.model.cancel(topic, numbers)
        answer = outcome(lambda: self.broker.cancel_scheduled(topic, numbers))
        assert (answer if isinstance(answer, str) else (answer.count, answer.unknown)) == expected

    @rule(peer=PEERS, topic=TOPICS, start=STARTS, group=st.sampled_from([None, "g", "g"]), options=OPTIONS)
    def subscribe(self, peer: str, topic: str, start: Any, group: str | None, options: dict[str, Any]) -> None:
        if topic == "dead":
            options.pop("max_attempts", None)
        if (topic, group) != ("t1", "g"):
            options.pop("dead_letter_topic", None)  # so that letters come from one queue, in a certain order
        expected = self.model.subscribe(peer, topic, start, group, options)
        answer = outcome(lambda: self.broker.subscribe(peer, topic, start, group, **options))
        assert (answer if isinstance(answer, str) else (answer.created, answer.next_offset, answer.members)) == expected

    @rule(peer=PEERS, topic=TOPICS, to=STARTS.filter(lambda to: to is not None))
    def seek(self, peer: str, topic: str, to: Any) -> None:
        expected = self.model.seek(peer, topic, to)
        assert outcome(lambda: self.broker.seek(peer, topic, to)) == expected

    @rule(peer=PEERS, topic=TOPICS, count=st.integers(1, 6))
    def pull(self, peer: str, topic: str, count: int) -> None:
        self.pulled(peer, topic, count)

    def pulled(self, peer: str, topic: str, count: int) -> Pulled | str:
        expected = self.model.pull(peer, topic, count)
        answer: Pulled | str = outcome(lambda: self.broker.pull(peer, topic, count, details=True))
        assert pulled(lambda: answer) == expected
        assert isinstance(answer, str) or answer.details == self.model.details(topic, answer.offsets)
        return answer

    @rule(peer=PEERS, topic=TOPICS, count=st.integers(1, 6), arrived=st.integers(0, 3))
    def pull_and_give_back(self, peer: str, topic: str, count: int, arrived: int) -> None:
        answer = self.pulled(peer, topic, count)
        if isinstance(answer, str):
            return
        offsets = list(answer.offsets)[arrived:]
        attempts = None if answer.attempts is None else list(answer.attempts)[arrived:]
        self.broker.give_back(peer, topic, answer.queue, answer.generation, offsets, attempts, answer.missed)
        self.model.give_back(peer, topic, offsets, attempts, answer.missed)

    @rule(peer=PEERS, topic=TOPICS, published=st.integers(1, 3), pulled=st.integers(1, 6))
    def publish_and_pull(self, peer: str, topic: str, published: int, pulled: int) -> None:
        self.publish(topic, published)
        self.pull(peer, topic, pulled)

    @rule(topic=DEAD, back=st.none() | st.lists(BACK, min_size=1, max_size=3), to=st.sampled_from([None, None, "t2"]))
    def redrive(self, topic: str, back: list[int] | None, to: str | None) -> None:
        offsets = (
            None if back is None else [offset for offset, _ in self.offsets(topic, [(each, None) for each in back])]
        )
        expected = self.model.redrive(topic, offsets, to)

        def redrive() -> tuple[int, list[int], list[int]]:
            chosen = chain(*self.broker.dead_letters(topic)) if offsets is None else offsets
            done = self.broker.redrive(topic, list(chosen), to)
            return done.count, done.stale, done.failed

        assert outcome(redrive) == expected

    @rule(peer=PEERS, topic=TOPICS, batch=st.integers(1, 3), problem=st.sampled_from([None, *PROBLEMS]))
    def push(self, peer: str, topic: str, batch: int, problem: PushProblem | None) -> None:
        """A push target that a peer has for a moment; the model pulls and settles instead."""
        known = self.model.topics.get(topic)
        queue = known.queue_of(peer) if known else None
        if queue is None or not queue.explicit or peer not in self.model.leases:
            return
        named: list[PushKey] = []
        self.broker.on_push = named.append
        assert not self.broker.subscribe(peer, topic, push_to="http://127.0.0.1:9", push_batch=batch).created
        self.model.subscribe(peer, topic, None, None, {})
        self.run_due()
        found = [outcome(partial(self.broker.next_push, key, 0)) for key in named]
        for pushed in (push for push in found if isinstance(push, Push)):
            offsets, _, attempts, missed, _, _ = self.model.pull(peer, topic, batch)
            assert (pushed.pulled.offsets, pushed.pulled.attempts, pushed.missed) == (offsets, attempts, missed)
            self.broker.settle_push(pushed, problem)
            claims = [(offset, None) for offset in offsets]
            if problem:
                reason = f"rejected: {problem.reason}"
                self.model.settle_claims(peer, topic, claims, 0.0, problem.attempted, reason)
            else:
                self.model.settle_claims(peer, topic, claims, None)
            queue.dropped += missed if problem else 0
        self.broker.subscribe(peer, topic, push_to=None)
        self.model.subscribe(peer, topic, None, None, {})

    @rule(topic=TOPICS, limit=st.integers(1, 4), start=st.none() | st.integers(0, 12))
    def show_messages(self, topic: str, limit: int, start: int | None) -> None:
        expected = self.model.peek(topic, limit, start)
        answer = outcome(lambda: self.broker.peek(topic, limit, 1000, start, details=True))
        if not isinstance(answer, str):
            answer = [readable(value) for value in answer.values], *answer.details
        assert answer == expected

    @rule(peer=PEERS, topic=TOPICS, claims=CLAIMS)
    def acknowledge(self, peer: str, topic: str, claims: Any) -> None:
        claims = self.offsets(topic, claims)
        expected = self.model.settle_claims(peer, topic, claims, None)
        answer = outcome(lambda: self.broker.acknowledge(peer, topic, claims))
        assert (answer if isinstance(answer, str) else (answer.count, answer.stale)) == expected

    @rule(peer=PEERS, topic=TOPICS, claims=CLAIMS, delay=st.sampled_from([0.0, 2.0]), attempted=ATTEMPTED)
    def reject(self, peer: str, topic: str, claims: Any, delay: float, attempted: bool) -> None:
        claims = self.offsets(topic, claims)
        expected = self.model.settle_claims(peer, topic, claims, delay, attempted)
        answer = outcome(lambda: self.broker.reject(peer, topic, claims, delay, attempted=attempted))
        assert (answer if isinstance(answer, str) else (answer.count, answer.stale)) == expected

    @rule(peer=PEERS, topic=TOPICS, claims=CLAIMS, seconds=EXTENSIONS)
    def extend(self, peer: str, topic: str, claims: Any, seconds: float) -> None:
        claims = self.offsets(topic, claims)
        expected = self.model.extend(peer, topic, claims, seconds)
        answer = outcome(lambda: self.broker.extend(peer, topic, claims, seconds))
        assert (answer if isinstance(answer, str) else (answer.count, answer.stale)) == expected

    @rule(peer=PEERS, topic=TOPICS, count=st.integers(1, 4), attempted=ATTEMPTED)
    def reject_what_was_pulled_last(self, peer: str, topic: str, count: int, attempted: bool) -> None:
        known = self.model.topics.get(topic)
        queue = known.queue_of(peer) if known else None
        cursor = queue.cursor if queue else 0
        claims = [(offset, None) for offset in range(max(0, cursor - count), cursor)]
        expected = self.model.settle_claims(peer, topic, claims, 0.0, attempted)
        answer = outcome(lambda: self.broker.reject(peer, topic, claims, attempted=attempted))
        assert (answer if isinstance(answer, str) else (answer.count, answer.stale)) == expected

    @rule(peer=PEERS, topic=TOPICS, back=BACK, delay=st.sampled_from([None, 0.0, 2.0]))
    def settle_in_slices(self, peer: str, topic: str, back: int, delay: float | None) -> None:
        up_to = self.offsets(topic, back)
        expected = self.model.settle_claims(peer, topic, up_to, delay)

        def settle() -> tuple[int, list[int]]:
            done = [
                self.broker.acknowledge(peer, topic, [claim])
                if delay is None
                else self.broker.reject(peer, topic, [claim], delay)
                for claims in self.broker.in_hand(peer, topic, up_to)
                for claim in claims
            ]
            return sum(settled.count for settled in done), [o for settled in done for o in settled.stale]

        assert outcome(settle) == expected

    @rule(
        peer=PEERS,
        topic=TOPICS,
        count=st.integers(1, 6),
        in_flight=IN_FLIGHT,
        claims=CLAIMS,
        delay=st.sampled_from([None, 0.0, 2.0]),
    )
    def wait_for_room(
        self, peer: str, topic: str, count: int, in_flight: int | None, claims: Any, delay: float | None
    ) -> None:
        """A pull that waits is answered when there is room for messages in flight to its peer."""
        self.run_due()
        answer = outcome(lambda: self.broker.pull_waiting(peer, topic, count, STEP, in_flight=in_flight))
        if not isinstance(answer, Future):
            assert pulled(lambda: answer) == self.model.pull(peer, topic, count, in_flight)
            return
        assert not isinstance(self.model.subscription(peer, topic), str)
        if delay is None:
            self.acknowledge(peer, topic, claims)
        else:
            self.reject(peer, topic, claims, delay, True)
        self.run_due()
        if not answer.done:
            assert self.peek(peer, topic, count, in_flight) == []
            self.time_passes(STEP)
        assert pulled(lambda: answer.result(0)) == self.model.pull(peer, topic, count, in_flight)
        self.until_the_next_second()

    def until_the_next_second(self) -> None:
        """Calls are made at whole seconds."""
        self.time_passes(-self.clock.now % 1.0)

    def peek(self, peer: str, topic: str, count: int, in_flight: int | None) -> list[int]:
        """The offsets that a pull would be answered with."""
        offsets: list[int] = deepcopy(self.model).pull(peer, topic, count, in_flight)[0]
        return offsets

    def offsets(self, topic: str, claims: Any) -> Any:
        """Claims on offsets counted from the start, for claims on offsets counted back from the end."""
        end = self.model.topics[topic].end if topic in self.model.topics else 0
        if isinstance(claims, int):
            return max(0, end - claims)
        return [(max(0, end - back), attempt) for back, attempt in claims]

    @rule(seconds=st.sampled_from([1.0, 4.0, 4.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        for _ in range(int(seconds / STEP)):
            self.clock.advance(STEP)
            self.run_due(STEP)

    @rule(seconds=st.sampled_from([4.0, 20.0]))
    def stand_still(self, seconds: float) -> None:
        """Nothing is called for some time."""
        self.broker.beat()
        self.clock.advance(seconds)
        self.model.stand_still(seconds)
        assert self.broker.beat() == seconds
        self.time_passes(STEP)

    def run_due(self, passed: float = 0.0) -> None:
        """Do all that is due, slice by slice."""
        assert self.broker.beat() == 0.0
        expired: dict[str, int] = {}
        ended: list[ExpiredQueue] = []
        more = True
        while more:
            result = self.broker.run_due()
            expired |= result.expired
            ended += result.ended
            more = result.next_in == 0.0
        gone, closed = self.model.time_passes(passed)
        assert expired == gone
        assert {(queue.topic, queue.queue, queue.discarded) for queue in ended} == closed
        self.behind = False

    @invariant()
    def the_views_agree(self) -> None:
        assert {peer.peer_id for peer in self.broker.list_peers(10)} == set(self.model.leases)
        seen = {topic.topic: topic for topic in self.broker.list_topics(10)}
        assert set(seen) == set(self.model.topics)
        for name, known in self.model.topics.items():
            view = seen[name]
            assert (view.first_offset, view.next_offset, view.unread) == (known.start, known.end, known.unread)
            assert view.subscribers == sum(len(queue.members) for queue in known.queues)
            assert view.scheduled == known.scheduled
            assert [entry.id for entry in self.broker.list_scheduled(name, 100).entries] == [
                later.number for later in known.later
            ]
            assert {
                (queue.group, queue.members, queue.next_offset, queue.resume_from, queue.unacknowledged, queue.unread)
                for queue in self.broker.list_subscriptions(10, topic=name)
            } == {
                (q.group, self.model.present(q), q.cursor, q.position, len(q.handed), known.unread_of(q))
                for q in known.queues
            }
            assert sorted(self.broker.subscribers(name)) == sorted(
                peer for queue in known.queues for peer in queue.members if peer in self.model.leases
            )
        backlogs = [(view.unread, view.next_offset) for view in seen.values()]
        assert list(self.broker.backlogs(10).items()) == list(zip(seen, backlogs, strict=True))
        counts = [len(known.queues) for known in self.model.topics.values()]
        assert self.broker.queue_counts([*self.model.topics, "gone"]) == [*counts, 0]
        assert self.broker.topic_views([*seen, "gone"]) == list(seen.values())
        for name, backlog in zip(seen, backlogs, strict=True):
            of_queues = self.broker.queue_backlogs(name, self.broker.queue_names(name))
            assert max(of_queues, default=(0, backlog[1])) == backlog, "the slowest queue is the topic's backlog"

    @invariant()
    def the_messages_in_flight_agree(self) -> None:
        for topic in self.model.topics.values():
            for queue in topic.queues:
                handed = sorted(queue.handed.items())
                assert self.in_flight(topic.name, queue) == [
                    (offset, known.member or None, known.attempt, known.since + WALL if known.attempt else None)
                    for offset, known in handed
                ]

    def in_flight(self, topic: str, queue: Queue) -> list[tuple[int, str | None, int, float | None]]:
        """The messages in flight in a queue, as the broker lists them page by page."""
        which = {"peer_id": queue.members[0]} if queue.group is None else {"group": queue.group}
        listed: list[InFlightView] = []
        while page := self.broker.in_flight(topic, 2, listed[-1].offset if listed else -1, **which):
            listed += page
        return [(view.offset, view.holder, view.attempt, view.since) for view in listed]

    @invariant()
    def what_is_handed_over_is_counted(self) -> None:
        queues = [queue for topic in self.model.topics.values() for queue in topic.queues]
        assert self.broker.stats().discarded == self.model.discarded
        assert self.broker.stats().scheduled == sum(topic.scheduled for topic in self.model.topics.values())
        assert self.behind or self.broker.stats().unacknowledged == sum(len(queue.handed) for queue in queues)


BrokerAndModel.TestCase.settings = histories(500)
TestBroker = BrokerAndModel.TestCase
