"""What a broker on disk is after a restart or a crash, against the naive model, over random histories of calls."""

import tempfile
from dataclasses import replace
from math import gcd
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from msgspec import structs

from peerbus.broker import Broker
from peerbus.broker.dedup import ID_SIZE
from peerbus.broker.in_flight import DELIVERY_SIZE
from peerbus.future import Future
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from tests.broker.kept import writing_each_call
from tests.broker.kept_model import KeptModel
from tests.broker.model import WALL
from tests.broker.test_model import (
    ATTEMPTED,
    CLAIMS,
    DELAYS,
    IN_FLIGHT,
    LIMITS,
    PEERS,
    SLICE,
    STEP,
    TOPICS,
    BrokerAndModel,
    outcome,
    pulled,
)
from tests.support.histories import histories
from tests.support.storage import copy

KEPT_LIMITS = replace(LIMITS, message_ids=3, message_id_seconds=12.0)
SHIFTS = st.sampled_from([0.0, 512.0, -64.0])
"""What the clock of one life of the server is behind that of the one before it."""


STOPPED = st.sampled_from([0.0, 0.0, 1.0, 4.0, 10.0])
"""Seconds between two lives."""


class KeptBrokerAndModel(BrokerAndModel):
    """Stops the broker now and then, and goes on with one that has what was on disk."""

    writes_each_call = True

    def __init__(self) -> None:
        super().__init__()
        self.model: KeptModel = KeptModel(KEPT_LIMITS, self.writes_each_call)
        self.folder = tempfile.TemporaryDirectory()
        self.lives = 0
        self.written_behind = False
        """Whether what is on disk is `behind`."""
        self.open(0.0)

    @property
    def data(self) -> Path:
        return Path(self.folder.name) / f"life{self.lives}"

    def open(self, shift: float) -> None:
        clock = self.clock
        self.storage = Storage(self.data)
        self.journal = GroupCommit(self.storage, 0, clock=lambda: clock() - shift, wall_clock=lambda: clock() + WALL)
        if self.writes_each_call:
            self.broker = writing_each_call(self.journal, KEPT_LIMITS, per_slice=SLICE)
        else:
            self.broker = self.journal.open(KEPT_LIMITS, lambda *_: None, per_slice=SLICE)

    def write(self) -> None:
        self.journal.write()
        self.model.write()
        self.written_behind = self.behind

    @rule(shift=SHIFTS, stopped=STOPPED)
    def restart(self, shift: float, stopped: float) -> None:
        if not self.behind:
            self.run_due()
        before = views(self.broker)
        self.write()
        self.journal.close()
        self.stay_stopped(stopped)
        self.open(shift)
        self.model.restart()
        assert stopped or self.behind or views(self.broker) == before

    def stay_stopped(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.model.now += seconds

    @rule(
        peer=PEERS,
        topic=TOPICS,
        count=st.integers(1, 6),
        claims=CLAIMS,
        delay=st.sampled_from([None, 0.0, 2.0]),
        attempted=ATTEMPTED,
    )
    def pull_and_settle(
        self, peer: str, topic: str, count: int, claims: Any, delay: float | None, attempted: bool
    ) -> None:
        self.pull(peer, topic, count)
        if delay is None:
            self.acknowledge(peer, topic, claims)
        else:
            self.reject(peer, topic, claims, delay, attempted)

    @rule(peer=PEERS, address=st.sampled_from([None, "http://a:1", "http://b:2"]))
    def set_address(self, peer: str, address: str | None) -> None:
        assert self.broker.register_peer(peer, address=address).created == self.model.set_address(peer, address)

    @rule(topic=TOPICS, message_id=st.sampled_from("abcde"), count=st.integers(1, 2))
    def publish_once(self, topic: str, message_id: str, count: int) -> None:
        numbers = list(range(self.published, self.published + count))
        self.published += count
        expected = self.model.publish_once(topic, numbers, message_id)
        answer = outcome(lambda: self.broker.publish(topic, [b"%d" % n for n in numbers], message_id=message_id))
        assert published(answer) == expected

    @rule(topic=TOPICS, message_id=st.sampled_from("abcde"), count=st.integers(1, 2), delay=DELAYS)
    def schedule_once(self, topic: str, message_id: str, count: int, delay: float) -> None:
        numbers = list(range(self.published, self.published + count))
        self.published += count
        expected = self.model.publish_once(topic, numbers, message_id, delay)
        values = [b"%d" % n for n in numbers]
        answer = outcome(lambda: self.broker.schedule(topic, values, message_id=message_id, delay=delay))
        assert published(answer) == expected

    @rule(peer=PEERS, topic=TOPICS, published=st.integers(1, 3), count=st.integers(1, 6), in_flight=IN_FLIGHT)
    def wait_for_messages(self, peer: str, topic: str, published: int, count: int, in_flight: int | None) -> None:
        """A pull that waits is answered when what was published is on disk.

        Messages that fell due while no broker ran are published before.
        """
        self.run_due()
        answer = outcome(lambda: self.broker.pull_waiting(peer, topic, count, STEP, in_flight=in_flight, details=True))
        if not isinstance(answer, Future):
            assert pulled(lambda: answer) == self.model.pull(peer, topic, count, in_flight)
            return
        assert not isinstance(self.model.subscription(peer, topic), str)
        self.publish(topic, published)
        if not self.writes_each_call:
            self.run_due()
            assert not answer.done
            self.write()
        self.run_due()
        if not answer.done:
            self.time_passes(STEP)
        assert answer.done
        found = answer.result()
        assert pulled(lambda: found) == self.model.pull(peer, topic, count, in_flight)
        assert found.details == self.model.details(topic, found.offsets)
        self.until_the_next_second()

    @invariant()
    def peers_agree(self) -> None:
        seen = {peer.peer_id: peer for peer in self.broker.list_peers(10)}
        for peer_id, lease in self.model.leases.items():
            view = seen[peer_id]
            assert (view.address, view.lease_seconds) == (self.model.addresses.get(peer_id), lease)
            topics = [topic.name for topic in self.model.topics.values() if topic.queue_of(peer_id)]
            assert sorted(view.topics) == sorted(topics)

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()


class CrashingBrokerAndModel(KeptBrokerAndModel):
    """Writes now and then only, and crashes."""

    writes_each_call = False

    @rule()
    def write_now(self) -> None:
        self.write()

    @rule(peer=PEERS, topic=TOPICS, published=st.integers(1, 3), count=st.integers(1, 6))
    def publish_write_and_pull(self, peer: str, topic: str, published: int, count: int) -> None:
        self.publish_and_pull(peer, topic, published, count)
        self.write()
        self.pull(peer, topic, count)

    @rule(shift=SHIFTS, stopped=STOPPED)
    def crash(self, shift: float, stopped: float) -> None:
        crashed = self.data
        self.lives += 1
        copy(crashed, self.data)
        self.storage.close()
        self.stay_stopped(stopped)
        self.open(shift)
        self.model.crash()
        self.behind = self.written_behind


def views(broker: Broker) -> Any:
    """What can be seen of a broker that it keeps, in an order that it keeps, too.

    Deliveries that have become alike are one after a restart, which takes less memory; and message ids that were
    remembered for longer because of a standstill are forgotten.
    """
    stats = broker.stats()
    counters = {"redelivered": 0, "dead_lettered": 0, "refused": 0, "missed": 0, "discarded": 0}
    topics = [structs.replace(topic, **counters, oldest_unread_seconds=None) for topic in broker.list_topics(10)]
    subscribers = {topic.topic: sorted(broker.subscribers(topic.topic)) for topic in topics}
    return (
        topics,
        [(peer.peer_id, peer.address, peer.lease_seconds, sorted(peer.topics)) for peer in broker.list_peers(10)],
        {topic: (found, broker.addresses(found)) for topic, found in subscribers.items()},
        {topic: broker.list_scheduled(topic, 10).entries for topic in subscribers},
        (
            stats.epoch,
            stats.peers,
            stats.topics,
            stats.subscriptions,
            stats.memory_bytes % gcd(DELIVERY_SIZE, ID_SIZE),
            stats.unacknowledged,
        ),
    )


def published(answer: Any) -> Any:
    """What a publish was answered with, as the model has it."""
    return answer if isinstance(answer, str) else (answer.offset, answer.count, answer.duplicate, answer.scheduled)


KeptBrokerAndModel.TestCase.settings = histories(100)
TestRestart = KeptBrokerAndModel.TestCase
CrashingBrokerAndModel.TestCase.settings = histories(100)
TestCrash = CrashingBrokerAndModel.TestCase
