"""The entries of a shard's log, and what they mean in their order."""

from typing import NamedTuple

from msgspec import Struct, msgpack

from peerbus.broker.records import Changes

SCHEMA_VERSION = 1
"""Of entries and snapshots; a server refuses a log of a newer version."""
OWNER_BYTES = 16
HEAD_BYTES = 1 + OWNER_BYTES
"""The kind of an entry, and the id of the owner that appended it."""

CLAIM, FENCE, PART, LAST = b"c", b"f", b"p", b"l"


class Claim(Struct, frozen=True):
    """The first entry of an owner: after it, the entries of all others mean nothing.

    The server is reached at `url`. The log's state has the `epoch`; `number` counts its claims.
    """

    url: str
    epoch: str
    number: int
    schema: int = SCHEMA_VERSION


class Entry(NamedTuple):
    """One message of a log. Changes that are too large for one come in parts; the last one commits them."""

    kind: bytes
    owner: bytes
    data: bytes = b""

    def encode(self) -> bytes:
        """The bytes in the log."""
        return self.kind + self.owner + self.data


_encode = msgpack.Encoder().encode
_changes = msgpack.Decoder(Changes).decode
_claim = msgpack.Decoder(Claim).decode


def decode(raw: bytes) -> Entry:
    """An entry of a log; raises `ValueError` for anything else."""
    entry = Entry(raw[:1], raw[1:HEAD_BYTES], raw[HEAD_BYTES:])
    if entry.kind not in (CLAIM, FENCE, PART, LAST) or len(entry.owner) < OWNER_BYTES:
        raise ValueError("a message of the log is not an entry")
    return entry


def claim_entry(owner: bytes, claim: Claim) -> Entry:
    """The entry of a claim."""
    return Entry(CLAIM, owner, _encode(claim))


def claim_in(entry: Entry) -> Claim:
    """The claim of an entry; raises `MsgspecError`, a `ValueError`, if it cannot be read."""
    return _claim(entry.data)


def entries_of(owner: bytes, changes: Changes, most: int) -> list[Entry]:
    """The entries for one batch of changes, each of `most` bytes at most."""
    data = _encode(changes)
    room = most - HEAD_BYTES
    parts = [data[begin : begin + room] for begin in range(0, len(data), room)]
    return [*(Entry(PART, owner, part) for part in parts[:-1]), Entry(LAST, owner, parts[-1])]


class Assembly:
    """Puts changes together from the entries of a log, in their order.

    Entries that are not the last claim's owner's are passed over: they were under way when the owner changed. Parts
    without an end were not committed.
    """

    def __init__(self, owner: bytes | None = None, claim: Claim | None = None) -> None:
        """Begin after a claim of `owner`, or before any."""
        self.owner = owner
        self.claim = claim
        """The last one, if there was one."""
        self._parts: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Whether parts of changes wait for the last one."""
        return bool(self._parts)

    def add(self, entry: Entry) -> Changes | None:
        """The changes that an entry completes, if it does; raises `ValueError` if they cannot be read."""
        if entry.kind == CLAIM:
            self.owner, self.claim = entry.owner, claim_in(entry)
            self._parts.clear()
        if entry.owner != self.owner or entry.kind in (CLAIM, FENCE):
            return None
        self._parts.append(entry.data)
        if entry.kind == PART:
            return None
        data = b"".join(self._parts)
        self._parts.clear()
        return _changes(data)
