"""Data folders that the server refuses, and leaves as they are."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.support.durable import DurableServer
from tests.support.harness import Process

Run = Callable[..., Process]


@pytest.fixture
def server(run: Run, tmp_path: Path) -> DurableServer:
    """Not started yet."""
    return DurableServer(run, tmp_path / "data")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def spoil(database: Path) -> None:
    database.write_bytes(b"\0" * 4096 + database.read_bytes()[4096:])


def cut(database: Path) -> None:
    database.write_bytes(database.read_bytes()[:-5000])


def make_newer(database: Path) -> None:
    with closing(sqlite3.connect(database)) as newer:
        newer.execute("PRAGMA user_version = 5")


def make_foreign(database: Path) -> None:
    database.unlink()
    with closing(sqlite3.connect(database)) as other:
        other.execute("CREATE TABLE theirs (a)")


UNFIT: dict[str, tuple[Callable[[Path], None], str]] = {
    "overwritten": (spoil, "file is not a database"),
    "cut short": (cut, "database disk image is malformed"),
    "newer": (make_newer, "has version 5 of the schema, and this program reads version 4"),
    "of another program": (make_foreign, "it is not a database of this program"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_database_that_is_not_fit_is_refused_and_left_as_it_is(server: DurableServer, name: str) -> None:
    api = server.start()
    api.subscriber("a", "news")
    assert api.post("/publish", topic="news", messages=list(range(1000))).status == 200
    server.end(SIGTERM)
    make, fault = UNFIT[name]
    make(server.folder / "peerbus.db")
    before = files(server.folder)
    server.begin()
    said = server.process.refusal()
    assert fault in said
    assert str(server.folder / "peerbus.db") in said
    assert before.items() <= files(server.folder).items()


def test_a_second_server_on_the_same_folder_is_refused(run: Run, server: DurableServer) -> None:
    api = server.start()
    api.subscriber("a", "news")
    before = files(server.folder)
    said = run("indexing_server.py", "--port", "0", "--data-dir", str(server.folder)).refusal(75)
    assert said == (
        f"error: Another server keeps its data in {server.folder}: stop that one first, or name another folder.\n"
    )
    assert files(server.folder) == before
    assert api.post("/publish", topic="news", message="goes on").status == 200


def test_a_file_for_a_folder_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for path in ("file", "file/data"):
        assert (
            str(tmp_path / "file")
            in run("indexing_server.py", "--port", "0", PEERBUS_DATA_DIR=str(tmp_path / path)).refusal()
        )
    assert (tmp_path / "file").read_text() == "kept"


def test_a_folder_whose_parent_is_missing_is_refused(run: Run, tmp_path: Path) -> None:
    said = run("indexing_server.py", "--port", "0", "--data-dir", str(tmp_path / "not" / "mounted")).refusal(75)
    assert "No such file or directory" in said
    assert not (tmp_path / "not").exists()
