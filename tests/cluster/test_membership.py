"""One of the servers that are there claims the shard, and the next one when that is gone."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from peerbus.cluster.membership import Membership, Pace
from peerbus.cluster.shard_log import ShardLog
from peerbus.cluster.store import Loaded
from peerbus.errors import StartError
from tests.support.fake_engine import FakeChannel, FakeEngine, troubled

PACE = Pace(heartbeat=0.01, dead=0.08)
PATIENCE = 20.0


class Server:
    """A server as the membership knows it."""

    def __init__(self, name: str, engine: FakeEngine, channel: FakeChannel) -> None:
        self.logs: list[ShardLog] = []
        self.name = name
        self.url = f"http://{name}"
        self.member = Membership(self.url, engine.store(), channel.end(name), self._take_over, PACE)
        self._running: asyncio.Task[None]

    async def begin(self) -> None:
        await self.member.join()
        self._running = asyncio.create_task(self.member.run())

    async def leave(self) -> None:
        await self.member.leave()
        await self._running

    def die(self) -> None:
        self._running.cancel()

    async def _take_over(self, log: ShardLog, _: Loaded) -> None:
        self.logs.append(log)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), PATIENCE))


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.001)


def agreed(servers: list[Server]) -> Callable[[], bool]:
    """Whether all have the same owner, which is one of them."""
    return lambda: (
        len({server.member.owner for server in servers}) == 1
        and servers[0].member.owner in [server.url for server in servers]
    )


async def began(engine: FakeEngine, channel: FakeChannel, count: int = 3) -> list[Server]:
    servers = [Server(f"s{number}", engine, channel) for number in range(count)]
    await asyncio.gather(*(server.begin() for server in servers))
    await until(agreed(servers))
    return servers


def split(servers: list[Server]) -> tuple[Server, list[Server]]:
    """The owner and the others."""
    (owner,) = [server for server in servers if server.url == server.member.owner]
    return owner, [server for server in servers if server is not owner]


@pytest.mark.parametrize("seed", range(3))
def test_one_of_several_servers_that_start_together_owns_the_shard(seed: int) -> None:
    async def work() -> None:
        servers = await began(FakeEngine(troubled(seed, 0.2)), FakeChannel())
        owner, others = split(servers)
        assert [len(owner.logs), *(len(other.logs) for other in others)] == [1, 0, 0]
        assert owner.member.servers == ["http://s0", "http://s1", "http://s2"]

    run(work)


def test_another_one_claims_when_the_owner_is_dead() -> None:
    async def work() -> None:
        servers = await began(FakeEngine(), FakeChannel())
        while len(servers) > 1:
            owner, others = split(servers)
            owner.die()
            await until(agreed(others))
            servers = others
            assert split(servers)[0].logs

    run(work)


def test_another_one_claims_when_the_owner_leaves() -> None:
    async def work() -> None:
        servers = await began(FakeEngine(), FakeChannel())
        owner, others = split(servers)
        await owner.leave()
        await until(agreed(others))
        assert owner.url not in others[0].member.servers

    run(work)


def test_an_owner_that_is_not_heard_is_overtaken_and_learns_of_the_new_one() -> None:
    async def work() -> None:
        channel = FakeChannel()
        servers = await began(FakeEngine(), channel)
        owner, others = split(servers)
        channel.deaf.add(owner.name)
        await until(agreed(others))
        channel.deaf.clear()
        await until(agreed(servers))
        assert owner.member.owner != owner.url

    run(work)


def test_a_server_that_joins_leaves_the_owner_alone() -> None:
    async def work() -> None:
        engine, channel = FakeEngine(), FakeChannel()
        servers = await began(engine, channel, 1)
        for name in ("x1", "x2", "x3"):
            servers.append(Server(name, engine, channel))
            await servers[-1].begin()
        await until(agreed(servers))
        assert [len(server.logs) for server in servers] == [1, 0, 0, 0]

    run(work)


def test_the_url_of_another_server_is_refused() -> None:
    async def work() -> None:
        engine, channel = FakeEngine(), FakeChannel()
        await began(engine, channel, 1)
        twin = Membership(
            "http://s0", engine.store(), channel.end("twin"), Server("t", engine, channel)._take_over, PACE
        )
        with pytest.raises(StartError, match="Another server of the cluster is advertised as http://s0"):
            await twin.join()

    run(work)
