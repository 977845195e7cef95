"""The tables of the database, and the conversion between their rows and the broker's records."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from zlib import crc32

from msgspec import Struct, json, msgpack
from msgspec.structs import astuple

from peerbus.broker.publish_log import EARLIER
from peerbus.broker.push_target import PushOptions
from peerbus.broker.records import PeerRecord, QueueRecord, ScheduledRecord, Segment

SCHEMA_VERSION = 4
SCHEDULED = """
CREATE TABLE scheduled (
    topic INTEGER NOT NULL REFERENCES topics,
    number INTEGER NOT NULL,
    due REAL NOT NULL,
    publisher TEXT,
    message_id TEXT,
    data BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (topic, number)
);
"""
"""The messages to be published later in version 3, with row ids, because rows are large."""
SCHEDULED_AHEAD = "ALTER TABLE scheduled ADD COLUMN ahead REAL;"
KEEP_DEAD_LETTERS = """
INSERT INTO queues
SELECT
    (SELECT max(number) FROM (SELECT number FROM topics UNION SELECT number FROM queues)) + row_number() OVER (),
    number, 'dead-letters', 1, 30.0, NULL, NULL, start, start, 0, '[]', 9e999, NULL, NULL, NULL
FROM topics WHERE overflow != 'deleted' AND name IN (SELECT dead_letter_topic FROM queues)
    AND number NOT IN (SELECT topic FROM queues WHERE "group" = 'dead-letters');
