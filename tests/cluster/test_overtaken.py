"""Owners that are overtaken in the middle of their work, with the log that keeps it: no caller sees an error."""

import asyncio
import threading
from collections.abc import Iterator
from functools import partial
from itertools import cycle
from typing import Any

import pytest

from peerbus.cluster.journal import LogJournal
from peerbus.cluster.shard_log import Overtaken
from tests.support.cluster import Cluster, Member, start_cluster
from tests.support.fake_engine import FakeEngine, FakeStream
from tests.support.harness import Api, in_background
from tests.support.streams import Reader

NEWS = {"topic": "news"}
TAKEOVERS, PUBLISHERS, MESSAGES = 12, 3, 60
COUNT = PUBLISHERS * MESSAGES


class SharedStream(FakeStream):
    """One that servers with loops of their own append to."""

    lock = threading.Lock()

    async def publish(self, data: bytes, after: int | None = None) -> int:
        await asyncio.sleep(0)
        with self.lock:
            try:
                super().publish(data, after).send(None)
            except StopIteration as end:
                return int(end.value)
        raise AssertionError

    async def _trouble(self) -> str:
        return ""


class SharedEngine(FakeEngine):
    def __init__(self) -> None:
        super().__init__()
        self.entries, self.snapshots = SharedStream(), SharedStream()


def claim(member: Member, cluster: Cluster, engine: FakeEngine) -> None:
    """Let a server own the shard, whatever the owner before believes."""
    server = member.server

    def lost() -> None:
        threading.Thread(target=server.step_down, args=("it was overtaken.", journal)).start()

    async def claimed() -> LogJournal:
        store = engine.store()
        while True:
            try:
                log, loaded = await store.claim(member.url, await store.load())
                return LogJournal(server.loop, log, loaded, store.most_bytes, lost)
            except Overtaken:
                continue

    journal = server.loop.wait_for(claimed())
    member.serve(journal)
    cluster.shard.give(member.url)


@pytest.fixture
def engine() -> FakeEngine:
    return SharedEngine()


@pytest.fixture
def cluster(engine: FakeEngine) -> Iterator[Cluster]:
    with start_cluster(count=3, owned=False) as cluster:
        claim(cluster.members[0], cluster, engine)
        api = cluster.members[0].api
        for peer_id in ("reader", "worker"):
            api.subscriber(peer_id, "news")
        api.post("/subscribe", peer_id="worker", **NEWS, ack="explicit", ack_deadline=3600)
        yield cluster


def publish(members: list[Member], publisher: int) -> list[int]:
    """Publish through one server after the other; the statuses of the answers."""
    apis = cycle([Api(member.server.url) for member in members])
    return [next(apis).post("/publish", **NEWS, message=[publisher, number]).status for number in range(MESSAGES)]


def work(members: list[Member]) -> list[Any]:
    """Pull and acknowledge through one server after the other until all is done; what came."""
    done: list[Any] = []
    apis = cycle([Api(member.server.url) for member in members])
    while len(done) < COUNT:
        pulled = next(apis).post("/pull_messages", peer_id="worker", **NEWS, wait=20, max_messages=7)
        assert pulled.status == 200, pulled.body
        done += pulled.body["messages"]
        claims = {"offsets": pulled.body["offsets"], "attempts": pulled.body["attempts"]}
        acknowledged = next(apis).post("/ack_messages", peer_id="worker", **NEWS, **claims)
        assert (acknowledged.status, acknowledged.body["stale"]) == (200, []), acknowledged.body
    return done


def read(member: Member) -> list[Any]:
    with Reader(member.api, peer_id="reader", topic="news") as reader:
        return reader.messages(COUNT)


def test_callers_see_no_error_and_each_message_once(cluster: Cluster, engine: FakeEngine) -> None:
    members = cluster.members
    publishing = [in_background(partial(publish, members, number)) for number in range(PUBLISHERS)]
    working = in_background(partial(work, members))
    reading = [in_background(partial(read, members[2]))]
    for number in range(TAKEOVERS):
        claim(members[(number + 1) % 3], cluster, engine)
    assert [each.result() for each in publishing] == [[200] * MESSAGES] * PUBLISHERS
    expected = [[publisher, number] for publisher in range(PUBLISHERS) for number in range(MESSAGES)]
    for seen in (working.result(), *(each.result() for each in reading)):
        assert sorted(seen) == expected
        for publisher in range(PUBLISHERS):
            assert [number for by, number in seen if by == publisher] == list(range(MESSAGES))
