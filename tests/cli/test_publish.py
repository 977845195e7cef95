"""`peerbus publish`, and what becomes of the messages on the command line."""

from typing import Any

import pytest

from tests.support.cli import CommandLine, ended, start
from tests.support.harness import Api, eventually, start_node


@pytest.fixture
def peerbus(index: Api) -> CommandLine:
    """A server with the topic `news`, to which `reader` is subscribed."""
    index.subscriber("reader", "news")
    return CommandLine(index.url)


def published(index: Api) -> list[Any]:
    """What was published since this was asked last."""
    messages: list[Any] = index.post("/pull_messages", peer_id="reader", topic="news").body["messages"]
    return messages


def test_messages_are_strings_whatever_they_look_like(peerbus: CommandLine, index: Api) -> None:
    assert peerbus.says("publish", "news", "hello") == "Message published to topic 'news'.\n"
    assert peerbus.says("publish", "news", "42", '{"a": 1}', "", "ü") == "4 messages published to topic 'news'.\n"
    peerbus.says("publish", "news", "--", "-5", "--json")
    assert published(index) == ["hello", "42", '{"a": 1}', "", "ü", "-5", "--json"]


def test_json_is_published_as_it_is(peerbus: CommandLine, index: Api) -> None:
    values = ['{"a":  1.10}', "12345678901234567890123", '"\\u00e9"', " null "]
    peerbus.says("publish", "news", "--json", *values)
    raw = index.session.post(f"{index.url}/pull_messages", json={"peer_id": "reader", "topic": "news"}).text
    assert f"[{','.join(value.strip() for value in values)}]" in raw.replace(" null ", "null")


@pytest.mark.parametrize("message", ["hello", "", "{", "1 2", "nan", "[" * 100_000])
def test_what_is_not_json_publishes_nothing(peerbus: CommandLine, index: Api, message: str) -> None:
    assert "Message 2 is not JSON" in peerbus.refused(2, "publish", "news", "--json", "1", message)
    assert published(index) == []


def test_a_message_id_publishes_once(peerbus: CommandLine, index: Api) -> None:
    for _ in range(2):
        said = peerbus.says("publish", "news", "a", "b", "--message-id", "x")
    assert "published to topic 'news' before" in said
    assert published(index) == ["a", "b"]


def test_lines_may_be_published_later(peerbus: CommandLine, index: Api) -> None:
    said = peerbus.says("publish", "news", "-", "--delay", "0.01", stdin="a\nb\n")
    assert said == "2 messages scheduled for topic 'news'.\n"
    assert eventually(lambda: published(index)) == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--delay", "0"], "--delay"),
        (["--delay", "2592001"], "--delay"),
        (["--delay", "nan"], "--delay"),
        (["--at", "noon"], "'noon' is not a time, such as"),
        (["--at", "inf"], "'inf' is not a time, such as"),
        (["--delay", "1", "--at", "2030-01-01"], "Name either --delay or --at."),
    ],
)
def test_a_time_that_is_none_publishes_nothing(
    peerbus: CommandLine, index: Api, options: list[str], problem: str
) -> None:
    assert problem in peerbus.refused(2, "publish", "news", "a", *options)
    assert index.get("/topics").body["topics"][0]["next_offset"] == 0


def test_a_time_that_is_past_is_refused_by_the_server(peerbus: CommandLine) -> None:
    assert "later than now" in peerbus.refused(1, "publish", "news", "a", "--at", "2020-01-01T00:00:00+00:00")


def test_each_line_of_standard_input_is_a_message(peerbus: CommandLine, index: Api) -> None:
    said = peerbus.says("publish", "news", "-", stdin="a b\n\n 42\nlast")
    assert said == "4 messages published to topic 'news'.\n"
    assert published(index) == ["a b", "", " 42", "last"]


def test_the_ends_of_lines_and_the_mark_of_other_systems_are_no_part_of_messages(
    peerbus: CommandLine, index: Api
) -> None:
    peerbus.says("publish", "news", "-", stdin="\ufeffhello\r\n\r\nwor\rld\r\nlast")
    assert published(index) == ["hello", "", "wor\rld", "last"]
    peerbus.says("publish", "news", "--json", "-", stdin='\ufeff{"a":1}\r\n\r\n[2]\r\n')
    assert published(index) == [{"a": 1}, [2]]


