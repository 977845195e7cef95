"""Loading and compacting a log: the state is the same before and after, whatever comes in between."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
import pytest

from peerbus.broker.records import (
    Changes,
    Contents,
    DeliveryRecord,
    MessageIdRecord,
    PeerRecord,
    QueueRecord,
    ScheduledRecord,
    Segment,
    TopicRecord,
)
from peerbus.cluster.entries import LAST, PART, Claim, Entry, claim_entry, entries_of
from peerbus.cluster.shard_log import NoAnswer, ShardLog, WrongSequence
from peerbus.cluster.store import ShardStore
from peerbus.storage import StorageError
from tests.support.fake_engine import FakeEngine, troubled

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 30.0))


def topic(end: int, start: int = 0, number: int = 1, first_id: int = 0) -> TopicRecord:
    return TopicRecord(number, f"t{number}", 1000, "reject", None, start, end, 0, first_id)


def published(offset: int, *values: bytes, number: int = 1) -> Segment:
    return Segment(number, offset, values, 1.0, "p1")


def queue(number: int) -> QueueRecord:
    return QueueRecord(number, 1, None, True, 30.0, None, None, 0, 0, 0, [f"p{number}"])


HISTORY = [
    Changes(peers={"p1": PeerRecord("p1", None, 5.0, []), "p2": PeerRecord("p2", None, None, ["gone"])}),
    Changes(topics={1: topic(2)}, segments=[published(0, b"0", b"1")]),
    Changes(topics={2: topic(1, number=2)}, segments=[published(0, b"x", number=2)]),
    Changes(queues={3: queue(3), 4: queue(4)}, deliveries={(3, 0): DeliveryRecord(3, 0, "p3", 1, "x", 9.0)}),
    Changes(deliveries={(4, 0): DeliveryRecord(4, 0, "p4", 2, "x", None), (3, 0): None}),
    Changes(
        topics={1: topic(3, first_id=1)},
        segments=[published(2, b"2" * 1000)],
        message_ids=[MessageIdRecord(1, 0, "old", 0, 1, 1.0), MessageIdRecord(1, 1, "new", -1, 1, 2.0, 1)],
    ),
    Changes(scheduled={(1, 1): ScheduledRecord(1, 1, 50.0, None, "new", [b"later"])}, last_scheduled=1),
    Changes(scheduled={(1, 2): ScheduledRecord(1, 2, 51.0, None, None, [b"never"])}, last_scheduled=2),
    Changes(scheduled={(1, 2): None}, topics={2: None}, queues={4: None}, peers={"p2": None}),
    Changes(topics={1: topic(3, start=1, first_id=1)}),
]


def expected(epoch: str) -> Contents:
    return Contents(
        epoch=epoch,
        peers=[PeerRecord("p1", None, 5.0, [])],
        topics=[topic(3, start=1, first_id=1)],
        queues=[queue(3)],
        deliveries=[],
        segments=[published(1, b"1"), published(2, b"2" * 1000)],
        message_ids=[MessageIdRecord(1, 1, "new", -1, 1, 2.0, 1)],
        scheduled=[ScheduledRecord(1, 1, 50.0, None, "new", [b"later"])],
        last_scheduled=2,
    )


async def append(log: ShardLog, store: ShardStore, *batches: Changes) -> None:
    for changes in batches:
        for entry in entries_of(log.owner, changes, store.most_bytes):
            await log.append(entry)


def comparable(contents: Contents) -> Any:
    return msgspec.json.decode(msgspec.json.encode(contents))


@pytest.mark.parametrize("compacted_after", range(len(HISTORY) + 1))
@pytest.mark.parametrize("share", [0.0, 0.3], ids=["sound", "troubled"])
def test_the_state_is_the_same_wherever_the_log_was_compacted(compacted_after: int, share: float) -> None:
    async def work() -> None:
        engine = FakeEngine(troubled(compacted_after, share))
        store = engine.store()
        log, claimed = await store.claim("http://a", await store.load())
        await append(log, store, *HISTORY[:compacted_after])
        while True:
            try:
                await engine.store().compact()
                break
            except NoAnswer:
                continue
        await append(log, store, *HISTORY[compacted_after:])
        contents = (await store.load()).contents
        assert comparable(contents) == comparable(expected(claimed.contents.epoch))

    run(work())


def test_compaction_removes_the_log_up_to_the_snapshot_and_older_snapshots() -> None:
    async def work() -> None:
        engine = FakeEngine()
        store = engine.store()
        log, _ = await store.claim("http://a", await store.load())
        await append(log, store, *HISTORY)
        size = engine.entries.last
        assert await store.compact() == size
        first_snapshots = len(engine.snapshots.messages)
        assert not engine.entries.messages
        await store.compact()
        assert len(engine.snapshots.messages) == first_snapshots

    run(work())


def test_parts_of_changes_that_are_not_complete_stay_in_the_log() -> None:
    async def work() -> None:
        engine = FakeEngine()
        store = engine.store()
        log, _ = await store.claim("http://a", await store.load())
        await append(log, store, *HISTORY[:5])
        *parts, last = entries_of(log.owner, HISTORY[5], store.most_bytes)
        for part in parts:
            await log.append(part)
        await store.compact()
        assert len(engine.entries.messages) == len(parts)
        await log.append(last)
        await append(log, store, *HISTORY[6:])
        loaded = await store.load()
        assert comparable(loaded.contents) == comparable(expected(loaded.contents.epoch))

    run(work())


def test_parts_of_an_owner_that_lost_the_log_mean_nothing() -> None:
    async def work() -> None:
        engine = FakeEngine()
        store = engine.store()
        first, _ = await store.claim("http://a", await store.load())
        await append(first, store, *HISTORY[:5])
        *parts, _ = entries_of(first.owner, HISTORY[5], store.most_bytes)
        for part in parts:
            await first.append(part)
        second, _ = await store.claim("http://b", await store.load())
        await append(second, store, *HISTORY[5:])
        loaded = await store.load()
        assert comparable(loaded.contents) == comparable(expected(loaded.contents.epoch))

    run(work())


def test_of_two_compactions_at_a_time_one_gives_up() -> None:
    async def work() -> None:
        engine = FakeEngine()
        store = engine.store()
        log, _ = await store.claim("http://a", await store.load())
        await append(log, store, *HISTORY)
        outcomes = await asyncio.gather(*(engine.store().compact() for _ in range(3)), return_exceptions=True)
        assert sum(isinstance(outcome, WrongSequence) for outcome in outcomes) == 2
        loaded = await store.load()
        assert comparable(loaded.contents) == comparable(expected(loaded.contents.epoch))

    run(work())


def test_a_log_that_a_newer_release_wrote_is_refused() -> None:
    async def work() -> None:
        engine = FakeEngine()
        owner = b"o" * 16
        await engine.entries.publish(claim_entry(owner, Claim("http://a", "epoch", 1, schema=99)).encode())
        with pytest.raises(StorageError, match="shard 0 is written by a newer release, with version 99"):
            await engine.store().load()

    run(work())


@pytest.mark.parametrize("entry", [Entry(LAST, b"o" * 16, b"\xc1"), Entry(b"?", b"o" * 16), Entry(PART, b"o")])
def test_an_entry_that_cannot_be_read_is_named(entry: Entry) -> None:
    async def work() -> None:
        engine = FakeEngine()
        await engine.entries.publish(claim_entry(b"o" * 16, Claim("http://a", "epoch", 1)).encode())
        await engine.entries.publish(entry.encode())
        with pytest.raises(StorageError, match=r"Message 2 of shard 0 cannot be read: "):
            await engine.store().load()

    run(work())
