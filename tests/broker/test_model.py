"""The broker against a naive model, over random histories of calls."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from peerbus.broker import Broker, Limits
from peerbus.errors import PeerbusError
from tests.support import Clock

PEERS = st.sampled_from(["p1", "p2", "p3"])
TOPICS = st.sampled_from(["t1", "t2"])
LIMITS = Limits(history=3, max_messages=8, max_pull=4)


@dataclass
class ModelTopic:
    """Every message ever published, and who has read how far: nothing is shared, nothing freed."""

    max_messages: int
    overflow: str
    values: list[bytes] = field(default_factory=list)
    start: int = 0
    cursors: dict[str, int] = field(default_factory=dict)

    @property
    def pulled(self) -> int:
        return min(self.cursors.values(), default=len(self.values))

    @property
    def unread(self) -> int:
        return len(self.values) - max(self.pulled, self.start)

    def publish(self, values: list[bytes]) -> int | str:
        excess = self.unread + len(values) - self.max_messages
        if self.cursors and excess > 0:
            if self.overflow == "reject":
                return "too_large" if len(values) > self.max_messages else "topic_full"
            self.start = max(self.start, len(self.values) + len(values) - self.max_messages)
        offset = len(self.values)
        self.values += values
        self.free()
        return offset

    def free(self) -> None:
        self.start = max(self.start, self.pulled - min(LIMITS.history, self.max_messages))


class BrokerModel(RuleBasedStateMachine):
    """Makes the same calls on both and compares what they answer."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.broker = Broker(LIMITS, clock=self.clock)
        self.peers: dict[str, float | None] = {}
        self.expiries: dict[str, float] = {}
        self.told: dict[str, set[str]] = {}
        self.topics: dict[str, ModelTopic] = {}
        self.published = 0

    def expect(self, outcome: Any, call: Callable[[], Any]) -> None:
        """Assert that `call` answers `outcome`, or raises the error with that code."""
        try:
            answer = call()
        except PeerbusError as error:
            answer = error.code
        assert answer == outcome

    def alive(self, peer: str) -> bool:
        lease = self.peers.get(peer)
        if lease is not None:
            self.expiries[peer] = self.clock.now + lease
        return peer in self.peers

    def fault(self, peer: str, topic: str) -> str | None:
        """What is wrong with a call of a peer on its subscription to a topic."""
        if not self.alive(peer):
            return "peer_not_found"
        if topic in self.told[peer]:
            self.told[peer].discard(topic)
            return "topic_deleted"
        if topic not in self.topics:
            return "topic_not_found"
        return None if peer in self.topics[topic].cursors else "not_subscribed"

    def remove(self, peer: str) -> None:
        del self.peers[peer]
        self.expiries.pop(peer, None)
        for topic in self.topics.values():
            if topic.cursors.pop(peer, None) is not None:
                topic.free()

    @rule(peer=PEERS, lease=st.sampled_from([None, 5.0, 20.0]))
    def register(self, peer: str, lease: float | None) -> None:
        created = peer not in self.peers
        self.peers[peer] = lease
        self.expiries.pop(peer, None)
        if created:
            self.told[peer] = set()
        self.alive(peer)
        self.expect(created, lambda: self.broker.register_peer(peer, lease_seconds=lease).created)

    @rule(peer=PEERS)
    def unregister(self, peer: str) -> None:
        known = peer in self.peers
        if known:
            self.remove(peer)
        self.expect(None if known else "peer_not_found", lambda: self.broker.unregister_peer(peer))

    @rule(topic=TOPICS, max_messages=st.sampled_from([2, 8]), overflow=st.sampled_from(["reject", "drop_oldest"]))
    def create(self, topic: str, max_messages: int, overflow: Any) -> None:
        known = self.topics.get(topic)
        if known is None:
            self.topics[topic] = ModelTopic(max_messages, overflow)
            outcome: Any = True
        else:
            outcome = False if (known.max_messages, known.overflow) == (max_messages, overflow) else "topic_exists"
        self.expect(outcome, lambda: self.broker.create_topic(topic, max_messages, overflow))

    @rule(topic=TOPICS)
    def delete(self, topic: str) -> None:
        known = self.topics.pop(topic, None)
        for peer in known.cursors if known else ():
            self.told[peer].add(topic)
        self.expect(known.unread if known else "topic_not_found", lambda: self.broker.delete_topic(topic).discarded)

    @rule(topic=TOPICS, count=st.integers(1, 5))
    def publish(self, topic: str, count: int) -> None:
        values = [b"%d" % (self.published + number) for number in range(count)]
        self.published += count
        outcome = self.topics[topic].publish(values) if topic in self.topics else "topic_not_found"
        self.expect(outcome, lambda: self.broker.publish(topic, values).offset)

    @rule(peer=PEERS, topic=TOPICS, start=st.sampled_from([None, "latest", "earliest", 0, 2, 1000]))
    def subscribe(self, peer: str, topic: str, start: Any) -> None:
        fault = None if self.alive(peer) else "peer_not_found"
        if fault or topic not in self.topics:
            self.expect(fault or "topic_not_found", lambda: self.broker.subscribe(peer, topic, start))
            return
        known = self.topics[topic]
        self.told[peer].discard(topic)
        created, end = peer not in known.cursors, len(known.values)
        if created or start is not None:
            position = {None: end, "latest": end, "earliest": known.start}.get(start, start)
            known.cursors[peer] = min(position, end)
            known.free()
        answer = self.broker.subscribe(peer, topic, start)
        assert (answer.created, answer.next_offset) == (created, known.cursors[peer])

    @rule(peer=PEERS, topic=TOPICS)
    def unsubscribe(self, peer: str, topic: str) -> None:
        outcome: Any = self.fault(peer, topic)
        if outcome is None:
            known = self.topics[topic]
            outcome = len(known.values) - max(known.start, known.cursors.pop(peer))
            known.free()
        self.expect(outcome, lambda: self.broker.unsubscribe(peer, topic))

    @rule(peer=PEERS, topic=TOPICS, count=st.integers(1, 6))
    def pull(self, peer: str, topic: str, count: int) -> None:
        fault = self.fault(peer, topic)
        if fault:
            self.expect(fault, lambda: self.broker.pull(peer, topic, count))
            return
        known = self.topics[topic]
        offset = max(known.cursors[peer], known.start)
        missed = offset - known.cursors[peer]
        values = known.values[offset : offset + min(count, LIMITS.max_pull)]
        known.cursors[peer] = offset + len(values)
        known.free()
        answer = self.broker.pull(peer, topic, count)
        assert (answer.values, answer.missed) == (values, missed)
        assert answer.offsets == list(range(offset, offset + len(values)))
        assert answer.remaining == len(known.values) - known.cursors[peer]

    @rule(seconds=st.sampled_from([1.0, 4.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        silent = {peer for peer, expiry in self.expiries.items() if expiry <= self.clock.now}
        for peer in silent:
            self.remove(peer)
        assert set(self.broker.tend()) == silent

    @invariant()
    def the_views_agree(self) -> None:
        assert {peer.peer_id for peer in self.broker.list_peers(10)} == set(self.peers)
        seen = {topic.topic: topic for topic in self.broker.list_topics(10)}
        assert set(seen) == set(self.topics)
        for name, known in self.topics.items():
            view = seen[name]
            assert (view.first_offset, view.next_offset) == (known.start, len(known.values))
            assert (view.unread, view.subscribers) == (known.unread, len(known.cursors))
            assert set(self.broker.query_peers(name).peers) == set(known.cursors)
        retained = [value for known in self.topics.values() for value in known.values[known.start :]]
        assert self.broker.stats().memory_bytes == sum(len(value) + 64 for value in retained)


BrokerModel.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestBroker = BrokerModel.TestCase
