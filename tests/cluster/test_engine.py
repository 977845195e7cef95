"""The log on a real engine of three servers: what is refused, what a takeover and a dead server leave behind."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from benchmarks.engine import EngineServers, engine
from peerbus.broker.records import Changes, PeerRecord, Segment, TopicRecord
from peerbus.cluster.engine import Engine, EngineOptions
from peerbus.cluster.entries import entries_of
from peerbus.cluster.shard_log import UNDER_WAY, Overtaken, ShardLog
from peerbus.cluster.store import ShardStore
from peerbus.errors import StartError

T = TypeVar("T")


@pytest.fixture(scope="module")
def servers() -> Iterator[EngineServers]:
    with engine() as started:
        yield started


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 60.0))


async def connected(urls: list[str], replicas: int = 3) -> Engine:
    """Connected once the servers of the engine have found each other."""
    while True:
        found = Engine(EngineOptions(urls, replicas=replicas))
        try:
            await found.connect()
            return found
        except StartError as error:
            await found.close()
            if "too few" not in str(error):
                raise
            await asyncio.sleep(0.1)


async def opened(servers: EngineServers, cluster: str) -> tuple[Engine, ShardStore]:
    connection = await connected(servers.urls)
    while True:
        try:
            return connection, await connection.shard(cluster, 0)
        except StartError:
            await asyncio.sleep(0.1)  # the engine has no leader yet


def peers(number: int) -> Changes:
    return Changes(peers={f"p{number}": PeerRecord(f"p{number}", None, None, [])})


def messages(number: int, size: int) -> Changes:
    topic = TopicRecord(1, "news", 1000, "reject", None, 0, number + 1, 0, 0)
    return Changes(topics={1: topic}, segments=[Segment(1, number, [b"%d" % number * size], 1.0)])


async def append(log: ShardLog, store: ShardStore, batches: list[Changes]) -> None:
    room = asyncio.Semaphore(UNDER_WAY)
    tasks = []
    for changes in batches:
        for entry in entries_of(log.owner, changes, store.most_bytes):
            await room.acquire()
            tasks.append(log.append(entry))
            tasks[-1].add_done_callback(lambda _: room.release())
    for task in tasks:
        await task


def test_the_next_owner_has_what_the_last_one_appended_also_after_compaction(servers: EngineServers) -> None:
    async def work() -> None:
        connection, store = await opened(servers, "handed-over")
        first, loaded = await store.claim("http://a", await store.load())
        await append(first, store, [peers(number) for number in range(50)])
        await append(first, store, [messages(number, 1 + 2_000_000 * (number == 2)) for number in range(5)])
        for compacts in (False, True, False):
            if compacts:
                await store.compact()
            state = await store.load()
            contents = state.contents
            assert {peer.peer_id for peer in contents.peers} == {f"p{number}" for number in range(50)}
            assert [len(segment.values[0]) for segment in contents.segments] == [1, 1, 2_000_001, 1, 1]
            assert contents.epoch == loaded.contents.epoch
        second, claimed = await store.claim("http://b", state)
        assert claimed.number == 2
        with pytest.raises(Overtaken):
            await append(first, store, [peers(99)])
        await append(second, store, [peers(50)])
        assert len((await store.load()).contents.peers) == 51
        await connection.close()

    run(work())


def test_nothing_is_lost_or_doubled_when_servers_of_the_engine_die(servers: EngineServers) -> None:
    async def work() -> None:
        connection, store = await opened(servers, "dying")
        log, _ = await store.claim("http://a", await store.load())
        loop = asyncio.get_running_loop()
        appending = asyncio.create_task(append(log, store, [messages(number, 10) for number in range(2000)]))
        for number in range(3):
            await loop.run_in_executor(None, servers.kill, number)
            await loop.run_in_executor(None, servers.start, number)
        await appending
        contents = (await store.load()).contents
        assert [segment.offset for segment in contents.segments] == list(range(2000))
        await connection.close()

    run(work())


def test_an_engine_that_is_not_there_is_named() -> None:
    async def work() -> None:
        with pytest.raises(StartError, match=r"The engine cannot be reached at nats://127\.0\.0\.1:9: "):
            await Engine(EngineOptions(["nats://127.0.0.1:9"])).connect()

    run(work())


def test_an_engine_that_acknowledges_before_it_writes_is_refused() -> None:
    async def work(urls: list[str]) -> None:
        with pytest.raises(StartError, match='before they are on its disk: set "sync_interval: always"'):
            await Engine(EngineOptions(urls, replicas=1)).connect()

    with engine(1, sync="2m") as lazy:
        run(work(lazy.urls))


def test_fewer_servers_than_replicas_are_refused() -> None:
    async def work(urls: list[str]) -> None:
        with pytest.raises(StartError, match="has 1 servers, too few for 3 replicas"):
            await Engine(EngineOptions(urls)).connect()
        await (await connected(urls, replicas=1)).close()

    with engine(1) as alone:
        run(work(alone.urls))
