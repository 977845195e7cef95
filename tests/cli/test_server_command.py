"""The command line of the indexing server, run as a process."""

import signal
import socket
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import click
import pytest

import indexing_server
from tests.support.harness import DEADLINE, Api, Process, eventually

Run = Callable[..., Process]
SERVER = "indexing_server.py"
OPTIONS = [option for option in indexing_server.main.params if isinstance(option, click.Option)]
WORDS: dict[str, str | Path | bool | tuple[str, ...]] = {
    "host": "localhost",
    "log_dir": Path("elsewhere"),
    "data_dir": Path("kept"),
    "log_level": "debug",
    "token_file": Path("token"),
    "admin_token_file": Path("admin"),
    "metrics_token_file": Path("metrics"),
    "insecure": True,
    "certificate": Path("server.pem"),
    "key": Path("server.key"),
    "peer_ca": Path("peers.pem"),
    "allow_address": ("node7.example", "10.0.0.0/8"),
    "allow_host": ("one", "two"),
    "allow_origin": ("https://one.example", "https://two.example"),
}
"""Values other than the defaults, of the options that are no numbers."""

REFUSED: dict[str, tuple[list[str], dict[str, str], str]] = {
    "an unknown option": (["--prot", "0"], {}, "--prot"),
    "an argument too many": (["0", "surplus"], {}, "surplus"),
    "an argument that is no port": (["x"], {}, "'[PORT]'"),
    "two ports that differ": (["5000", "--port", "5001"], {}, "differ"),
    "the link of a service as an option": (["--port", "tcp://10.96.0.12:5000"], {}, "--port"),
    "a port that is no number": (["--port", "x"], {}, "--port"),
    "a port that is none": (["--port", "65536"], {}, "--port"),
    "a limit below its least": (["--max-peers", "0"], {}, "--max-peers"),
    "a level that is none": (["--log-level", "loud"], {}, "--log-level"),
    "an option without its value": (["--port"], {}, "--port"),
    "a host that is no name": (["--host", "a..b"], {}, "a..b"),
    "a host with too long a name": (["--host", "a" * 70], {}, "not a host name"),
    "a bad environment variable": ([], {"PEERBUS_PORT": "x"}, "--port"),
    "a bad limit in the environment": ([], {"PEERBUS_MAX_WAIT": "-1"}, "--max-wait"),
    "fewer threads than two": (["--threads", "1"], {}, "--threads"),
    "an address that is none": (["--allow-address", "10.0.0.0/33"], {}, "--allow-address"),
    "a log folder inside a file": (["--log-dir", f"{__file__}/logs"], {}, "no folder"),
    "a log folder that is a file": (["--log-dir", __file__], {}, "no folder"),
    "a log folder that is a stream": (["--log-dir", "/dev/stdout"], {}, "- to log to standard error"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_command_line_ends_with_one_clear_line(run: Run, name: str) -> None:
    arguments, environment, fault = REFUSED[name]
    assert fault in run(SERVER, *arguments, **{"PEERBUS_PORT": "0"} | environment).refusal()


def test_a_taken_port_ends_with_one_clear_line(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = run(SERVER, "--port", str(port)).refusal(75)
    assert sentence == f"error: Cannot listen on 127.0.0.1 port {port}: Address already in use.\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_server_however_soon_it_comes(run: Run, number: signal.Signals) -> None:
    for _ in range(8):  # each time the signal finds other threads just beginning
        process = run(SERVER, "--port", "0")
        process.urls()
        process.signal(number)
        assert process.finish() == (0, "", "")


def test_a_signal_that_comes_again_stops_the_server_as_the_first_does(run: Run) -> None:
    process = run(SERVER, "--port", "0")
    process.urls()
    for _ in range(5):
        process.signal(signal.SIGTERM)
    assert process.finish() == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_while_a_pull_waits_and_answers_the_pull(run: Run, number: signal.Signals) -> None:
    process = run(SERVER, "--port", "0")
    api = Api(process.urls()[0])
    api.subscriber("peer1", "news")
    held = api.in_background("POST", "/pull_messages", peer_id="peer1", topic="news", wait=30)
    eventually(lambda: api.get("/stats").body["stats"]["waiting_pulls"] == 1)
    process.signal(number)
    assert (held.result().status, held.result().body["messages"]) == (200, [])
    assert process.finish() == (0, "", "")
    api.close()


def test_a_client_that_never_sends_its_body_does_not_keep_the_server_from_stopping(run: Run) -> None:
    process = run(SERVER, "--port", "0")
    url = process.urls()[0]
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
        client.sendall(b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        process.signal(signal.SIGTERM)
        assert process.finish() == (0, "", "")


def test_two_servers_run_side_by_side(run: Run) -> None:
    urls = [run(SERVER, "--port", "0").urls()[0] for _ in range(2)]
    for url in urls:
        api = Api(url)
        assert api.post("/create_topic", topic="news").body["created"]
        api.close()


def test_a_server_is_set_up_by_its_environment_alone(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "set" / "up"
    process = run(
        SERVER, PEERBUS_PORT="0", PEERBUS_LOG_DIR=str(folder), PEERBUS_LOG_LEVEL="debug", PEERBUS_MAX_TOPICS="1"
    )
    api = Api(process.urls()[0])
    statuses = [api.post("/create_topic", topic=topic).status for topic in ("a", "b")]
    api.close()
    assert statuses == [200, 429]
    (log,) = folder.iterdir()
    assert " INFO    Topic 'a' is created.\n" in log.read_text()


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_is_an_environment_variable_too(option: click.Option, monkeypatch: pytest.MonkeyPatch) -> None:
    name = str(option.name)
    value = WORDS.get(name, 7)
    monkeypatch.setenv(f"PEERBUS_{name.upper()}", " ".join(value) if isinstance(value, tuple) else str(value))
    with indexing_server.main.make_context(SERVER, []) as context:
        assert context.params[name] == value != option.default


def test_an_option_goes_before_its_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEERBUS_PORT", "1")
    with indexing_server.main.make_context(SERVER, ["--port", "2"]) as context:
        assert context.params["port"] == 2


def test_help_names_every_option_with_its_default(run: Run) -> None:
    code, out, err = run(SERVER, "--help").finish()
    assert (code, err) == (0, "")
    out = " ".join(out.split())
    for option in OPTIONS:
        assert option.opts[0] in out
        assert option.help
    assert out.count("[default: ") == sum(not option.is_flag and option.default is not None for option in OPTIONS)
    assert "PEERBUS_LOG_LEVEL" in out


EVERYWHERE = str(ip_address(0))
EXPOSED: dict[str, tuple[str, list[str]]] = {
    "a server": (SERVER, ["--host", EVERYWHERE]),
    "a server on IPv6": (SERVER, ["--host", "::"]),
    "a node": ("peer_node.py", ["--host", EVERYWHERE]),
}


@pytest.mark.parametrize("name", EXPOSED)
def test_who_would_answer_anybody_must_say_so(run: Run, name: str) -> None:
    script, arguments = EXPOSED[name]
    assert "--token-file, or say --insecure" in run(script, "--port", "0", *arguments).refusal()


@pytest.mark.parametrize("name", ["a server", "a node"])
def test_beyond_this_machine_it_listens_with_a_token_or_when_told_to(run: Run, name: str, tmp_path: Path) -> None:
    script, arguments = EXPOSED[name]
    (tmp_path / "token").write_text("a secret of sixteen or more".replace(" ", "-") + "\n")
    for more, environment in (
        (["--insecure"], {}),
        (["--token-file", str(tmp_path / "token")], {}),
        ([], {"PEERBUS_TOKEN": "s" * 16, "PEERBUS_NODE_TOKEN": "s" * 16}),
    ):
        nowhere = {"PEERBUS_NODE_INDEX_URL": "http://127.0.0.1:9"}
        assert run(script, "--port", "0", *arguments, *more, **environment | nowhere).urls()


BAD_TOKENS: dict[str, tuple[str, list[str], str]] = {
    "none": ("", ["--token-file"], "at least 16 characters"),
    "a short one": ("secret", ["--token-file"], "at least 16 characters"),
    "two words": ("a secret of two or more words", ["--token-file"], "one word"),
    "a word that is not ASCII": ("ü" * 20, ["--token-file"], "not ASCII"),
    "an admin's alone": ("s" * 16, ["--admin-token-file"], "--token-file"),
    "one for metrics alone": ("s" * 16, ["--metrics-token-file"], "--token-file"),
    "a short one for metrics": ("secret", ["--metrics-token-file"], "at least 16 characters"),
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_a_token_that_is_none_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    content, options, fault = BAD_TOKENS[name]
    (tmp_path / "token").write_text(content)
    assert fault in run(SERVER, "--port", "0", *options, str(tmp_path / "token")).refusal()


def test_a_token_that_cannot_be_read_is_named(run: Run, tmp_path: Path) -> None:
    assert f"{tmp_path}/none cannot be read" in run(SERVER, "--port", "0", "--token-file", f"{tmp_path}/none").refusal()


def test_the_metrics_are_read_with_a_token_and_show_as_many_queues_as_allowed(run: Run, tmp_path: Path) -> None:
    for name in ("register", "metrics"):
        (tmp_path / name).write_text(name * 4 + "\n")
    tokens = ("--token-file", str(tmp_path / "register"), "--metrics-token-file", str(tmp_path / "metrics"))
    server = Api(run(SERVER, "--port", "0", "--metrics-queues", "1", *tokens).urls()[0])
    registered = server.showing("register" * 4)
    for topic in ("one", "two"):
        assert registered.post("/create_topic", topic=topic).status == 200
    with server.showing("metrics" * 4).session as session:
        text = session.get(f"{server.url}/metrics", timeout=DEADLINE).text
    assert text.count("\npeerbus_topic_unread_messages{") == 1


TOKENS = ("PEERBUS_TOKEN", "PEERBUS_ADMIN_TOKEN", "PEERBUS_METRICS_TOKEN")


@pytest.mark.parametrize("other", TOKENS)
def test_no_two_tokens_are_the_same(run: Run, other: str) -> None:
    tokens = dict.fromkeys(TOKENS, "s" * 16) | {other: "other" * 4}
    assert "must be different" in run(SERVER, "--port", "0", **tokens).refusal()
