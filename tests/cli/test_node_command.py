"""`peer_node.py` as a user runs it: real processes."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.connections import NotReading, request
from tests.support.harness import Api, Process, eventually, free_port

Run = Callable[..., Process]
LARGE = 12 << 20
"""Bytes that no connection takes before somebody reads."""
STOPS: dict[str, Callable[[Process], None]] = {
    "Ctrl-C": Process.interrupt_group,
    "SIGTERM": lambda process: process.signal(signal.SIGTERM),
    "SIGHUP": lambda process: process.signal(signal.SIGHUP),
}


@pytest.fixture
def api() -> Iterator[Callable[[str], Api]]:
    """AccessControl of services by URL."""
    with ExitStack() as callers:

        def caller(url: str) -> Api:
            made = Api(url)
            callers.callback(made.close)
            return made

        yield caller


def start_peers(run: Run, index: Api, count: int, *arguments: str) -> Process:
    return run("peer_node.py", "--port", "0", "--count", str(count), "--index-url", index.url, *arguments)


def registered(index: Api) -> list[str]:
    return [peer["peer_id"] for peer in index.get("/peers").body["peers"]]


def hold_pull(node: Api, index: Api) -> None:
    """Leave a pull waiting for a message that will not come."""
    node.post("/create_topic", topic="news")
    assert node.post("/subscribe", topic="news").status == 200
    node.in_background("POST", "/pull_messages", topic="news", wait=30)
    eventually(lambda: index.get("/stats").body["stats"]["waiting_pulls"] == 1)


def test_three_peers_run_each_in_its_own_process(
    run: Run, index: Api, api: Callable[[str], Api], tmp_path: Path
) -> None:
    peers = start_peers(run, index, 3)
    nodes = [api(url) for url in peers.urls(3)]
    assert len(peers.children) == 3
    assert registered(index) == ["peer1", "peer2", "peer3"]
    assert {peer["address"] for peer in index.get("/peers").body["peers"]} == {node.url for node in nodes}
    nodes[0].post("/create_topic", topic="news")
    nodes[-1].post("/subscribe", topic="news")
    assert nodes[0].post("/publish", topic="news", message={"a": 1}).status == 200
    assert nodes[-1].post("/pull_messages", topic="news").body["messages"] == [{"a": 1}]
    for peer_id in registered(index):
        assert f"'{peer_id}' serves at" in next((tmp_path / "logs").glob(f"{peer_id}-*.log")).read_text()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("stop", STOPS)
def test_peers_stop_cleanly(run: Run, index: Api, count: int, stop: str) -> None:
    peers = start_peers(run, index, count)
    peers.urls(count)
    assert len(registered(index)) == count
    STOPS[stop](peers)
    code, _, errors = peers.finish()
    assert (code, errors) == (0, "")
    assert registered(index) == []
    assert not peers.left_running


def test_a_peer_says_that_it_could_not_register(run: Run) -> None:
    peer = run("peer_node.py", "--port", "0", "--index-url", f"http://127.0.0.1:{free_port()}")
    assert "'peer1' is not registered yet, which is tried again: " in peer.error_line()


def test_a_second_peer_of_the_same_id_says_so(run: Run, index: Api) -> None:
    start_peers(run, index, 1).urls()
    assert "Two nodes of one peer take each other's messages." in start_peers(run, index, 1).error_line()


def test_a_peer_that_ends_says_what_ends_with_it(run: Run, index: Api, api: Callable[[str], Api]) -> None:
    peers = start_peers(run, index, 1)
    node = api(peers.urls()[0])
    node.post("/create_topic", topic="news")
    node.post("/subscribe", topic="news", expires_after=0)
    node.post("/publish", topic="news", messages=[1, 2])
    peers.signal(signal.SIGTERM)
    assert "2 messages that it had not pulled or acknowledged: discarded." in peers.finish()[2]


def test_peers_end_and_unregister_when_their_parent_is_killed(run: Run, index: Api) -> None:
    peers = start_peers(run, index, 3)
    peers.urls(3)
    peers.signal(signal.SIGKILL)
    assert peers.finish()[0] == -signal.SIGKILL
    assert registered(index) == []


def test_a_killed_peer_is_reported_and_the_others_go_on(run: Run, index: Api, api: Callable[[str], Api]) -> None:
    peers = start_peers(run, index, 3, "--lease-seconds", "1")
    nodes = {url: api(url) for url in peers.urls(3)}
    os.kill(peers.children[0], signal.SIGKILL)
    killed = peers.error_line().split("'")[1]
    eventually(lambda: killed not in registered(index))
    others = [peer["address"] for peer in index.get("/peers").body["peers"]]
    assert [nodes[address].get("/readyz").status for address in others] == [200, 200]
    peers.signal(signal.SIGTERM)
    assert peers.finish()[0] == 1
    assert not peers.left_running


@pytest.mark.parametrize(
    ("held", "frozen", "stop"),
    [(True, False, "Ctrl-C"), (True, False, "SIGTERM"), (False, True, "SIGTERM"), (True, True, "Ctrl-C")],
)
def test_nothing_keeps_peers_from_stopping(
    run: Run, api: Callable[[str], Api], held: bool, frozen: bool, stop: str
) -> None:
    server = run("indexing_server.py", "--port", "0")
    index = api(server.urls()[0])
    peers = start_peers(run, index, 2)
    node = api(peers.urls(2)[0])
    if held:
        hold_pull(node, index)
    if frozen:
        server.signal(signal.SIGSTOP)
    STOPS[stop](peers)
    assert peers.finish()[0] == 0
    assert not peers.left_running
    if not frozen:
        assert registered(index) == []


def test_who_does_not_read_beside_a_frozen_server_does_not_keep_peers_from_stopping(
    run: Run, api: Callable[[str], Api]
) -> None:
    server = run("indexing_server.py", "--port", "0")
    index = api(server.urls()[0])
    peers = start_peers(run, index, 2)
    node = api(peers.urls(2)[0])
    node.post("/create_topic", topic="news")
    node.post("/publish", topic="news", message="x" * LARGE)
    with NotReading(node.url) as client:
        client.send(request("GET", "/messages?topic=news"))
        client.head()
        server.signal(signal.SIGSTOP)
        peers.signal(signal.SIGTERM)
        assert peers.finish()[0] == 0
    assert not peers.left_running


def test_peers_started_beside_a_frozen_server_serve_and_stop(run: Run, api: Callable[[str], Api]) -> None:
    server = run("indexing_server.py", "--port", "0")
    index = api(server.urls()[0])
    server.signal(signal.SIGSTOP)
    peers = start_peers(run, index, 2, "--index-timeout", "60")
    node = api(peers.urls(2)[0])
    assert (node.get("/livez").status, node.get("/readyz").status) == (200, 503)
    peers.signal(signal.SIGTERM)
    assert peers.finish()[0] == 0
    assert not peers.left_running


@pytest.mark.parametrize("count", [1, 2])
def test_the_process_ends_when_its_peers_have_exited(
    run: Run, index: Api, api: Callable[[str], Api], count: int
) -> None:
    peers = start_peers(run, index, count)
    for url in peers.urls(count):
        assert api(url).post("/exit_peer").status == 200
    code, _, errors = peers.finish()
    assert (code, errors) == (0, "")
    assert registered(index) == []


@pytest.mark.parametrize(
    ("first", "ids"),
    [
        ("peer1", ["peer1", "peer2"]),
        ("node09", ["node09", "node10"]),
        ("rack-3:99", ["rack-3:100", "rack-3:99"]),
        ("7", ["7", "8"]),
    ],
)
def test_ids_count_on_from_the_first(run: Run, index: Api, first: str, ids: list[str]) -> None:
    start_peers(run, index, 2, "--peer-id", first).urls(2)
    assert registered(index) == ids


def test_options_are_environment_variables_too(run: Run, index: Api, tmp_path: Path) -> None:
    peers = run(
        "peer_node.py",
        PEERBUS_NODE_PORT="0",
        PEERBUS_NODE_PEER_ID="alpha",
        PEERBUS_NODE_INDEX_URL=index.url,
        PEERBUS_NODE_LEASE_SECONDS="7.5",
        PEERBUS_NODE_LOG_DIR=str(tmp_path / "elsewhere"),
    )
    url = peers.urls()[0]
    known = index.get("/peers").body["peers"][0]
    assert (known["peer_id"], known["address"], known["lease_seconds"]) == ("alpha", url, 7.5)
    assert (tmp_path / "elsewhere" / f"alpha-{url.rpartition(':')[2]}.log").exists()


WRONG = [
    ["--peer-id", "a b"],
    ["--peer-id", ""],
    ["--peer-id", "peer1\n"],
    ["--peer-id", "x" * 129],
    ["--peer-id", "alpha", "--count", "2"],
    ["--peer-id", "9" * 6000, "--count", "2"],
    ["--count", "0"],
    ["--index-url", "127.0.0.1:5000"],
    ["--index-url", "ftp://127.0.0.1"],
    ["--index-url", ""],
    ["--port", "65536"],
    ["--port", "65535", "--count", "2"],
    ["--index-timeout", "0"],
    ["--index-timeout", "inf"],
    ["--lease-seconds", "nan"],
    ["--log-level", "loud"],
    ["--log-dir", __file__],
    ["--log-dir", f"{__file__}/logs", "--count", "2"],
    ["--nonsense"],
    ["surplus"],
    ["0", "peer1", "surplus"],
    ["0", "peer1", "--peer-id", "peer2"],
    ["--log-dir", "/dev/stdout"],
]


@pytest.mark.parametrize("arguments", WRONG, ids=lambda arguments: " ".join(arguments)[:40])
def test_a_wrong_option_is_one_line_and_exit_code_2(run: Run, arguments: list[str]) -> None:
    assert_refused(run("peer_node.py", "--port", "0", *arguments))


@pytest.mark.parametrize("place", [0, 1])
def test_a_taken_port_is_one_line_and_exit_code_75(run: Run, place: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] - place
        assert_refused(run("peer_node.py", "--port", str(port), "--count", str(place + 1)), 75)


def assert_refused(process: Process, expected: int = 2) -> None:
    code, output, errors = process.finish()
    assert (code, output, errors.count("\n")) == (expected, "", 1), errors
    assert errors.startswith("error: ")
