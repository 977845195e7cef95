"""Keeps the broker's state on disk."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec import MsgspecError
from msgspec.structs import astuple

from peerbus.broker.records import Changes, Contents, DeliveryRecord, MessageIdRecord, Segment, TopicRecord
from peerbus.storage.database import DataFolder, open_database
from peerbus.storage.failures import unopened, unsound, unusable, unwritten
from peerbus.storage.tables import peer_record, peer_row, queue_record, queue_row, row_segments, segment_rows

PROGRESS_MESSAGES = 10_000
"""Messages loaded between two calls that tell how many they are."""

Key = TypeVar("Key")
Record = TypeVar("Record")


class Storage:
    """The state in one folder, as of the last `write` that returned, whatever became of the process since.

    Any thread may use it, one at a time.
    """

    def __init__(self, folder: Path) -> None:
        """Open the database in `folder`, created where it is missing, and keep other servers out until `close`.

        Raises `StorageError` where that cannot be done or the database is not sound; it then is as it was.
        """
        self._folder = DataFolder(folder)
        self._first_ids: dict[int, int] = {}
        """The oldest message id of each topic that was written, before which there is none to remove."""
        try:
            self._connection = open_database(self._folder)
        except BaseException:
            self._folder.close()
            raise

    def load(self, progress: Callable[[int], None]) -> Contents:
        """All that is kept; `progress` is told now and then how many messages have been loaded.

        Raises `StorageError` when something is missing or cannot be read.
        """
        try:
            ((epoch,),) = self._rows("meta")
            topics = [TopicRecord(*row) for row in self._rows("topics")]
            return Contents(
                epoch=epoch,
                peers=[peer_record(row) for row in self._rows("peers")],
                topics=topics,
                queues=[queue_record(row) for row in self._rows("queues")],
                deliveries=[DeliveryRecord(*row) for row in self._rows("deliveries")],
                segments=self._segments(topics, progress),
                message_ids=[MessageIdRecord(*row) for row in self._rows("message_ids")],
            )
        except sqlite3.Error as error:
            raise unopened(self._folder.database, error) from error
        except (MsgspecError, ValueError) as error:
            raise unsound(self._folder.database, str(error)) from error

    def write(self, changes: Changes) -> None:
        """Keep all of `changes`, or nothing; they are on the disk when this returns.

        Raises `StorageFull` when there is no room, `StorageError` when they cannot be written for another reason;
        the next call may succeed after either.
        """
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                self._put(changes)
                self._remove(changes)
            self._first_ids |= {topic.number: topic.first_id for topic in _there(changes.topics)}
            for number in _gone(changes.topics):
                self._first_ids.pop(number, None)
        except sqlite3.Error as error:
            raise unwritten(self._folder.database, error) from error

    @property
    def size(self) -> int:
        """Bytes that the state takes up on the disk, those it has to reuse among them."""
        return self._folder.size

    @property
    def free(self) -> int:
        """Bytes that may still be kept: on the file system of the folder, and where the database has free pages.

        Below zero when what is written but not in its place yet needs more. Raises `StorageError`.
        """
        try:
            ((pages,),) = self._connection.execute("PRAGMA freelist_count")
            ((page_bytes,),) = self._connection.execute("PRAGMA page_size")
            return self._folder.free + int(pages) * int(page_bytes)
        except sqlite3.Error as error:
            raise unopened(self._folder.database, error) from error
        except OSError as error:
            raise unusable(self._folder.database.parent, f"{error.filename}: {error.strerror}") from error

    def close(self) -> None:
        """Close the database and let others open it."""
        self._connection.close()
        self._folder.close()

    def _rows(self, table: str) -> sqlite3.Cursor:
        return self._connection.execute(f"SELECT * FROM {table}")  # noqa: S608  # a name of ours

    def _for_each(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute a statement for each row; for none, which most of them have, SQLite would still take its time."""
        given = list(rows)
        if given:
            self._connection.executemany(statement, given)

    def _put(self, changes: Changes) -> None:
        put = self._for_each
        put("REPLACE INTO peers VALUES (?, ?, ?, ?, ?)", map(peer_row, _there(changes.peers)))
        put("REPLACE INTO topics VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(astuple, _there(changes.topics)))
        put("REPLACE INTO queues VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(queue_row, _there(changes.queues)))
        put("REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?, ?)", map(astuple, _there(changes.deliveries)))
        put("INSERT INTO segments VALUES (?, ?, ?, ?)", segment_rows(changes.segments))
        put("INSERT INTO message_ids VALUES (?, ?, ?, ?, ?, ?)", map(astuple, changes.message_ids))

    def _remove(self, changes: Changes) -> None:
        remove = self._for_each
        for topic in _there(changes.topics):
            remove("DELETE FROM segments WHERE topic = ? AND until <= ?", [(topic.number, topic.start)])
            if self._first_ids.get(topic.number) != topic.first_id:
                remove("DELETE FROM message_ids WHERE topic = ? AND serial < ?", [(topic.number, topic.first_id)])
        topics = [(number,) for number in _gone(changes.topics)]
        remove("DELETE FROM segments WHERE topic = ?", topics)
        remove("DELETE FROM message_ids WHERE topic = ?", topics)
        remove("DELETE FROM topics WHERE number = ?", topics)
        queues = [(number,) for number in _gone(changes.queues)]
        remove("DELETE FROM deliveries WHERE queue = ?", queues)
        remove("DELETE FROM queues WHERE number = ?", queues)
        deliveries = _gone(changes.deliveries)
        remove('DELETE FROM deliveries WHERE queue = ? AND "offset" = ?', deliveries)
        remove("DELETE FROM peers WHERE peer_id = ?", [(peer_id,) for peer_id in _gone(changes.peers)])

    def _segments(self, topics: Sequence[TopicRecord], progress: Callable[[int], None]) -> list[Segment]:
        """What the topics retain, which is all there; raises `StorageError` otherwise."""
        upto = {topic.number: topic.start for topic in topics}
        segments: list[Segment] = []
        count = told = 0
        for row in self._connection.execute("SELECT * FROM segments ORDER BY rowid"):
            for stored in row_segments(*row):
                offset = upto[stored.topic]
                segment = stored if stored.offset >= offset else _cut(stored, offset)
                if segment.offset == offset and segment.values:
                    segments.append(segment)
                    upto[segment.topic] += len(segment.values)
                    count += len(segment.values)
            if count - told >= PROGRESS_MESSAGES:
                told = count
                progress(count)
        for topic in topics:
            if upto[topic.number] != topic.end:
                problem = f"topic '{topic.name}' has messages up to {upto[topic.number]} instead of {topic.end}"
                raise unsound(self._folder.database, problem)
        return segments


def _cut(segment: Segment, start: int) -> Segment:
    return Segment(segment.topic, start, segment.values[start - segment.offset :], segment.published_at)


def _there(records: Mapping[Key, Record | None]) -> Iterator[Record]:
    return (record for record in records.values() if record is not None)


def _gone(records: Mapping[Key, Record | None]) -> list[Key]:
    return [key for key, record in records.items() if record is None]
