"""How server and nodes start and end: environment, arguments, signals, logs, and exit codes."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import indexing_server
from peerbus.cli.main import main as command_line
from peerbus.cli.node_command import main as node
from tests.support.harness import Api, Process, eventually

Run = Callable[..., Process]
SCRIPTS = {"indexing_server.py": "PEERBUS", "peer_node.py": "PEERBUS_NODE"}
NOWHERE = {"PEERBUS_NODE_INDEX_URL": "http://127.0.0.1:9"}
SET_BY_PLATFORMS = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_.*)?|NAME|ENV_.*)")
LINKS = ("tcp://10.96.0.12:5000", "udp://10.96.0.12:5000", "sctp://[fd00::1]:5000")


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_link_of_a_service_of_the_same_name_is_ignored(run: Run, script: str, link: str) -> None:
    prefix = SCRIPTS[script]
    links = {f"{prefix}_PORT": link, f"{prefix}_SERVICE_HOST": "10.96.0.12", f"{prefix}_SERVICE_PORT": "5000"}
    links |= {f"{prefix}_PORT_5000_TCP": link, f"{prefix}_PORT_5000_TCP_ADDR": "10.96.0.12"}
    process = run(script, "--host", "192.0.2.1", "--insecure", **links, **NOWHERE)
    code, _, errors = process.finish()
    assert (code, errors.count("\n")) == (75, 2)
    warning, refusal = errors.splitlines()
    assert warning.startswith(f"warning: ${prefix}_PORT is {link!r}")
    assert "enableServiceLinks" in warning
    assert refusal.startswith("error: Cannot listen on 192.0.2.1 port 500")


def test_no_option_but_the_port_has_a_name_that_platforms_set() -> None:
    names = [f"PEERBUS_{option.name}".upper() for option in indexing_server.main.params]
    names += [f"PEERBUS_NODE_{option.name}".upper() for option in node.params]
    for command in command_line.commands.values():
        names += [str(option.envvar) for option in command.params if option.envvar]
    assert [name for name in names if SET_BY_PLATFORMS.fullmatch(name)] == []
    assert {name for name in names if name.endswith("_PORT")} == {"PEERBUS_PORT", "PEERBUS_NODE_PORT"}


@pytest.mark.parametrize(("command", "prefix"), [(indexing_server.main, "PEERBUS"), (node, "PEERBUS_NODE")])
def test_an_empty_variable_counts_as_none(command: click.Command, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with command.make_context("", []) as context:
        defaults = context.params
    for option in command.params:
        monkeypatch.setenv(f"{prefix}_{option.name}".upper(), "")
    with command.make_context("", []) as context:
        assert context.params == defaults


@pytest.mark.parametrize("variable", ["PORT", "HOST"])
def test_variables_of_no_prefix_are_not_taken(run: Run, variable: str) -> None:
    assert run("indexing_server.py", "--port", "0", **{variable: "nonsense"}).urls()


def test_a_port_and_a_peer_id_may_be_arguments(run: Run, index: Api) -> None:
    assert run("indexing_server.py", "0", PEERBUS_PORT="1").urls()
    run("peer_node.py", "0", "alpha", "--port", "0", "--index-url", index.url).urls()
    assert [peer["peer_id"] for peer in index.get("/peers").body["peers"]] == ["alpha"]


def test_a_hangup_ends_a_server_and_its_streams_in_order(run: Run, tmp_path: Path) -> None:
    process = run("indexing_server.py", "0")
    api = Api(process.urls()[0])
    api.subscriber("peer1", "news")
    stream = api.session.get(f"{api.url}/stream", params={"topic": "news", "peer_id": "peer1"}, stream=True, timeout=20)
    process.signal(signal.SIGHUP)
    assert b"event: end" in stream.content
    assert process.finish() == (0, "", "")
    (log,) = (tmp_path / "logs").iterdir()
    assert "The indexing server stopped." in log.read_text()
    api.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_benchmark_that_is_stopped_leaves_no_process_behind(run: Run, tmp_path: Path, number: signal.Signals) -> None:
    process = run("api_benchmark.py", "--quick", "--results", str(tmp_path))
    eventually(lambda: process.children)
    process.signal(number)
    assert process.finish()[0] == 1
    assert not process.left_running


@pytest.mark.parametrize("count", [1, 2])
def test_below_nohup_a_hangup_is_ignored(index: Api, tmp_path: Path, count: int) -> None:
    script = Path(indexing_server.__file__).with_name("peer_node.py")
    options = ["--port", "0", "--count", str(count), "--index-url", index.url, "--log-dir", str(tmp_path)]
    with subprocess.Popen(
        ["/usr/bin/env", "nohup", sys.executable, script, *options],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout
        for _ in range(count):
            process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert len(index.get("/peers").body["peers"]) == count
        process.terminate()
        assert process.wait() == 0


def test_all_events_go_to_standard_error_where_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    process = run("indexing_server.py", "0", "--log-dir", "-")
    assert process.line().endswith("logging to standard error. Ctrl-C stops it.\n")
    assert "serves at" in process.error_line()
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("script", [["indexing_server.py"], ["peer_node.py"], ["peer_node.py", "--count", "2"]])
def test_without_a_place_for_its_log_a_service_serves_and_warns_once(run: Run, index: Api, script: list[str]) -> None:
    more = {"PEERBUS_NODE_INDEX_URL": index.url}
    process = run(*script, "--port", "0", "--log-dir", "/sys/logs", "--log-level", "warning", **more)
    process.urls(2 if "--count" in script else 1)
    process.signal(signal.SIGTERM)
    code, _, errors = process.finish()
    assert (code, errors.count("\n")) == (0, 1), errors
    assert errors.startswith("warning: Cannot write the log file /sys/logs/")


def test_each_process_has_a_log_file_of_its_own(run: Run, index: Api, tmp_path: Path) -> None:
    urls = [run("peer_node.py", "0", "a/b", "--index-url", index.url).urls()[0] for _ in range(2)]
    urls_of_server = run("indexing_server.py", "0").urls()
    expected = {f"a%2Fb-{url.rpartition(':')[2]}.log" for url in urls}
    expected |= {f"indexing_server-{url.rpartition(':')[2]}.log" for url in urls_of_server}
    assert {path.name for path in (tmp_path / "logs").iterdir()} == expected


def test_a_folder_in_use_is_free_later(run: Run, tmp_path: Path) -> None:
    data = ("--data-dir", str(tmp_path / "data"))
    first = run("indexing_server.py", "0", *data)
    first.urls()
    assert "Another server" in run("indexing_server.py", "0", *data).refusal(75)


def test_a_folder_whose_disk_is_not_mounted_may_come_later(run: Run, tmp_path: Path) -> None:
    assert "created where its parent exists" in run(
        "indexing_server.py", "0", "--data-dir", str(tmp_path / "disk" / "data")
    ).refusal(75)


def test_a_damaged_database_does_not_mend_itself(run: Run, tmp_path: Path) -> None:
    (tmp_path / "peerbus.db").write_text("no database" * 100)
    assert "Cannot read" in run("indexing_server.py", "0", "--data-dir", str(tmp_path)).refusal(2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_a_server_loads_ends_it_without_an_error(
    run: Run, tmp_path: Path, number: signal.Signals
) -> None:
    fifo = tmp_path / "token"  # a start that does not end: the token is read from a pipe that nobody writes to
    os.mkfifo(fifo)
    process = run("indexing_server.py", "0", "--token-file", str(fifo))
    eventually(lambda: _catches_signals(process.pid))
    process.signal(number)
    assert process.finish() == (0, "", "")


def _catches_signals(pid: int) -> bool:
    """Whether the process catches SIGTERM already."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(re.findall(r"SigCgt:\s+([0-9a-f]+)", status)[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)