def test_a_dash_can_be_published(peerbus: CommandLine, index: Api) -> None:
    peerbus.says("publish", "news", "--json", '"-"')
    assert published(index) == ["-"]


def test_lines_of_json_are_published_as_they_are(peerbus: CommandLine, index: Api) -> None:
    assert peerbus.says("publish", "news", "--json", "-", stdin='{"a": 1}\n\n[2]\n').startswith("2 messages")
    assert published(index) == [{"a": 1}, [2]]


def test_no_input_publishes_nothing(peerbus: CommandLine, index: Api) -> None:
    assert peerbus.says("publish", "news", "-") == "0 messages published to topic 'news'.\n"
    assert published(index) == []


def test_many_and_long_lines_go_through(peerbus: CommandLine, index: Api) -> None:
    lines = [str(number) for number in range(30_000)] + ["x" * 3_000_000, "end"]
    peerbus.says("publish", "news", "-", stdin="\n".join(lines))
    found = [message for _ in range(31) for message in published(index)]
    assert found == lines


@pytest.mark.parametrize(
    ("stdin", "fault"), [(b"1\n{\n3", "Line 2 is not JSON"), (b'1\n\n"\xff"\n', "Line 3 is not UTF-8")]
)
def test_a_bad_line_is_named(peerbus: CommandLine, index: Api, stdin: bytes, fault: str) -> None:
    result = peerbus("publish", "news", "--json", "-", stdin=stdin)
    assert (result.exit_code, result.stdout) == (2, "")
    remark, error = result.stderr.splitlines()
    assert remark == "0 messages published to topic 'news' before this:"
    assert fault in error
    assert published(index) == []


def test_a_message_id_is_not_for_a_stream(peerbus: CommandLine) -> None:
    assert "--message-id" in peerbus.refused(2, "publish", "news", "-", "--message-id", "x")


def test_lines_are_published_as_they_come(peerbus: CommandLine, index: Api) -> None:
    process = start(peerbus.url, "publish", "news", "-")
    assert process.stdin
    for line in ("first", "second"):
        process.stdin.write(f"{line}\nhalf of the next ")
        process.stdin.flush()
        assert eventually(lambda: published(index))[-1].endswith(line)
    assert ended(process) == (0, "3 messages published to topic 'news'.\n", "")
    assert published(index) == ["half of the next "]


def test_what_was_published_before_a_refusal_is_said(peerbus: CommandLine, index: Api) -> None:
    process = start(peerbus.url, "publish", "news", "-")
    assert process.stdin
    process.stdin.write("first\n")
    process.stdin.flush()
    eventually(lambda: published(index))
    index.delete("/delete_topic", topic="news")
    process.stdin.write("second\n")
    code, out, err = ended(process)
    assert (code, out) == (1, "")
    remark, error = err.splitlines()
    assert remark == "1 message published to topic 'news' before this:"
    assert error.startswith("error: topic_not_found: ")


def test_a_full_topic_is_waited_for_as_long_as_was_said(peerbus: CommandLine, index: Api) -> None:
    peerbus.says("create", "small", "--max-messages", "1")
    index.subscriber("reader", "small")
    peerbus.says("publish", "small", "a")
    assert peerbus.refused(1, "publish", "small", "b").startswith("error: topic_full: ")
    waiting = start(peerbus.url, "publish", "small", "b", "--patience", "60")
    index.post("/pull_messages", peer_id="reader", topic="small")
    assert ended(waiting)[0] == 0


def test_a_peer_node_publishes_for_its_peer(index: Api) -> None:
    index.subscriber("reader", "news")
    with start_node("peer1", index.url) as node:
        peerbus = CommandLine(node.url)
        peerbus.says("publish", "news", "hello")
        peerbus.says("publish", "news", "again", "--peer-id", "peer1")
        assert peerbus.refused(1, "publish", "news", "no", "--peer-id", "peer2").startswith("error: peer_mismatch: ")
    assert published(index) == ["hello", "again"]
