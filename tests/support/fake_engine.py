"""An engine in memory whose answers may be lost, late or old, for tests of what is kept in a log."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from random import Random

from peerbus.broker import Broker, Limits
from peerbus.broker.state import PER_SLICE, Slice
from peerbus.cluster.journal import LogJournal
from peerbus.cluster.shard_log import NoAnswer, Overtaken, WrongSequence
from peerbus.cluster.store import ShardStore
from peerbus.future import Future
from peerbus.http.event_loop import Loop

WAIT_SECONDS = 30.0

MOST_BYTES = 400
"""Of a message: so small that larger changes are appended in parts."""


class _Kept:
    def __init__(self) -> None:
        self.messages: dict[int, bytes] = {}
        self.last = 0


class FakeStream:
    """A stream of messages; `trouble` is asked before each request for what goes wrong with it."""

    def __init__(self, trouble: Callable[[], str] = lambda: "", kept: _Kept | None = None) -> None:
        self.kept = kept or _Kept()
        self.trouble = trouble
        self.is_paused = False
        """Whether it takes no messages for now."""

    @property
    def messages(self) -> dict[int, bytes]:
        """By their numbers."""
        return self.kept.messages

    @property
    def last(self) -> int:
        """The number of the last one."""
        return self.kept.last

    async def publish(self, data: bytes, after: int | None = None) -> int:
        trouble = await self._trouble()
        if trouble == "lost" or self.is_paused:
            raise NoAnswer("lost")
        if after not in (None, self.last):
            raise WrongSequence
        self.kept.last += 1
        self.messages[self.last] = data
        if trouble == "unanswered":
            raise NoAnswer(trouble)
        return self.last

    async def get(self, sequence: int) -> bytes | None:
        trouble = await self._trouble()
        if trouble == "lost":
            raise NoAnswer(trouble)
        return None if trouble == "old" else self.messages.get(sequence)

    async def ends(self) -> tuple[int, int]:
        if await self._trouble() == "lost":
            raise NoAnswer("lost")
        return min(self.messages, default=self.last + 1), self.last

    async def size(self) -> int:
        return sum(map(len, self.messages.values()))

    async def read(self, first: int, last: int) -> AsyncIterator[bytes]:
        trouble = await self._trouble()
        for sequence in range(first, last + 1):
            if trouble == "lost" or sequence not in self.messages:
                raise NoAnswer("lost")
            yield self.messages[sequence]

    async def purge(self, before: int) -> None:
        if await self._trouble() == "lost":
            raise NoAnswer("lost")
        for sequence in [sequence for sequence in self.messages if sequence < before]:
            del self.messages[sequence]

    async def _trouble(self) -> str:
        await asyncio.sleep(0)
        trouble = self.trouble()
        if trouble == "late":
            for _ in range(5):
                await asyncio.sleep(0)
        return trouble


class FakeCell:
    """One value with a revision."""

    def __init__(self, trouble: Callable[[], str]) -> None:
        self.value: bytes | None = None
        self.revision = 0
        self._trouble = trouble

    async def get(self) -> tuple[bytes | None, int]:
        if self._trouble() == "lost":
            raise NoAnswer("lost")
        return self.value, self.revision

    async def put(self, value: bytes, revision: int) -> None:
        trouble = self._trouble()
        if trouble == "lost":
            raise NoAnswer(trouble)
        if revision != self.revision:
            raise WrongSequence
        self.value, self.revision = value, revision + 1
        if trouble == "unanswered":
            raise NoAnswer(trouble)


class FakeChannel:
    """Carries heartbeats between servers of one event loop; each may be cut off."""

    def __init__(self) -> None:
        self._listeners: dict[str, Callable[[bytes], None]] = {}
        self.deaf: set[str] = set()

    def end(self, name: str) -> "ChannelEnd":
        """The channel as one server has it."""
        return ChannelEnd(self, name)

    def carry(self, sender: str, data: bytes) -> None:
        """To all that are connected."""
        if sender not in self.deaf:
            for name, heard in self._listeners.items():
                if name not in self.deaf:
                    heard(data)

    def add(self, name: str, heard: Callable[[bytes], None]) -> None:
        """A server listens."""
        self._listeners[name] = heard


class ChannelEnd:
    def __init__(self, channel: FakeChannel, name: str) -> None:
        self._channel = channel
        self._name = name

    async def say(self, data: bytes) -> None:
        self._channel.carry(self._name, data)

    async def listen(self, heard: Callable[[bytes], None]) -> None:
        self._channel.add(self._name, heard)


class FakeEngine:
    """What several servers have in common."""

    def __init__(self, trouble: Callable[[], str] = lambda: "") -> None:
        self.entries = FakeStream(trouble)
        self.snapshots = FakeStream(trouble)
        self.pointer = FakeCell(trouble)

    def seen_by_another(self) -> "FakeEngine":
        """The same engine, without trouble."""
        other = FakeEngine()
        other.entries.kept, other.snapshots.kept = self.entries.kept, self.snapshots.kept
        other.pointer = self.pointer
        return other

    def store(self) -> ShardStore:
        """The shard as one server sees it."""
        return ShardStore("shard 0", self.entries, self.snapshots, self.pointer, MOST_BYTES, pause=0.0)


def troubled(seed: int, share: float = 0.3, kinds: str = "lost unanswered late old") -> Callable[[], str]:
    """Trouble of these kinds in a share of all requests."""
    random = Random(seed)  # noqa: S311
    return lambda: random.choice(kinds.split()) if random.random() < share else ""


class LoggedJournal:
    """The journal of one owner of the shard, with the calls that tests of a journal make."""

    def __init__(
        self, engine: FakeEngine, loop: Loop, clock: Callable[[], float], wall_clock: Callable[[], float]
    ) -> None:
        self.engine = engine
        self.is_lost = False
        self._loop = loop
        self._clocks = clock, wall_clock

    def open(
        self, limits: Limits, on_topic_deleted: Callable[[str, Sequence[str]], None], per_slice: Slice = PER_SLICE
    ) -> Broker:
        """The broker with the state in the log, which is claimed."""
        self.journal = self._loop.wait_for(self._claimed())
        broker = self.journal.open(limits, on_topic_deleted, per_slice=per_slice)
        self.journal.start()
        return broker

    def write(self) -> None:
        """Wait until the changes made until now are in the log."""
        held = self.journal.after_commit(None)
        if isinstance(held, Future):
            held.result(WAIT_SECONDS)

    def compact(self) -> None:
        """Write a snapshot, and remove the log up to there, unless the engine fails."""
        with suppress(NoAnswer):
            self._loop.wait_for(self.engine.store().compact())

    def close(self) -> None:
        """End the journal."""
        self.journal.close()

    def die(self) -> None:
        """Append nothing more."""
        self.journal.abandon()

    def _lost(self) -> None:
        self.is_lost = True

    async def _claimed(self) -> LogJournal:
        store = self.engine.store()
        while True:
            try:
                log, loaded = await store.claim("http://127.0.0.1:1", await store.load())
                return LogJournal(self._loop, log, loaded, store.most_bytes, self._lost, *self._clocks)
            except Overtaken:
                continue
