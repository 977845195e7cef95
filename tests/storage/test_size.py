"""How much of the disk the state takes up."""

from pathlib import Path

from peerbus.broker.records import Changes, Segment
from tests.support.storage import contents, files, noise, opened, published, topic

LOG_BYTES = 10 << 20
"""More than the write-ahead log grows to by small transactions."""


def database_bytes(folder: Path) -> int:
    return (folder / "peerbus.db").stat().st_size


def test_what_is_published_and_freed_takes_up_no_more_in_the_long_run(tmp_path: Path) -> None:
    sizes = []
    with opened(tmp_path) as storage:
        end = 0
        for _ in range(10):
            for _ in range(200):
                storage.write(published(1, end, *(noise(100, seed) for seed in range(50)), start=max(0, end - 2000)))
                end += 50
            sizes.append(database_bytes(tmp_path))
        assert (tmp_path / "peerbus.db-wal").stat().st_size < LOG_BYTES
    assert sizes[-1] <= max(sizes[:4])
    assert database_bytes(tmp_path) < 10 * 2000 * 100


def test_a_great_backlog_leaves_room_that_is_used_again(tmp_path: Path) -> None:
    values = [noise(1000, seed) for seed in range(1000)]
    with opened(tmp_path) as storage:
        for number in (1, 2, 3):
            for offset in range(0, 20_000, 1000):
                storage.write(published(number, offset, *values))
            storage.write(Changes(topics={number: None}))
    assert database_bytes(tmp_path) < 1.2 * 20_000 * 1000
    assert contents(tmp_path).segments == []


def test_what_is_large_is_freed_one_by_one_although_written_together(tmp_path: Path) -> None:
    value = noise(1 << 20)
    with opened(tmp_path) as storage:
        for end in range(8, 32, 8):
            segments = [Segment(1, offset, [value], 1.0) for offset in range(end - 8, end)]
            storage.write(Changes(topics={1: topic(1, max(0, end - 9), end)}, segments=segments))
            storage.write(Changes(topics={1: topic(1, end - 1, end)}))
    assert database_bytes(tmp_path) < 11 << 20


def test_the_log_of_a_great_transaction_is_given_back(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        value = noise(1 << 20)
        segments = [Segment(1, offset, [value], 1.0) for offset in range(100)]
        storage.write(Changes(topics={1: topic(1, 0, 100)}, segments=segments))
        log = tmp_path / "peerbus.db-wal"
        assert log.stat().st_size > 100 << 20
        storage.write(published(1, 100, b"x"))
        storage.write(published(1, 101, b"x"))
        assert log.stat().st_size <= 64 << 20


def test_single_publishes_of_one_transaction_share_a_row(tmp_path: Path) -> None:
    """By their size: a row has a place in its table, and another in the order of the topic."""
    for name, group in (("one by one", 1), ("together", 100)):
        with opened(tmp_path / name) as storage:
            for offset in range(0, 2000, group):
                segments = [Segment(1, each, [b""], 1.0) for each in range(offset, offset + group)]
                storage.write(Changes(topics={1: topic(1, 0, offset + group)}, segments=segments))
    assert database_bytes(tmp_path / "together") < database_bytes(tmp_path / "one by one") * 2 / 3


def test_size_is_what_the_files_take_up_and_free_what_is_left(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        storage.write(published(1, 0, noise(1 << 20)))
        assert storage.size == sum(map(len, files(tmp_path).values()))
        assert storage.size > 1 << 20
        assert storage.free > 0
