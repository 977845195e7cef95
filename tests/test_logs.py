"""What is logged, at which level, and into which file."""

import fcntl
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from peerbus.logs import LogFolderError, log_to
from peerbus.wire.endpoints import Endpoint
from peerbus.wire.protocol import EmptyRequest
from tests.support.connections import ODD_PATHS, call
from tests.support.harness import Api, eventually
from tests.support.servers import WAYS, serve

LogTo = Callable[..., Path]
EVENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR) +(.*)")

CALLS: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "/register_peer_node", {"peer_id": "peer1"}, "INFO"),
    ("POST", "/register_peer_node", {"peer_id": "peer1"}, "DEBUG"),
    ("POST", "/create_topic", {"topic": "news"}, "INFO"),
    ("POST", "/create_topic", {"topic": "news"}, "DEBUG"),
    ("POST", "/subscribe", {"peer_id": "peer1", "topic": "news"}, "INFO"),
    ("POST", "/subscribe", {"peer_id": "peer1", "topic": "news"}, "DEBUG"),
    ("POST", "/publish", {"topic": "news", "message": "text"}, "DEBUG"),
    ("POST", "/pull_messages", {"peer_id": "peer1", "topic": "news"}, "DEBUG"),
    ("GET", "/query_peers", {"topic": "news"}, "DEBUG"),
    ("GET", "/topics", {}, "DEBUG"),
    ("POST", "/unsubscribe", {"peer_id": "peer1", "topic": "news"}, "INFO"),
    ("DELETE", "/delete_topic", {"topic": "news"}, "INFO"),
    ("POST", "/unregister_peer_node", {"peer_id": "peer1"}, "INFO"),
]


@pytest.fixture
def logging_to(tmp_path: Path) -> Iterator[LogTo]:
    """Logs to a file as the command lines do, from a level on, until the test ends or logs anew."""
    root = logging.getLogger()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions

    def stop() -> None:
        for handler in [each for each in root.handlers if each not in handlers]:
            root.removeHandler(handler)
            handler.close()

    def start(level: str, name: str = "indexing_server") -> Path:
        stop()
        path = log_to(tmp_path / "logs", name, level)
        assert path
        return path

    yield start
    stop()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    logging.raiseExceptions = raises


def events(log: Path) -> list[tuple[str, str]]:
    """The level and the text of each line; fails at a line that is not an event."""
    found = []
    for line in log.read_text(encoding="utf-8").split("\n")[:-1]:
        match = EVENT.fullmatch(line)
        assert match, line
        found.append((match[1], match[2]))
    return found


@pytest.mark.parametrize(("level", "shown"), [("debug", {"DEBUG", "INFO"}), ("info", {"INFO"}), ("warning", set())])
@pytest.mark.parametrize("way", WAYS)
def test_a_call_is_logged_at_info_where_it_changed_something_but_messages(
    logging_to: LogTo, way: str, level: str, shown: set[str]
) -> None:
    log = logging_to(level)
    with serve(way) as api:
        answered = [
            (logged_at, api.send(method, path, json=fields).body["message"])
            for method, path, fields, logged_at in CALLS
        ]
    logged = [event for event in events(log) if event[1] in {sentence for _, sentence in answered}]
    assert logged == [(logged_at, sentence) for logged_at, sentence in answered if logged_at in shown]


def test_an_expired_lease_is_logged(logging_to: LogTo, index: Api) -> None:
    log = logging_to("info")
    index.post("/register_peer_node", peer_id="peer1", lease_seconds=0.01)
    eventually(lambda: ("INFO", "Peer 'peer1' is away: its lease ran out.") in events(log))


def test_a_refused_call_is_logged_with_its_status_and_code(logging_to: LogTo, index: Api) -> None:
    log = logging_to("info")
    refused = index.post("/publish", topic="news", message="text")
    assert events(log) == [("INFO", f"POST /publish: 404 topic_not_found: {refused.body['message']}")]


@pytest.mark.parametrize("name", ODD_PATHS)
def test_an_odd_path_makes_one_printable_line(logging_to: LogTo, index: Api, name: str) -> None:
    log = logging_to("info")
    call(index, "GET", ODD_PATHS[name].decode("latin-1"))
    ((level, text),) = events(log)
    assert level == "INFO"
    assert text.isprintable()


def fail(_: EmptyRequest) -> NoReturn:
    raise RuntimeError("broken\n2030-01-01 00:00:00,000 INFO    forged\rforged\u2028forged")


def test_the_lines_of_a_trace_are_indented_below_their_event(
    logging_to: LogTo, capsys: pytest.CaptureFixture[str]
) -> None:
    log = logging_to("info")
    with serve("dispatch", {Endpoint("POST", "/fail", EmptyRequest, "Fail."): fail}) as api:
        assert api.post("/fail").status == 500
    first, *trace = log.read_text(encoding="utf-8").splitlines()
    assert first.endswith("POST /fail failed")
    assert "    Traceback (most recent call last):" in trace
    assert all(line.startswith("    ") for line in trace)
    assert "POST /fail failed" in capsys.readouterr().err


@pytest.mark.parametrize("peer_id", ["peer1", "a/b", "a/../../b", "a:b", "a.b", "a" * 128, "a/" * 42])
def test_every_peer_has_a_file_of_its_own_inside_the_folder(logging_to: LogTo, tmp_path: Path, peer_id: str) -> None:
    path = logging_to("info", peer_id)
    assert (path.parent, path.suffix) == (tmp_path / "logs", ".log")
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [path]


def test_a_full_log_file_is_kept_beside_the_new_one(logging_to: LogTo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peerbus.logs.FILE_BYTES", 1000)
    log = logging_to("info")
    for number in range(100):
        logging.getLogger("peerbus").info("event %d", number)
    names = [log.name, *(f"{log.name}.{age}" for age in (1, 2, 3))]
    assert sorted(path.name for path in log.parent.iterdir()) == names
    assert all(path.stat().st_size <= 1000 for path in log.parent.iterdir())
    kept = [text for name in reversed(names) for _, text in events(log.with_name(name))]
    assert kept == [f"event {number}" for number in range(100 - len(kept), 100)]


@pytest.mark.parametrize("lost", ["deleted", "a file"])
def test_a_folder_that_is_lost_while_it_is_logged_to_stops_nothing(
    logging_to: LogTo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lost: str
) -> None:
    monkeypatch.setattr("peerbus.logs.FILE_BYTES", 1000)
    folder = logging_to("info").parent
    shutil.rmtree(folder)
    if lost == "a file":
        folder.touch()
    for number in range(100):
        logging.getLogger("peerbus").info("event %d", number)
    logging.getLogger("peerbus").warning("the last")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("the last")


def test_a_file_that_another_process_logs_to_is_left_to_it(logging_to: LogTo, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    with (tmp_path / "logs" / "indexing_server.log").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert logging_to("info").name == f"indexing_server-{os.getpid()}.log"


def test_a_log_that_exists_is_added_to(logging_to: LogTo) -> None:
    for text in ("first", "second"):
        log = logging_to("info")
        logging.getLogger("peerbus").info(text)
    assert events(log) == [("INFO", "first"), ("INFO", "second")]


def test_a_folder_that_is_none_is_refused(logging_to: LogTo, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(LogFolderError, match="which is no folder: name a folder, or - to log to standard error"):
        logging_to("info")
