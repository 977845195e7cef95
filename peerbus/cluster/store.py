"""The log of a shard in the engine, and a snapshot of the state that the log leaves behind."""

import asyncio
import logging
from collections.abc import AsyncIterator
from os import urandom
from time import monotonic
from typing import NamedTuple
from uuid import uuid4

from msgspec import Struct, msgpack

from peerbus.broker.records import Changes, Contents
from peerbus.cluster.entries import (
    OWNER_BYTES,
    SCHEMA_VERSION,
    Assembly,
    Claim,
    claim_entry,
    decode,
    entries_of,
)
from peerbus.cluster.fold import Fold, changes_of
from peerbus.cluster.shard_log import PAUSE_SECONDS, Cell, NoAnswer, ShardLog, Stream
from peerbus.storage import StorageError

log = logging.getLogger(__name__)

LEAST_BYTES = 64 << 20
"""Of a log that is compacted."""
PROGRESS_SECONDS = 2.0
"""Between two lines in the log while the state is loaded."""


class Snapshot(Struct, frozen=True):
    """Where the last snapshot is: the state after the entry `sequence` of the log, which had that owner and claim.

    Its entries are those of the owner `id` among the messages `first` to `last` of the snapshots.
    """

    id: bytes
    first: int
    last: int
    sequence: int
    owner: bytes | None
    claim: Claim | None


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(Snapshot).decode


class Loaded(NamedTuple):
    """The state after the entry `sequence` of a log, and the last claim up to there, if there was one.

    Parts of changes that are not complete begin after the entry `whole`.
    """

    fold: Fold
    sequence: int
    whole: int
    owner: bytes | None
    claim: Claim | None

    @property
    def number(self) -> int:
        """How many claims there have been."""
        return self.claim.number if self.claim else 0

    @property
    def contents(self) -> Contents:
        """The state, for a broker."""
        return self.fold.contents(self.claim.epoch if self.claim else "")


class Missing(Exception):
    """A part of the snapshot or of the log is not there any more, because there is a newer snapshot."""


class ShardStore:
    """Loads, claims and compacts the log of one shard."""

    def __init__(
        self,
        name: str,
        entries: Stream,
        snapshots: Stream,
        pointer: Cell,
        most_bytes: int,
        pause: float = PAUSE_SECONDS,
    ) -> None:
        """`pointer` says where the last snapshot is; a message has `most_bytes` at most.

        `pause` is in seconds, before the engine is asked again.
        """
        self._pause = pause
        self.name = name
        self.most_bytes = most_bytes
        self._entries = entries
        self._snapshots = snapshots
        self._pointer = pointer

    async def load(self) -> Loaded:
        """The state after the last entry; tries until the engine answers.

        Raises `StorageError` for a log that this version cannot read.
        """
        is_told = False
        while True:
            try:
                return await self._load()
            except Missing:
                log.info("A newer snapshot of %s was made meanwhile: loading begins again.", self.name)
            except NoAnswer as error:
                if not is_told:
                    log.warning("The engine does not give %s: %s. It is asked again.", self.name, error)
                is_told = True
                await asyncio.sleep(self._pause)

    async def claim(self, url: str, loaded: Loaded) -> tuple[ShardLog, Loaded]:
        """Claim the log after the state that was loaded.

        Returns the log to append to, and the state with the claim. Raises `Overtaken` if another server appended.
        """
        owner = urandom(OWNER_BYTES)
        epoch = loaded.claim.epoch if loaded.claim else uuid4().hex
        claim = Claim(url, epoch, loaded.number + 1)
        shard_log = ShardLog(self._entries, owner, self._pause)
        sequence = await shard_log.claim(claim_entry(owner, claim), loaded.sequence)
        return shard_log, Loaded(loaded.fold, sequence, sequence, owner, claim)

    async def compact(self) -> int:
        """Write a snapshot, and remove the log up to there; returns the number of the last entry in it.

        The state is made again from what the engine has, so any server may do it, at any time. Raises `NoAnswer`, and
        `WrongSequence` if another one is sooner.
        """
        _, revision = await self._pointer.get()
        loaded = await self.load()
        if loaded.claim is None:
            return 0
        snapshot_id = urandom(OWNER_BYTES)
        numbers = [
            await self._snapshots.publish(entry.encode())
            for changes in changes_of(loaded.contents)
            for entry in entries_of(snapshot_id, changes, self.most_bytes)
        ]
        snapshot = Snapshot(snapshot_id, numbers[0], numbers[-1], loaded.whole, loaded.owner, loaded.claim)
        await self._pointer.put(_encode(snapshot), revision)
        await self._entries.purge(loaded.whole + 1)
        await self._snapshots.purge(snapshot.first)
        return loaded.whole

    async def has_grown(self) -> bool:
        """Whether the log is longer than a snapshot of its state would probably be. Raises `NoAnswer`."""
        size = await self._entries.size()
        return size > max(LEAST_BYTES, await self._snapshots.size())

    async def _load(self) -> Loaded:
        fold = Fold()
        sequence, owner, claim = 0, None, None
        encoded, _ = await self._pointer.get()
        progress = _Progress(self.name)
        if encoded is not None:
            snapshot = _decode(encoded)
            sequence, owner, claim = snapshot.sequence, snapshot.owner, snapshot.claim
            async for _, changes in self._changes(
                self._snapshots, snapshot.first, snapshot.last, Assembly(snapshot.id)
            ):
                fold.apply(changes)
                progress.report(fold.messages)
        first, last = await self._entries.ends()
        if first > sequence + 1:
            raise Missing
        whole = sequence
        assembly = Assembly(owner, claim)
        async for at, changes in self._changes(self._entries, sequence + 1, last, assembly):
            whole = at
            fold.apply(changes)
            progress.report(fold.messages)
        if not assembly.is_open:
            whole = max(last, sequence)
        return Loaded(fold, max(last, sequence), whole, assembly.owner, assembly.claim)

    async def _changes(
        self, stream: Stream, first: int, last: int, assembly: Assembly
    ) -> AsyncIterator[tuple[int, Changes]]:
        """The changes that are complete among the messages `first` to `last`, with the number of their last entry."""
        at = first
        if first <= last and (await stream.ends())[0] > first:
            raise Missing
        async for message in stream.read(first, last):
            try:
                changes = assembly.add(decode(message))
            except ValueError as error:
                raise StorageError(f"Message {at} of {self.name} cannot be read: {error}.") from None
            if assembly.claim and assembly.claim.schema > SCHEMA_VERSION:
                raise StorageError(
                    f"{self.name} is written by a newer release, with version {assembly.claim.schema} of the schema; "
                    f"this one reads version {SCHEMA_VERSION}. Start that release."
                )
            if changes:
                yield at, changes
            at += 1


class _Progress:
    """Says in the log how much is loaded, now and then."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._next = monotonic() + PROGRESS_SECONDS

    def report(self, messages: int) -> None:
        """So many messages are loaded."""
        if monotonic() >= self._next:
            self._next = monotonic() + PROGRESS_SECONDS
            log.info("%d messages of %s loaded.", messages, self._name)
