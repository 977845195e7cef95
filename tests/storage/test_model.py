"""The storage against plain dictionaries, over random histories of transactions."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from peerbus.broker.records import (
    Changes,
    Contents,
    DeliveryRecord,
    MessageIdRecord,
    PeerRecord,
    ScheduledRecord,
    Segment,
)
from peerbus.storage import Storage
from tests.support.histories import histories
from tests.support.storage import messages, publishers, queue, topic

NUMBERS = st.integers(1, 3)
PEERS = st.sampled_from(["a", "b", "c/ü"])
TIMES = st.floats(0, 2e9)
VALUES = st.lists(st.one_of(st.binary(max_size=5), st.integers(0, 600_000).map(bytes)), min_size=1, max_size=4)


class StorageAndModel(RuleBasedStateMachine):
    """Notes what changes as the broker does, writes it now and then, and compares what is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.storage = Storage(Path(self.folder.name))
        self.epoch = self.load().epoch
        self.changes = Changes()
        self.peers: dict[str, PeerRecord] = {}
        self.topics: dict[int, Any] = {}
        self.queues: dict[int, Any] = {}
        self.deliveries: dict[tuple[int, int], DeliveryRecord] = {}
        self.messages: dict[tuple[int, int], tuple[bytes, float]] = {}
        self.publishers: dict[tuple[int, int], str | None] = {}
        self.ids: dict[tuple[int, int], MessageIdRecord] = {}
        self.scheduled: dict[tuple[int, int], ScheduledRecord] = {}
        self.last_scheduled = 0

    def load(self) -> Contents:
        return self.storage.load(lambda _: None)

    @rule(peer=PEERS, address=st.none() | st.text(st.characters(codec="utf-8")), lease=st.none() | TIMES)
    def register(self, peer: str, address: str | None, lease: float | None) -> None:
        self.peers[peer] = self.changes.peers[peer] = PeerRecord(peer, address, lease, ["gone"] * len(self.topics))

    @rule(peer=PEERS)
    def unregister(self, peer: str) -> None:
        self.peers.pop(peer, None)
        self.changes.peers[peer] = None

    @rule(number=NUMBERS, values=VALUES, at=TIMES, peer=st.none() | PEERS)
    def publish(self, number: int, values: list[bytes], at: float, peer: str | None) -> None:
        known = self.topics.get(number, topic(number, 0, 0))
        self.changes.segments.append(Segment(number, known.end, values, at, peer))
        self.messages |= {(number, known.end + place): (value, at) for place, value in enumerate(values)}
        self.publishers |= dict.fromkeys(((number, known.end + place) for place in range(len(values))), peer)
        self._retain(number, known.start, known.end + len(values), known.first_id)

    @rule(number=NUMBERS, count=st.integers(0, 9))
    def free(self, number: int, count: int) -> None:
        if known := self.topics.get(number):
            self._retain(number, min(known.start + count, known.end), known.end, known.first_id)

    @rule(number=NUMBERS, count=st.integers(1, 3), forgotten=st.integers(0, 3))
    def remember(self, number: int, count: int, forgotten: int) -> None:
        if known := self.topics.get(number):
            serials = [serial for of, serial in self.ids if of == number]
            serial = max([known.first_id - 1, *serials]) + 1
            for new in range(serial, serial + count):
                record = MessageIdRecord(number, new, f"id{new}", known.end, count, float(new))
                self.changes.message_ids.append(record)
                self.ids[number, new] = record
            self._retain(number, known.start, known.end, min(known.first_id + forgotten, serial + count))

    @rule(number=NUMBERS, values=VALUES, due=TIMES, publisher=st.none() | PEERS)
    def schedule(self, number: int, values: list[bytes], due: float, publisher: str | None) -> None:
        if number in self.topics:
            self.last_scheduled += 1
            record = ScheduledRecord(number, self.last_scheduled, due, publisher, None, tuple(values))
            self.scheduled[number, record.number] = self.changes.scheduled[number, record.number] = record
            self.changes.last_scheduled = record.number

    @rule(back=st.integers(0, 3))
    def cancel(self, back: int) -> None:
        for key in [key for key in self.scheduled if key[1] == self.last_scheduled - back]:
            del self.scheduled[key]
            self.changes.scheduled[key] = None

    @rule(number=NUMBERS)
    def delete_topic(self, number: int) -> None:
        for each in [each for each, record in self.queues.items() if record.topic == number]:
            self.end(each)
        self.topics.pop(number, None)
        self.changes.topics[number] = None
        # A number is never given again; the broker notes nothing more of a topic that is gone.
        self.changes.segments = [each for each in self.changes.segments if each.topic != number]
        self.changes.message_ids = [each for each in self.changes.message_ids if each.topic != number]
        self.messages = {key: value for key, value in self.messages.items() if key[0] != number}
        self.changes.scheduled = {key: value for key, value in self.changes.scheduled.items() if key[0] != number}
        self.ids = {key: value for key, value in self.ids.items() if key[0] != number}
        self.scheduled = {key: value for key, value in self.scheduled.items() if key[0] != number}
        self.write()

    @rule(number=NUMBERS, of=NUMBERS, explicit=st.booleans(), members=st.lists(PEERS))
    def subscribe(self, number: int, of: int, explicit: bool, members: list[str]) -> None:
        if of in self.topics:
            record = queue(number, of, explicit=explicit, members=members, cursor=len(members))
            self.queues[number] = self.changes.queues[number] = record

    @rule(number=NUMBERS)
    def end(self, number: int) -> None:
        self.queues.pop(number, None)
        self.changes.queues[number] = None
        self.deliveries = {key: record for key, record in self.deliveries.items() if key[0] != number}
        self.write()

    @rule(number=NUMBERS, offset=st.integers(0, 5), due=st.none() | TIMES, first=st.none() | TIMES)
    def deliver(self, number: int, offset: int, due: float | None, first: float | None) -> None:
        if number in self.queues:
            record = DeliveryRecord(number, offset, "a", 1, "rejected", due, first, due)
            self.deliveries[number, offset] = self.changes.deliveries[number, offset] = record

    @rule(number=NUMBERS, offset=st.integers(0, 5))
    def settle(self, number: int, offset: int) -> None:
        self.deliveries.pop((number, offset), None)
        self.changes.deliveries[number, offset] = None

    @precondition(lambda self: bool(self.changes))
    @rule()
    def write(self) -> None:
        self.storage.write(self.changes)
        self.changes = Changes()

    @rule()
    def open_again(self) -> None:
        self.write()
        self.storage.close()
        self.storage = Storage(Path(self.folder.name))
        found = self.load()
        assert found.epoch == self.epoch
        assert {record.peer_id: record for record in found.peers} == self.peers
        assert {record.number: record for record in found.topics} == self.topics
        assert {record.number: record for record in found.queues} == self.queues
        assert {(record.queue, record.offset): record for record in found.deliveries} == self.deliveries
        assert {(record.topic, record.serial): record for record in found.message_ids} == self.ids
        assert {(record.topic, record.number): record for record in found.scheduled} == self.scheduled
        assert found.last_scheduled == self.last_scheduled
        assert messages(found) == self.messages
        assert publishers(found) == {key: self.publishers[key] for key in self.messages}
        for number in self.topics:
            offsets = [each.offset for each in found.segments if each.topic == number]
            assert offsets == sorted(offsets)

    def teardown(self) -> None:
        self.open_again()
        self.storage.close()
        self.folder.cleanup()

    def _retain(self, number: int, start: int, end: int, first_id: int) -> None:
        self.topics[number] = self.changes.topics[number] = topic(number, start, end, first_id=first_id)
        self.messages = {key: value for key, value in self.messages.items() if key[0] != number or key[1] >= start}
        self.ids = {key: record for key, record in self.ids.items() if key[0] != number or key[1] >= first_id}


TestStorageAndModel = StorageAndModel.TestCase
TestStorageAndModel.settings = histories(100)
