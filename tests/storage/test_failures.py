"""Writes that are cut short or refused: all of a transaction is kept or nothing, and what was kept stays."""

import subprocess
import sys
from pathlib import Path

import pytest

from peerbus.broker.records import Changes, PeerRecord
from peerbus.errors import CATALOGUE, InternalError, StorageFull
from tests.storage import writer
from tests.support.harness import DEADLINE, ROOT
from tests.support.storage import contents, messages, opened, published, topic


def start_writer(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.storage.writer", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def kept(folder: Path) -> int:
    """Where the topics of the writer end; fails if anything up to there is not as it was written."""
    found = contents(folder)
    (end,) = {record.end for record in found.topics}
    (start,) = {record.start for record in found.topics}
    values = {key: value for key, (value, _) in messages(found).items()}
    assert values == {
        (number, offset): writer.value(offset) for number in writer.TOPICS for offset in range(start, end)
    }
    return end


def test_a_killed_process_leaves_every_write_that_returned(tmp_path: Path) -> None:
    for told_of in (1, 30, 300, 1000, 2):
        with start_writer(tmp_path) as process:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(told_of)]
            process.kill()
            lines += process.stdout.readlines()
        told = int([line for line in lines if line.endswith("\n")][-1])
        under_way = len(writer.transaction(told, 0).segments[0].values)
        assert kept(tmp_path) in (told, told + under_way)


@pytest.mark.parametrize("limit", [150_000, 1_000_000, 4_500_000])
def test_a_full_disk_keeps_what_was_kept_and_takes_more_when_there_is_room(tmp_path: Path, limit: int) -> None:
    with start_writer(tmp_path, limit) as process:
        out, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    *before, last = out.splitlines()
    assert before.count("full") == writer.TIMES_FULL
    assert kept(tmp_path) == int(last) > int(before[0])


def test_a_full_disk_is_an_error_of_the_catalogue() -> None:
    assert CATALOGUE["storage_full"] is StorageFull
    assert (StorageFull.status, StorageFull.retry_after) == (507, 10)


def test_a_transaction_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        storage.write(published(1, 0, b"x"))
        twice = published(1, 0, b"y")
        twice.peers["a"] = PeerRecord("a", None, None, [])
        with pytest.raises(InternalError, match="a fault of the server"):
            storage.write(twice)
        with pytest.raises(OverflowError):
            storage.write(Changes(peers=twice.peers, topics={1: topic(1, 0, 1, dropped=1 << 64)}))
        storage.write(published(1, 1, b"z"))
    found = contents(tmp_path)
    assert found.peers == []
    assert [value for value, _ in messages(found).values()] == [b"x", b"z"]
