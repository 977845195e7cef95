"""A shard's log has each entry once and in order, whatever the engine's answers, and only its owner's count."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from peerbus.broker.records import Changes, PeerRecord
from peerbus.cluster.entries import LAST, OWNER_BYTES, Assembly, Claim, Entry, claim_entry, decode, entries_of
from peerbus.cluster.shard_log import UNDER_WAY, Overtaken, ShardLog
from tests.support.fake_engine import FakeStream, troubled

T = TypeVar("T")
A, B = b"a" * OWNER_BYTES, b"b" * OWNER_BYTES


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def claim_of(owner: bytes) -> Entry:
    return claim_entry(owner, Claim("http://127.0.0.1:1", "epoch", 1))


def peer(number: int) -> Changes:
    return Changes(peers={f"p{number}": PeerRecord(f"p{number}", None, None, [])})


def names(stream: FakeStream) -> list[str]:
    """The peers that the log has, in its order."""
    assembly = Assembly()
    done = [assembly.add(decode(stream.messages[number])) for number in sorted(stream.messages)]
    return [name for changes in done if changes for name in changes.peers]


async def append_all(log: ShardLog, count: int, most: int = 1000) -> None:
    room = asyncio.Semaphore(UNDER_WAY)
    tasks = []
    for number in range(count):
        for entry in entries_of(log.owner, peer(number), most):
            await room.acquire()
            tasks.append(log.append(entry))
            tasks[-1].add_done_callback(lambda _: room.release())
    for task in tasks:
        await task


@pytest.mark.parametrize("most", [1000, 25], ids=["whole", "in parts"])
@pytest.mark.parametrize("seed", range(40))
def test_each_entry_is_there_once_and_in_order_whatever_the_engine_answers(seed: int, most: int) -> None:
    async def work() -> None:
        stream = FakeStream(troubled(seed, share=0.4))
        log = ShardLog(stream, A, pause=0.0)
        await log.claim(claim_of(A), 0)
        await append_all(log, 30, most)
        assert names(stream) == [f"p{number}" for number in range(30)]

    run(work())


@pytest.mark.parametrize("seed", range(40))
def test_whoever_is_overtaken_is_told_and_nothing_of_it_counts_from_the_claim_on(seed: int) -> None:
    async def work() -> None:
        stream = FakeStream(troubled(seed, share=0.4))
        first, second = ShardLog(stream, A, pause=0.0), ShardLog(stream, B, pause=0.0)
        await first.claim(claim_of(A), 0)
        under_way = [first.append(entry) for number in range(4) for entry in entries_of(A, peer(number), 1000)]
        while True:
            await asyncio.sleep(0)
            try:
                await second.claim(claim_of(B), stream.last)
                break
            except Overtaken:
                continue
        outcomes = await asyncio.gather(*under_way, return_exceptions=True)
        kept = [f"p{number}" for number, outcome in enumerate(outcomes) if not isinstance(outcome, Exception)]
        assert all(isinstance(outcome, int | Overtaken) for outcome in outcomes)
        await append_all(second, 10)
        assert names(stream) == kept + [f"p{number}" for number in range(10)]

    run(work())


def test_a_claim_fails_if_the_log_went_on() -> None:
    async def work() -> None:
        stream = FakeStream()
        first = ShardLog(stream, A, pause=0.0)
        at = await first.claim(claim_of(A), 0)
        await append_all(first, 1)
        with pytest.raises(Overtaken):
            await ShardLog(stream, B, pause=0.0).claim(claim_of(B), at)

    run(work())


def test_an_owner_that_was_away_while_its_place_was_removed_is_overtaken() -> None:
    async def work() -> None:
        stream = FakeStream()
        first = ShardLog(stream, A, pause=0.0)
        at = await first.claim(claim_of(A), 0)
        second = ShardLog(stream, B, pause=0.0)
        await second.claim(claim_of(B), at)
        await append_all(second, 20)
        await stream.purge(stream.last)
        with pytest.raises(Overtaken):
            await first.append(Entry(LAST, A, b""))

    run(work())


def test_an_append_of_the_former_owner_that_comes_late_does_not_stop_the_new_one() -> None:
    async def work() -> None:
        stream = FakeStream()
        at = await ShardLog(stream, A, pause=0.0).claim(claim_of(A), 0)
        late = entries_of(A, peer(99), 1000)[0].encode()
        claim = ShardLog(stream, B, pause=0.0)
        publish, stray = stream.publish, iter([late])

        async def with_stray(data: bytes, after: int | None = None) -> int:
            done = await publish(data, after)
            if done == at + 1 and (left := next(stray, None)):
                await publish(left, done)
            return done

        stream.publish = with_stray  # type: ignore[method-assign]
        await claim.claim(claim_of(B), at)
        await append_all(claim, 3)
        assert decode(stream.messages[at + 2]).owner == A
        assert names(stream) == ["p0", "p1", "p2"]

    run(work())
