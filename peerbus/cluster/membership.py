"""The servers of a cluster hear each other's heartbeats, and one claims the shard if no owner is heard.

This is a hint, for routing and for when to claim. That there is one owner at a time is the log's affair.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import sha256
from time import monotonic
from typing import NamedTuple, Protocol
from uuid import uuid4

from msgspec import MsgspecError, Struct, json

from peerbus.cluster.shard_log import NoAnswer, Overtaken, ShardLog
from peerbus.cluster.store import Loaded, ShardStore
from peerbus.errors import StartError
from peerbus.future import Future

log = logging.getLogger(__name__)


class Pace(NamedTuple):
    """Times in seconds: between two heartbeats, and after the last one until a server counts as dead."""

    heartbeat: float = 0.5
    dead: float = 3.0


class Heartbeat(Struct):
    """A server says that it is there; the one with the highest claim owns the shard, unless it is `leaving`."""

    url: str
    server: str
    claim: int = 0
    """The number of its claim, 0 if it does not own the shard."""
    leaving: bool = False


class Channel(Protocol):
    """Carries heartbeats to all servers of the cluster, each once or not at all."""

    async def say(self, data: bytes) -> None:
        """Send to all, this server among them."""

    async def listen(self, heard: Callable[[bytes], None]) -> None:
        """Have `heard` called with each message from now on."""


class _Seen(NamedTuple):
    beat: Heartbeat
    at: float


_encode = json.Encoder().encode
_decode = json.Decoder(Heartbeat).decode


class Membership:
    """One server of a cluster of one shard; runs in one event loop.

    The first of the live servers, in an order by the hash of shard and URL, claims where no owner is heard; each next
    one waits for a while longer.
    """

    def __init__(
        self,
        url: str,
        store: ShardStore,
        channel: Channel,
        take_over: Callable[[ShardLog, Loaded], Awaitable[None]],
        pace: Pace | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`take_over` is awaited with the log and the state when this server has claimed the shard."""
        self.url = url
        self._store = store
        self._channel = channel
        self._take_over = take_over
        self._pace = pace or Pace()
        self._clock = clock
        self._server = uuid4().hex
        self._claim = 0
        """The number of our claim, while we own the shard."""
        self._highest = 0
        """The highest claim that was heard of."""
        self._leaving = False
        self._seen: dict[str, _Seen] = {}
        """The last heartbeat of each other server, by its URL."""
        self._heard = asyncio.Event()
        self._owner: str | None = None
        self._vacant_since = clock()
        """Since when there has been no owner, if there is none."""
        self._changed: Future[None] = Future()

    @property
    def owner(self) -> str | None:
        """The URL of the owner as far as known, None while there is none."""
        return self._owner

    def changed(self) -> Future[None]:
        """A future that is done when the owner changes next."""
        return self._changed

    @property
    def servers(self) -> list[str]:
        """The URLs of the servers that are there."""
        return sorted([self.url, *(url for url, seen in self._seen.items() if self._is_alive(seen))])

    async def join(self) -> None:
        """Listen, then begin to send heartbeats; raises `StartError` if another server has the URL."""
        await self._channel.listen(self._hear)
        await asyncio.sleep(3 * self._pace.heartbeat)
        if self.url in self._seen:
            raise StartError(
                f"Another server of the cluster is advertised as {self.url}: give each its own --advertise."
            )

    async def run(self) -> None:
        """Send heartbeats, and claim the shard where nobody owns it, until `leave`."""
        beating = asyncio.create_task(self._beat())
        try:
            while not self._leaving:
                self._look()
                if self._owner is None and self._clock() >= self._vacant_since + self._rank() * self._pace.dead:
                    await self._try_to_claim()
                self._heard.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._heard.wait(), self._pace.heartbeat)
        finally:
            beating.cancel()

    def lost(self) -> None:
        """Our claim was overtaken: the new owner is about to be heard."""
        self._claim = 0
        self._look()
        self._vacant_since = self._clock() + self._pace.dead

    async def leave(self) -> None:
        """Say that the shard has no owner from now on, if we own it, and that we go."""
        self._leaving, self._claim = True, 0
        self._look()
        self._heard.set()
        await self._say()

    async def _beat(self) -> None:
        while not self._leaving:
            await self._say()
            await asyncio.sleep(self._pace.heartbeat)

    async def _say(self) -> None:
        try:
            await self._channel.say(_encode(Heartbeat(self.url, self._server, self._claim, self._leaving)))
        except NoAnswer as error:
            log.debug("A heartbeat could not be sent: %s", error)

    def _hear(self, data: bytes) -> None:
        try:
            beat = _decode(data)
        except MsgspecError as error:
            log.warning("A heartbeat of the cluster cannot be read: %s", error)
            return
        if beat.server == self._server:
            return
        self._seen[beat.url] = _Seen(beat, self._clock())
        self._highest = max(self._highest, beat.claim)
        before = self._owner
        self._look()
        if self._owner != before:
            self._heard.set()

    def _look(self) -> None:
        """Find the owner among those that are there."""
        alive = [seen.beat for seen in self._seen.values() if self._is_alive(seen)]
        claims = {beat.claim: beat.url for beat in alive if beat.claim == self._highest > self._claim}
        owner = self.url if self._claim and not claims else claims.get(self._highest)
        if owner != self._owner:
            log.info("The shard is owned by %s.", owner or "nobody now")
            self._owner = owner
            self._vacant_since = self._clock()
            changed, self._changed = self._changed, Future()
            changed.set_result(None)

    def _is_alive(self, seen: _Seen) -> bool:
        return not seen.beat.leaving and self._clock() - seen.at < self._pace.dead

    def _rank(self) -> int:
        """Our place among the live servers."""
        ranked = sorted(self.servers, key=lambda url: sha256(f"{self._store.name} {url}".encode()).digest())
        return ranked.index(self.url)

    async def _try_to_claim(self) -> None:
        loaded = await self._store.load()
        self._look()
        if self._owner is not None or self._leaving:
            return
        try:
            shard_log, claimed = await self._store.claim(self.url, loaded)
        except Overtaken:
            return
        self._claim = self._highest = claimed.number
        await self._say()
        self._look()
        await self._take_over(shard_log, claimed)
