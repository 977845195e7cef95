"""A cluster in one process: servers, each behind a cable that a test can cut, and who owns the shard."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from peerbus.broker import Limits
from peerbus.cluster.ownership import Ownership
from peerbus.cluster.routing import RoutingOptions
from peerbus.cluster.server import ClusterServer
from peerbus.future import Future
from peerbus.http.event_loop import Loop
from peerbus.http.listener import bind
from peerbus.server import ServerOptions
from peerbus.server.access import Tokens
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit, InMemory
from tests.support.harness import DEADLINE, MAX_BODY, Api

SECRET = "cluster-secret"  # noqa: S105


class Shard:
    """Who owns the shard, known to all servers at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: str | None = None
        self._views: list[View] = []

    def seen_from(self, url: str) -> "View":
        view = View(self, url)
        with self._lock:
            self._views.append(view)
            view.see(self._owner)
        return view

    def give(self, owner: str | None) -> None:
        """Let a server own it, and all know."""
        with self._lock:
            self._owner = owner
            for view in self._views:
                view.see(owner)

    @property
    def owner(self) -> str | None:
        return self._owner


class View(Ownership):
    """What one server knows of it, which a test can make wrong."""

    shard = 0
    secret = SECRET

    def __init__(self, truth: Shard, url: str) -> None:
        self.url = url
        self.refreshed = 0
        self._truth = truth
        self._owner: str | None = None
        self._changed: Future[None] = Future()

    @property
    def owner(self) -> str | None:
        return self._owner

    def changed(self) -> Future[None]:
        return self._changed

    def refresh(self) -> Future[None]:
        self.refreshed += 1
        self.see(self._truth.owner)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def see(self, owner: str | None) -> None:
        if owner != self._owner:
            self._owner = owner
            changed, self._changed = self._changed, Future()
            changed.set_result(None)


class Cable:
    """Carries connections to a server, until it is cut."""

    def __init__(self, port: int, scheme: str = "http") -> None:
        self._port = port
        self._loop = Loop("cable")
        self._writers: set[asyncio.StreamWriter] = set()
        self._may_answer = asyncio.Event()
        self._may_answer.set()
        self._accepting = self._loop.wait_for(self._accept())
        self.url = f"{scheme}://127.0.0.1:{self._accepting.sockets[0].getsockname()[1]}"

    def hold_answers(self) -> None:
        """Let nothing through to who calls, from now on."""
        self._loop.call(self._may_answer.clear)

    def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        self._loop.wait_for(self._cut())

    def close(self) -> None:
        self.cut()
        self._loop.close()

    async def _accept(self) -> asyncio.Server:
        return await asyncio.start_server(self._carry, "127.0.0.1", 0)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(back)
        always = asyncio.Event()
        always.set()
        await asyncio.gather(_pump(reader, back, always), _pump(there, writer, self._may_answer))
        for each in (writer, back):
            each.close()
            self._writers.discard(each)

    async def _cut(self) -> None:
        self._accepting.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, allowed: asyncio.Event) -> None:
    try:
        while data := await reader.read(1 << 16):
            await allowed.wait()
            writer.write(data)
            await writer.drain()
        await allowed.wait()
        if writer.can_write_eof():
            writer.write_eof()
    except (ConnectionError, OSError):
        writer.transport.abort()


class Member:
    """One server of the cluster."""

    def __init__(self, shard: Shard, folder: Path | None, options: ServerOptions, routing: RoutingOptions) -> None:
        self._folder = folder
        listener = bind("127.0.0.1", 0)
        self.cable = Cable(listener.port, "https" if options.certificate else "http")
        self.view = shard.seen_from(self.cable.url)
        self._shard = shard
        self._is_stopped = False
        self.server = ClusterServer(Loop("loop"), listener, options, self.view, routing, self._leave)
        self.server.start()
        self.api = Api(self.server.url)
        self.api.session.verify = False

    @property
    def url(self) -> str:
        """Where the other servers reach it."""
        return self.cable.url

    def take_over(self, journal: InMemory | None = None) -> None:
        """Own the shard, in the state that the owner before left, and let all know."""
        self._shard.give(self.url)
        self.serve(journal)

    def serve(self, journal: InMemory | None = None) -> None:
        kept = GroupCommit(Storage(self._folder), 0) if self._folder else InMemory()
        self.server.become_owner(journal or kept)

    def hand_over(self) -> None:
        """Own it no longer, without another owner yet."""
        self.server.step_down("told to.")
        self._leave()

    def die(self) -> None:
        """Be gone for all others; what was kept is free for the next owner."""
        self.cable.cut()
        self.server.step_down("it died.")

    def _leave(self) -> None:
        if self._shard.owner == self.url:
            self._shard.give(None)

    def stop(self) -> None:
        """Stop the server, as a signal does."""
        self._is_stopped = True
        self.server.stop()
        assert self.server.wait(), "the server did not stop in time"

    def close(self) -> None:
        self.api.close()
        if not self._is_stopped:
            self.stop()
        self.cable.close()


class Cluster:
    """Servers over one folder; the first owns the shard to begin with."""

    def __init__(self, members: list[Member], shard: Shard) -> None:
        self.members = members
        self.shard = shard

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)


@contextmanager
def start_cluster(
    folder: Path | None = None,
    count: int = 2,
    *,
    patience: float = DEADLINE,
    timeout: float = DEADLINE,
    max_waiting: int = 100,
    tokens: Tokens | None = None,
    options: dict[str, Any] | None = None,
    ca: Path | None = None,
    owned: bool = True,
    **limits: Any,
) -> Iterator[Cluster]:
    """So many servers, of which the first owns the shard if it is `owned`."""
    shard = Shard()
    server_options = ServerOptions(Limits(**limits), tokens=tokens, **{"max_body": MAX_BODY, **(options or {})})
    start = partial(Member, shard, folder, server_options, RoutingOptions(patience, timeout, max_waiting, ca))
    with ExitStack() as started:
        members = []
        for _ in range(count):
            members.append(start())
            started.callback(members[-1].close)
        if owned:
            members[0].take_over()
        yield Cluster(members, shard)


@contextmanager
def start_passing_on(url: str, **options: Any) -> Iterator[Api]:
    """A server of a cluster that passes everything on to the owner at `url`."""
    with start_cluster(count=1, owned=False, options=options) as cluster:
        cluster.shard.give(url)
        yield cluster.members[0].api


@contextmanager
def start_member(**options: Any) -> Iterator[Api]:
    """A server of a cluster that is not the owner."""
    with start_cluster(options=options) as cluster:
        yield cluster.members[1].api
