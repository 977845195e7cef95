"""`peerbus subscribe --follow` as a process: signals, pipes, and a server that goes away."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tests.support.cli import COMMAND, CommandLine, ended, environment, start
from tests.support.harness import DEADLINE, ROOT, Api, eventually, free_port, in_background, start_index

Follow = Callable[..., "subprocess.Popen[str]"]
NOTHING_LEFT = (0, "", "")


@pytest.fixture
def peerbus(index: Api) -> CommandLine:
    index.post("/create_topic", topic="news")
    return CommandLine(index.url)


@pytest.fixture
def follow(peerbus: CommandLine, index: Api) -> Iterator[Follow]:
    """Follows the topic `news` in a process, as a terminal's would be: one that Ctrl-C ends."""
    processes: list[subprocess.Popen[str]] = []

    def start_following(*arguments: str, stdout: int | IO[Any] = subprocess.PIPE) -> "subprocess.Popen[str]":
        process = start(peerbus.url, "subscribe", "news", "--follow", *arguments, stdout=stdout)
        processes.append(process)
        eventually(lambda: len(subscribers(index)) == len(processes) or process.poll() is not None)
        return process

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what is ignored here is ignored by children
    yield start_following
    signal.signal(signal.SIGINT, before)
    for process in processes:
        process.kill()
        process.communicate()


def subscribers(index: Api) -> list[str]:
    found: list[str] = index.get("/query_peers", topic="news").body.get("peers", [])
    return found


def publish(index: Api, *messages: Any) -> None:
    assert index.post("/publish", topic="news", messages=messages).status == 200


def line(process: "subprocess.Popen[str]") -> str:
    """The next line that is printed."""
    assert process.stdout
    read: str = in_background(process.stdout.readline).result(DEADLINE)
    return read


def waits(index: Api, count: int = 1) -> None:
    """Wait until so many pulls wait at the server."""
    eventually(lambda: index.get("/stats").body["stats"]["waiting_pulls"] == count)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_prints_what_comes_until_it_is_stopped_and_its_peer_is_gone(
    follow: Follow, index: Api, number: signal.Signals
) -> None:
    process = follow()
    assert index.get("/peers").body["peers"][0]["lease_seconds"] == 60.0
    for message in ("one", "two"):
        publish(index, message)
        assert line(process) == f'"{message}"\n'
    waits(index)
    process.send_signal(number)
    assert ended(process) == NOTHING_LEFT
    assert index.get("/peers").body["peers"] == []


def test_no_message_is_handed_to_nobody_when_it_is_stopped(follow: Follow, index: Api, peerbus: CommandLine) -> None:
    process = follow("--peer-id", "me")
    waits(index)
    process.send_signal(signal.SIGINT)
    assert ended(process) == NOTHING_LEFT
    publish(index, "after")
    assert peerbus.says("subscribe", "news", "--peer-id", "me") == '"after"\n'


def test_it_ends_with_the_last_message_that_was_asked_for(follow: Follow, index: Api, peerbus: CommandLine) -> None:
    publish(index, "one", "two")
    process = follow("--peer-id", "me", "--from", "earliest", "--max", "3")
    publish(index, "three", "four")
    assert ended(process) == (0, '"one"\n"two"\n"three"\n', "")
    assert peerbus.says("subscribe", "news", "--peer-id", "me") == '"four"\n'


def test_the_members_of_a_group_share(follow: Follow, index: Api) -> None:
    pair = [follow("--group", "g", "--max", "1") for _ in range(2)]
    waits(index, 2)
    publish(index, 1)
    publish(index, 2)
    assert sorted(ended(process)[1] for process in pair) == ["1\n", "2\n"]


def test_it_ends_quietly_when_nobody_reads_any_more(follow: Follow, index: Api) -> None:
    publish(index, "one", "two")
    process = follow("--from", "earliest")
    assert process.stdout
    assert line(process) == '"one"\n'
    process.stdout.close()
    process.stdout = None
    assert process.wait(DEADLINE) == 0
    assert process.stderr
    assert process.stderr.read() == ""
    assert index.get("/peers").body["peers"] == []


def test_head_gets_its_line_and_nobody_complains(peerbus: CommandLine, index: Api) -> None:
    publish(index, *(["x" * 1000] * 1000))
    command = f"{' '.join(COMMAND)} subscribe news | head -c 10"
    done = subprocess.run(
        ["sh", "-c", command],  # noqa: S607
        cwd=ROOT,
        env=environment(PEERBUS_URL=peerbus.url),
        capture_output=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b'"xxxxxxxxx', b"")
    assert index.get("/peers").body["peers"] == []


