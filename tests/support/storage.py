"""Records as the broker would write them, and what is in a folder."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peerbus.broker.records import Changes, Contents, MessageIdRecord, QueueRecord, Segment, TopicRecord
from peerbus.storage import Storage


def topic(number: int, start: int, end: int, **fields: Any) -> TopicRecord:
    defaults: dict[str, Any] = {
        "name": f"topic{number}",
        "max_messages": 1000,
        "overflow": "reject",
        "max_age": None,
        "dropped": 0,
        "first_id": 0,
    }
    return TopicRecord(number=number, start=start, end=end, **defaults | fields)


def queue(number: int, of: int, **fields: Any) -> QueueRecord:
    defaults: dict[str, Any] = {
        "group": None,
        "explicit": False,
        "ack_deadline": 30.0,
        "max_attempts": None,
        "dead_letter_topic": None,
        "cursor": 0,
        "started": 0,
        "dropped": 0,
        "members": ["peer1"],
    }
    return QueueRecord(number=number, topic=of, **defaults | fields)


def message_id(of: int, serial: int) -> MessageIdRecord:
    return MessageIdRecord(of, serial, f"id{serial}", offset=serial, count=1, seen_at=float(serial))


def published(number: int, offset: int, *values: bytes, start: int = 0) -> Changes:
    """One publish to a topic that had `offset` messages before, and retains those from `start` on."""
    return Changes(
        topics={number: topic(number, start, offset + len(values))},
        segments=[Segment(number, offset, values, published_at=1000.0 + offset)],
    )


@contextmanager
def opened(folder: Path) -> Iterator[Storage]:
    storage = Storage(folder)
    try:
        yield storage
    finally:
        storage.close()


def contents(folder: Path) -> Contents:
    """What a server that starts with this folder finds."""
    with opened(folder) as storage:
        return storage.load(lambda _: None)


def messages(found: Contents) -> dict[tuple[int, int], tuple[bytes, float]]:
    """Value and time of every message by the number of its topic and its offset."""
    return {
        (segment.topic, segment.offset + place): (value, segment.published_at)
        for segment in found.segments
        for place, value in enumerate(segment.values)
    }


def publishers(found: Contents) -> dict[tuple[int, int], str | None]:
    """The publisher of every message by the number of its topic and its offset."""
    return {
        (segment.topic, segment.offset + place): segment.publisher
        for segment in found.segments
        for place in range(len(segment.values))
    }


def files(folder: Path) -> dict[str, bytes]:
    """What is in a folder, but for the index of the write-ahead log, which is made anew from it."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}


def copy(folder: Path, to: Path) -> Path:
    """What is left of an open folder when the process that has it open is killed, at `to`."""
    to.mkdir()
    for name, data in files(folder).items():
        (to / name).write_bytes(data)
    return to


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311  # guards nothing
