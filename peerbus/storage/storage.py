"""Reads and writes the broker's state on disk."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec import MsgspecError
from msgspec.structs import astuple

from peerbus.broker.records import Changes, Contents, DeliveryRecord, MessageIdRecord, Segment, TopicRecord
from peerbus.storage.database import DataFolder, open_database
from peerbus.storage.failures import failure, unopened, unsound
from peerbus.storage.tables import (
    peer_record,
    peer_row,
    queue_record,
    queue_row,
    row_segments,
    scheduled_record,
    scheduled_row,
    segment_rows,
)

PROGRESS_MESSAGES = 10_000
"""Messages loaded between two reports of progress."""

Key = TypeVar("Key")
Record = TypeVar("Record")


class Storage:
    """The state in one folder: after a crash, that of the last `write` that returned, or of one under way.

    Any thread may use it, one at a time.
    """

    def __init__(self, folder: Path) -> None:
        """Open the database in `folder`, or create it, and lock out other servers until `close`.

        Raises `StorageError` if that fails or the database is damaged, and then has changed nothing.
        """
        self._folder = DataFolder(folder)
        self._first_ids: dict[int, int] = {}
        """The serial of the oldest message id of each topic, as last written: older ones are removed already. Topics
        that never forgot one are left out."""
        try:
            self._connection = open_database(self._folder)
        except BaseException:
            self._folder.close()
            raise

    def load(self, progress: Callable[[int], None]) -> Contents:
        """Load the state; `progress` is called now and then with the number of messages loaded.

        Raises `StorageError` if a part is missing or cannot be read.
        """
        try:
            ((epoch, last_scheduled, clock_set),) = self._rows("meta")
            topics = [TopicRecord(*row) for row in self._rows("topics")]
            return Contents(
                epoch=epoch,
                peers=[peer_record(row) for row in self._rows("peers")],
                topics=topics,
                queues=[queue_record(row) for row in self._rows("queues")],
                deliveries=[DeliveryRecord(*row) for row in self._rows("deliveries")],
                segments=self._segments(topics, progress),
                message_ids=[MessageIdRecord(*row) for row in self._rows("message_ids")],
                scheduled=[scheduled_record(row) for row in self._rows("scheduled")],
                last_scheduled=last_scheduled,
                clock_set=clock_set,
            )
        except sqlite3.Error as error:
            raise unopened(self._folder.database, error) from error
        except (MsgspecError, ValueError) as error:
            raise unsound(self._folder.database, str(error)) from error

    def write(self, changes: Changes) -> None:
        """Write all of `changes` in one transaction, or nothing; they are flushed to disk when this returns.

        Raises one of the errors of `errors.UNKEPT`; most may pass.
        """
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                self._put(changes)
                self._remove(changes)
            self._first_ids |= {topic.number: topic.first_id for topic in _there(changes.topics) if topic.first_id}
            for number in _gone(changes.topics):
                self._first_ids.pop(number, None)
        except sqlite3.Error as error:
            raise failure(self._folder.database, error) from error

    @property
    def place(self) -> Path:
        """The database."""
        return self._folder.database

    @property
    def size(self) -> int:
        """Bytes of the state on disk, including free pages."""
        return self._folder.size

    @property
    def free(self) -> int:
        """Bytes that may still be written: the free space of the file system, and the free pages of the database.

        Negative if a checkpoint of the write-ahead log needs more than that. Raises the errors of `write`.
        """
        try:
            ((pages,),) = self._connection.execute("PRAGMA freelist_count")
            ((page_bytes,),) = self._connection.execute("PRAGMA page_size")
            return self._folder.free + int(pages) * int(page_bytes)
        except (sqlite3.Error, OSError) as error:
            raise failure(self._folder.database, error) from error

    def close(self) -> None:
        """Close the database and unlock the folder."""
        self._connection.close()
        self._folder.close()

    def _rows(self, table: str) -> sqlite3.Cursor:
        return self._connection.execute(f"SELECT * FROM {table}")  # noqa: S608  # a name of ours

    def _for_each(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute a statement for each row. Most have none, which `executemany` would still spend time on."""
        if listed := list(rows):
            self._connection.executemany(statement, listed)

    def _put(self, changes: Changes) -> None:
        put = self._for_each
        put("REPLACE INTO peers VALUES (?, ?, ?, ?, ?, ?)", map(peer_row, _there(changes.peers)))
        put("REPLACE INTO topics VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(astuple, _there(changes.topics)))
        put(
            "REPLACE INTO queues VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            map(queue_row, _there(changes.queues)),
        )
        put("REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", map(astuple, _there(changes.deliveries)))
        put("INSERT INTO segments VALUES (?, ?, ?, ?)", segment_rows(changes.segments))
        put("REPLACE INTO message_ids VALUES (?, ?, ?, ?, ?, ?, ?)", map(astuple, changes.message_ids))
        put("INSERT INTO scheduled VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(scheduled_row, _there(changes.scheduled)))
        if changes.last_scheduled is not None:
            put("UPDATE meta SET last_scheduled = ?", [(changes.last_scheduled,)])
        if changes.clock_set is not None:
            put("UPDATE meta SET clock_set = ?", [(changes.clock_set,)])

    def _remove(self, changes: Changes) -> None:
        remove = self._for_each
        for topic in _there(changes.topics):
            if topic.start:
                remove("DELETE FROM segments WHERE topic = ? AND until <= ?", [(topic.number, topic.start)])
            if topic.first_id != self._first_ids.get(topic.number, 0):
                remove("DELETE FROM message_ids WHERE topic = ? AND serial < ?", [(topic.number, topic.first_id)])
        topics = [(number,) for number in _gone(changes.topics)]
        remove("DELETE FROM segments WHERE topic = ?", topics)
        remove("DELETE FROM message_ids WHERE topic = ?", topics)
        remove("DELETE FROM scheduled WHERE topic = ?", topics)
        remove("DELETE FROM topics WHERE number = ?", topics)
        queues = [(number,) for number in _gone(changes.queues)]
        remove("DELETE FROM deliveries WHERE queue = ?", queues)
        remove("DELETE FROM queues WHERE number = ?", queues)
        deliveries = _gone(changes.deliveries)
        remove('DELETE FROM deliveries WHERE queue = ? AND "offset" = ?', deliveries)
        scheduled = _gone(changes.scheduled)
        remove("DELETE FROM scheduled WHERE topic = ? AND number = ?", scheduled)
        remove("DELETE FROM peers WHERE peer_id = ?", [(peer_id,) for peer_id in _gone(changes.peers)])

    def _segments(self, topics: Sequence[TopicRecord], progress: Callable[[int], None]) -> list[Segment]:
        """The messages that topics retain; raises `StorageError` if any is missing."""
        upto = {topic.number: topic.start for topic in topics}
        segments: list[Segment] = []
        count = reported = 0
        for row in self._connection.execute("SELECT * FROM segments ORDER BY rowid"):
            for stored in row_segments(*row):
                offset = upto[stored.topic]
                segment = stored if stored.offset >= offset else _cut(stored, offset)
                if segment.offset == offset and segment.values:
                    segments.append(segment)
                    upto[segment.topic] += len(segment.values)
                    count += len(segment.values)
            if count - reported >= PROGRESS_MESSAGES:
                reported = count
                progress(count)
        for topic in topics:
            if upto[topic.number] != topic.end:
                problem = f"topic '{topic.name}' has messages up to {upto[topic.number]} instead of {topic.end}"
                raise unsound(self._folder.database, problem)
        return segments


def _cut(segment: Segment, start: int) -> Segment:
    values = segment.values[start - segment.offset :]
    return Segment(segment.topic, start, values, segment.published_at, segment.publisher)


def _there(records: Mapping[Key, Record | None]) -> Iterator[Record]:
    return (record for record in records.values() if record is not None)


def _gone(records: Mapping[Key, Record | None]) -> list[Key]:
    return [key for key, record in records.items() if record is None]
