"""Who may open which folder, and what they are told where they may not."""

import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from peerbus.storage import Storage, StorageError
from peerbus.storage.tables import SCHEMA_VERSION
from tests.support.harness import ROOT
from tests.support.storage import contents, files, messages, opened, published

OPEN = """
import sys, pathlib
from peerbus.storage import Storage
storage = Storage(pathlib.Path(sys.argv[1]))
print("opened", flush=True)
sys.stdin.read()
"""


def refusal(folder: Path) -> str:
    """The one line that says why a folder cannot be opened."""
    with pytest.raises(StorageError) as refused:
        Storage(folder)
    assert str(refused.value).isprintable()
    return str(refused.value)


def test_a_missing_folder_is_created_for_its_owner_alone(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as storage:
        storage.write(published(1, 0, b"x"))
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()} == {0o600}


def test_a_folder_whose_parent_is_missing_is_not_created(tmp_path: Path) -> None:
    assert "No such file or directory" in refusal(tmp_path / "not mounted" / "data")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "peerbus.lock", "peerbus.db"])
def test_what_is_in_the_way_is_named(tmp_path: Path, name: str) -> None:
    """A file for the folder, and folders for the files."""
    folder = tmp_path / "data"
    if name:
        (folder / name).mkdir(parents=True)
    else:
        folder.write_text("a file")
    said = refusal(folder)
    assert f"Cannot keep data in {folder} ({folder / name}: " in said
    assert re.search(r"File exists|Is a directory", said)


def test_a_file_system_that_takes_no_files_is_refused() -> None:
    """What root may not write to either."""
    assert "Cannot keep data in /proc/self (/proc/self/peerbus.lock: " in refusal(Path("/proc/self"))


def test_a_folder_has_one_server(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        storage.write(published(1, 0, b"x"))
        assert f"Another server keeps its data in {tmp_path}" in refusal(tmp_path)
        storage.write(published(1, 1, b"y"))
    assert contents(tmp_path).topics[0].end == 2


def test_a_killed_process_leaves_the_folder_free(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OPEN, tmp_path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"opened\n"
        assert f"Another server keeps its data in {tmp_path}" in refusal(tmp_path)
        other.kill()
        other.wait()
        assert contents(tmp_path).topics == []


def test_a_copy_made_by_sqlite_while_a_server_runs_is_as_good(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with opened(tmp_path / "data") as storage:
        storage.write(published(1, 0, b"x"))
        with closing(sqlite3.connect(tmp_path / "data" / "peerbus.db")) as other:
            other.execute("VACUUM INTO ?", (str(tmp_path / "copy" / "peerbus.db"),))
        storage.write(published(1, 1, b"y"))
    with opened(tmp_path / "copy") as storage:
        storage.write(published(1, 1, b"z"))
        assert (tmp_path / "copy" / "peerbus.db-wal").exists()
    assert list(messages(contents(tmp_path / "copy")).values()) == [(b"x", 1000.0), (b"z", 1001.0)]


def test_a_database_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    contents(tmp_path)
    with closing(sqlite3.connect(tmp_path / "peerbus.db")) as newer:
        newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = files(tmp_path)
    versions = f"has version {SCHEMA_VERSION + 1} of the schema, and this program reads version {SCHEMA_VERSION}"
    assert versions in refusal(tmp_path)
    assert before.items() <= files(tmp_path).items()


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "peerbus.db")) as other:
        other.execute("CREATE TABLE theirs (a)")
    before = files(tmp_path)
    assert "it is not a database of this program" in refusal(tmp_path)
    assert before.items() <= files(tmp_path).items()


def test_what_was_left_of_a_creation_that_was_cut_short_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "peerbus.new").write_bytes(b"SQLite format 3\x00 and no more")
    assert contents(tmp_path).topics == []