@pytest.mark.parametrize("follow_it", [(), ("--follow",)])
def test_what_cannot_be_printed_is_not_acknowledged(
    peerbus: CommandLine, index: Api, follow_it: tuple[str, ...]
) -> None:
    publish(index, "one", "two")
    me = ("subscribe", "news", "--peer-id", "me", "--ack", "explicit")
    with Path("/dev/full").open("w") as full:
        code, _, err = ended(start(peerbus.url, *me, "--from", "earliest", *follow_it, stdout=full))
    assert (code, err) == (1, "error: No space left on device.\n")
    assert peerbus.says(*me, "--details").splitlines() == [
        '{"offset":0,"attempt":2,"message":"one"}',
        '{"offset":1,"attempt":2,"message":"two"}',
    ]


def test_a_lost_lease_is_made_good(follow: Follow, index: Api) -> None:
    process = follow()
    publish(index, "before")
    assert line(process) == '"before"\n'
    index.post("/unregister_peer_node", peer_id=subscribers(index)[0], keep=True)
    eventually(lambda: subscribers(index))
    publish(index, "after")
    assert line(process) == '"after"\n'


def test_a_deleted_topic_ends_it(follow: Follow, index: Api) -> None:
    process = follow()
    index.delete("/delete_topic", topic="news")
    code, out, err = ended(process)
    assert (code, out) == (1, "")
    assert err.startswith("error: topic_deleted: ")
    assert index.get("/peers").body["peers"] == []


def test_the_queue_of_a_temporary_peer_stands_for_a_minute_if_the_command_is_killed(
    peerbus: CommandLine, index: Api
) -> None:
    for options in ([], ["--expires-after", "7"]):
        process = start(peerbus.url, "subscribe", "news", "--follow", *options)
        eventually(lambda: subscribers(index))
        process.kill()
        process.communicate()
        (queue,) = index.get("/subscriptions", topic="news").body["subscriptions"]
        assert queue["expires_after"] == (7.0 if options else 60.0)
        index.post("/unsubscribe", peer_id=queue["queue"], topic="news")


def test_a_server_that_goes_away_ends_it() -> None:
    with start_index() as index:
        index.post("/create_topic", topic="news")
        process = start(index.url, "subscribe", "news", "--follow")
        eventually(lambda: subscribers(index))
    code, out, err = ended(process)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert err.startswith("error: index_unreachable: ")


def test_with_patience_it_goes_on_at_a_server_that_restarted() -> None:
    port = free_port()
    with start_index(port) as index:
        index.post("/create_topic", topic="news")
        process = start(index.url, "subscribe", "news", "--follow", "--patience", "60", "--max", "2")
        eventually(lambda: subscribers(index))
        publish(index, "before")
        assert line(process) == '"before"\n'
    with start_index(port) as index:
        eventually(lambda: index.get("/peers").body["peers"])
        index.post("/create_topic", topic="news")
        publish(index, "after")
        assert ended(process) == (0, '"after"\n', "")


def test_what_its_parent_ignores_is_ignored(peerbus: CommandLine, index: Api) -> None:
    command = [*COMMAND, "subscribe", "news", "--follow"]
    ignoring = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command]
    process = subprocess.Popen(
        ignoring,
        cwd=ROOT,
        env=environment(PEERBUS_URL=peerbus.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    eventually(lambda: subscribers(index))
    process.send_signal(signal.SIGHUP)
    publish(index, "still there")
    assert line(process) == '"still there"\n'
    process.send_signal(signal.SIGTERM)
    assert ended(process) == NOTHING_LEFT


def test_other_commands_are_interrupted_without_a_word(index: Api) -> None:
    index.subscriber("me", "news")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = start(index.url, "pull", "news", "--peer-id", "me", "--wait", "60")
    signal.signal(signal.SIGINT, before)
    waits(index)
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert (code, out, err.strip()) == (130, "", "")


def test_python_m_peerbus_is_the_same(peerbus: CommandLine) -> None:
    assert COMMAND[1:] == ("-m", "peerbus")
    assert COMMAND[0] == sys.executable
    assert ended(start(peerbus.url, "topics", "--json"))[1] == peerbus.says("topics", "--json")
