"""Writes to a folder as a process of its own, and tells on standard output how many messages are kept.

`python -m tests.storage.writer FOLDER` writes until it is killed. With a number of bytes beside it no file may grow
beyond them: it tells "full" of every write that is refused, then lets files grow again and writes once more.
"""

import resource
import sys
from pathlib import Path

from peerbus.broker.records import Changes, Segment
from peerbus.errors import StorageFull
from peerbus.storage import Storage
from tests.support.storage import noise, topic

TOPICS = (1, 2)
RETAINED = 50
TIMES_FULL = 20


def value(offset: int) -> bytes:
    return noise(500, offset)


def transaction(end: int, retained: int) -> Changes:
    """Both topics get the same messages after `end`, so that half a transaction shows."""
    count = end % 20 + 1
    values = [value(offset) for offset in range(end, end + count)]
    return Changes(
        topics={number: topic(number, max(0, end + count - retained), end + count) for number in TOPICS},
        segments=[Segment(number, end, values, float(end)) for number in TOPICS],
    )


def write(storage: Storage, end: int, retained: int) -> int:
    changes = transaction(end, retained)
    storage.write(changes)
    end = changes.topics[1].end  # type: ignore[union-attr]  # it is not gone
    print(end, flush=True)
    return end


def write_until_killed(storage: Storage) -> None:
    found = storage.load(lambda _: None)
    end = found.topics[0].end if found.topics else 0
    while True:
        end = write(storage, end, RETAINED)


def write_beyond(storage: Storage, size: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    end = full = 0
    while full < TIMES_FULL:
        try:
            end = write(storage, end, sys.maxsize)
        except StorageFull:
            full += 1
            print("full", flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    write(storage, end, sys.maxsize)


if __name__ == "__main__":
    folder, *limit = sys.argv[1:]
    if limit:
        write_beyond(Storage(Path(folder)), int(limit[0]))
    else:
        write_until_killed(Storage(Path(folder)))