"""
"""Gives the topics that have dead letters the queue that keeps them, unless they have a group of its name."""
UPGRADES = {
    1: "ALTER TABLE peers ADD COLUMN token_hash BLOB; ALTER TABLE topics ADD COLUMN creator TEXT",
    2: f"""
        ALTER TABLE peers ADD COLUMN away_since REAL;
        ALTER TABLE topics ADD COLUMN history INTEGER;
        ALTER TABLE queues ADD COLUMN expires_after REAL;
        ALTER TABLE queues ADD COLUMN used_at REAL;
        ALTER TABLE queues ADD COLUMN left_at REAL;
        ALTER TABLE queues ADD COLUMN push_targets TEXT;
        ALTER TABLE deliveries ADD COLUMN first REAL;
        ALTER TABLE deliveries ADD COLUMN since REAL;
        {KEEP_DEAD_LETTERS}
        ALTER TABLE meta ADD COLUMN last_scheduled INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE message_ids ADD COLUMN scheduled INTEGER;
        {SCHEDULED}
    """,
    3: f"""
        ALTER TABLE deliveries ADD COLUMN "left" REAL;
        ALTER TABLE meta ADD COLUMN clock_set REAL NOT NULL DEFAULT 0;
        {SCHEDULED_AHEAD}
    """,
}
"""The statements that upgrade each older version to the next."""
SCHEMA = f"""
CREATE TABLE meta (
    epoch TEXT NOT NULL,
    last_scheduled INTEGER NOT NULL DEFAULT 0,
    clock_set REAL NOT NULL DEFAULT 0
);
CREATE TABLE peers (
    peer_id TEXT PRIMARY KEY NOT NULL,
    address TEXT,
    lease_seconds REAL,
    deleted_topics TEXT NOT NULL,
    token_hash BLOB,
    away_since REAL
) WITHOUT ROWID;
CREATE TABLE topics (
    number INTEGER PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    max_messages INTEGER NOT NULL,
    overflow TEXT NOT NULL,
    max_age REAL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    first_id INTEGER NOT NULL,
    creator TEXT,
    history INTEGER
);
CREATE TABLE queues (
    number INTEGER PRIMARY KEY NOT NULL,
    topic INTEGER NOT NULL REFERENCES topics,
    "group" TEXT,
    explicit INTEGER NOT NULL,
    ack_deadline REAL NOT NULL,
    max_attempts INTEGER,
    dead_letter_topic TEXT,
    cursor INTEGER NOT NULL,
    started INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    members TEXT NOT NULL,
    expires_after REAL,
    used_at REAL,
    left_at REAL,
    push_targets TEXT
);
CREATE TABLE deliveries (
    queue INTEGER NOT NULL REFERENCES queues,
    "offset" INTEGER NOT NULL,
    member TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    problem TEXT NOT NULL,
    due REAL,
    first REAL,
    since REAL,
    "left" REAL,
    PRIMARY KEY (queue, "offset")
) WITHOUT ROWID;
-- With row ids, unlike the others: rows are large, and appended in the order in which they are read again.
CREATE TABLE segments (
    topic INTEGER NOT NULL REFERENCES topics,
    until INTEGER NOT NULL,
    data BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (topic, until)
);
CREATE TABLE message_ids (
    topic INTEGER NOT NULL REFERENCES topics,
    serial INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    "offset" INTEGER NOT NULL,
    count INTEGER NOT NULL,
    seen_at REAL NOT NULL,
    scheduled INTEGER,
    PRIMARY KEY (topic, serial)
) WITHOUT ROWID;
{SCHEDULED}
{SCHEDULED_AHEAD}
"""
ROW_BYTES = 1 << 20
"""Bytes of messages after which a new row begins: a row is only freed as a whole."""


class Published(Struct, array_like=True, frozen=True, gc=False):
    """A segment as it is in a row; those of version 2 of the schema have no publisher, not even None."""

    published_at: float
    values: Sequence[bytes]
    publisher: str | None = EARLIER


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(list[Published]).decode
_decode_values = msgpack.Decoder(tuple[bytes, ...]).decode
_names = json.Decoder(list[str]).decode
_targets = json.Decoder(dict[str, PushOptions]).decode


def peer_row(record: PeerRecord) -> tuple[Any, ...]:
    """The row of a peer."""
    peer_id, address, lease_seconds, deleted_topics, *others = astuple(record)
    return peer_id, address, lease_seconds, _text(deleted_topics), *others


def peer_record(row: tuple[Any, ...]) -> PeerRecord:
    """The peer of a row."""
    peer_id, address, lease_seconds, deleted_topics, *others = row
    return PeerRecord(peer_id, address, lease_seconds, _names(deleted_topics), *others)


def queue_row(record: QueueRecord) -> tuple[Any, ...]:
    """The row of a message queue."""
    *values, members, expires_after, used_at, left_at, push_targets = astuple(record)
    return *values, _text(members), expires_after, used_at, left_at, _text(push_targets) if push_targets else None


def queue_record(row: tuple[Any, ...]) -> QueueRecord:
    """The message queue of a row."""
    number, topic, group, explicit, *values, members, expires_after, used_at, left_at, push_targets = row
    targets = _targets(push_targets) if push_targets else {}
    times = expires_after, used_at, left_at
    fields = number, topic, group, bool(explicit), *values, _names(members), *times, targets
    return QueueRecord(*fields)


def scheduled_row(record: ScheduledRecord) -> tuple[Any, ...]:
    """The row of scheduled messages."""
    *values, messages, ahead = astuple(record)
    data = _encode(messages)
    return *values, data, crc32(data), ahead


def scheduled_record(row: tuple[Any, ...]) -> ScheduledRecord:
    """The scheduled messages of a row; raises `ValueError` if its checksum is wrong."""
    topic, number, due, publisher, message_id, data, checksum, ahead = row
    if crc32(data) != checksum:
        raise ValueError(f"the scheduled messages {number} of topic {topic} are not as they were written")
    return ScheduledRecord(topic, number, due, publisher, message_id, _decode_values(data), ahead)


def segment_rows(segments: Iterable[Segment]) -> Iterator[tuple[int, int, bytes, int]]:
    """Rows of about `ROW_BYTES` at most, each for consecutive segments of one topic.

    `until` is the offset after the row's last message; `data` has each segment as `Published`.
    """
    by_topic: dict[int, list[Segment]] = {}
    for segment in segments:
        by_topic.setdefault(segment.topic, []).append(segment)
    for topic, those in by_topic.items():
        run: list[Published] = []
        size = until = 0
        for segment in those:
            if run and (segment.offset != until or size >= ROW_BYTES):
                yield _segment_row(topic, until, run)
                run, size = [], 0
            run.append(Published(segment.published_at, segment.values, segment.publisher))
            size += sum(map(len, segment.values))
            until = segment.offset + len(segment.values)
        yield _segment_row(topic, until, run)


def row_segments(topic: int, until: int, data: bytes, checksum: int) -> Iterator[Segment]:
    """The segments of a row; raises `ValueError` if its checksum is wrong."""
    if crc32(data) != checksum:
        raise ValueError(f"messages of topic {topic} before offset {until} are not as they were written")
    run = _decode(data)
    offset = until - sum(len(published.values) for published in run)
    for published in run:
        yield Segment(topic, offset, published.values, published.published_at, published.publisher)
        offset += len(published.values)


def _segment_row(topic: int, until: int, run: list[Published]) -> tuple[int, int, bytes, int]:
    data = _encode(run)
    return topic, until, data, crc32(data)


def _text(names: Sequence[str] | Mapping[str, PushOptions]) -> str:
    return json.encode(names).decode()
