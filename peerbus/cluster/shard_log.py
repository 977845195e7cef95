"""Appending to a shard's log: in order, each entry once, and only as long as nobody else claimed it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from peerbus.cluster.entries import CLAIM, FENCE, Entry, decode

UNDER_WAY = 4
"""Appends under way at a time: the engine makes their flushes to disk at the same time."""
PAUSE_SECONDS = 0.05
"""Before the engine is asked again."""


class WrongSequence(Exception):
    """The log does not end where the append expects."""


class NoAnswer(Exception):
    """The engine did not answer in time; it may have done what it was asked."""


class Overtaken(Exception):
    """Another server claimed the log."""


class Stream(Protocol):
    """A stream of the engine: messages with consecutive sequence numbers from 1 on."""

    async def publish(self, data: bytes, after: int | None = None) -> int:
        """Append a message, on a majority of disks, after the one of sequence `after`, and return its number.

        Raises `WrongSequence` if that is not the last one, which 0 stands for in an empty stream, and `NoAnswer`.
        """

    async def get(self, sequence: int) -> bytes | None:
        """A message; None if there is none with this number, as far as is known. Raises `NoAnswer`."""

    async def ends(self) -> tuple[int, int]:
        """The numbers of the first message and of the last; they may be old ones. Raises `NoAnswer`.

        An empty stream ends before it begins.
        """

    async def size(self) -> int:
        """Bytes of all messages. Raises `NoAnswer`."""

    def read(self, first: int, last: int) -> AsyncIterator[bytes]:
        """The messages from `first` to `last`, in order. Raises `NoAnswer`."""

    async def purge(self, before: int) -> None:
        """Remove the messages before a number. Raises `NoAnswer`."""


class Cell(Protocol):
    """One value that the engine keeps."""

    async def get(self) -> tuple[bytes | None, int]:
        """The value, None if there is none yet, and its revision. Raises `NoAnswer`."""

    async def put(self, value: bytes, revision: int) -> None:
        """Replace the value of a revision. Raises `WrongSequence` if there is a later one, and `NoAnswer`."""


class ShardLog:
    """The log as its owner appends to it.

    An append names the number of the entry before it, so it succeeds at one place or not at all. If the engine does
    not answer, the log itself says whether it has the entry.
    """

    def __init__(self, stream: Stream, owner: bytes, pause: float = PAUSE_SECONDS) -> None:
        """`pause` is in seconds, before the log is asked again about an entry."""
        self._stream = stream
        self._pause = pause
        self.owner = owner
        self._last: asyncio.Task[int] | None = None
        """The last append."""
        self._under_way: set[asyncio.Task[int]] = set()
        self._expected = 0
        """The number that it will have if nothing comes in between."""

    async def claim(self, claim: Entry, after: int) -> int:
        """Claim the log after an entry; returns the number of the last entry that is ours.

        An append of the owner before, still under way, expects one of the next numbers. So fences are appended, one by
        one, until the log is longer than any of those. Raises `Overtaken` if `after` is not the end, or another claim
        came in between.
        """
        sequence = await self._settle(claim.encode(), after, may_be_passed=False)
        for number in range(UNDER_WAY):
            sequence = await self._settle(Entry(FENCE, self.owner, b"%d" % number).encode(), sequence)
        self._expected = sequence
        return sequence

    def append(self, entry: Entry) -> "asyncio.Task[int]":
        """Append an entry after all before; the task has its number, or raises `Overtaken`.

        At most `UNDER_WAY` may be under way.
        """
        self._expected += 1
        self._last = asyncio.create_task(self._append(entry.encode(), self._expected - 1, self._last))
        self._under_way.add(self._last)
        self._last.add_done_callback(self._under_way.discard)
        return self._last

    def cancel(self) -> None:
        """End the appends under way; whether the log has their entries is not known."""
        for task in self._under_way:
            task.cancel()

    async def _append(self, data: bytes, after: int, before: "asyncio.Task[int] | None") -> int:
        try:
            await self._stream.publish(data, after)
            is_there = True
        except (WrongSequence, NoAnswer):
            is_there = False
        if before is not None:
            await before
        return after + 1 if is_there else await self._settle(data, after)

    async def _settle(self, data: bytes, after: int, *, may_be_passed: bool = True) -> int:
        """Append after an entry that is there, unless the log has the entry already; returns its number.

        Another owner's entry in between, that is no claim, is passed over.
        """
        while True:
            try:
                found = await self._stream.get(after + 1)
                if found is None:
                    first, _ = await self._stream.ends()
                    if first > after + 1:
                        raise Overtaken  # its entry is removed already
                    await self._stream.publish(data, after)
                    return after + 1
            except (WrongSequence, NoAnswer):
                await asyncio.sleep(self._pause)
                continue
            if found == data:
                return after + 1
            if decode(found).kind == CLAIM or not may_be_passed:
                raise Overtaken
            after += 1
