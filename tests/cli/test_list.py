"""`peerbus topics`, `peers`, `query`, `stats`, `create` and `delete`."""

import json
from datetime import datetime, timedelta

import pytest

from peerbus.cli.output import period, size, table
from tests.support.cli import CommandLine
from tests.support.harness import Api


@pytest.fixture
def peerbus(index: Api) -> CommandLine:
    """A server with two topics, and two peers, one of which has a lease and an address."""
    index.subscriber("alice", "news")
    index.post("/register_peer_node", peer_id="bob", address="http://127.0.0.1:9/", lease_seconds=600)
    for topic in ("news", "jobs"):
        index.post("/create_topic", topic=topic)
        index.post("/subscribe", peer_id="bob", topic=topic)
    index.post("/publish", topic="news", messages=[1, 2, 3])
    index.post("/pull_messages", peer_id="bob", topic="news")
    return CommandLine(index.url)


def cells(said: str) -> list[list[str]]:
    return [line.split() for line in said.splitlines()]


def test_topics_are_listed(peerbus: CommandLine) -> None:
    assert cells(peerbus.says("topics")) == [
        ["TOPIC", "PUBLISHED", "UNREAD", "LOST", "SUBSCRIBERS", "LIMIT", "OVERFLOW"],
        ["jobs", "0", "0", "0", "1", "1000000", "reject"],
        ["news", "3", "3", "0", "2", "1000000", "reject"],
    ]


def test_peers_are_listed(peerbus: CommandLine) -> None:
    heading, alice, bob = cells(peerbus.says("peers"))
    assert heading == ["PEER", "EXPIRES", "IN", "ADDRESS", "TOPICS"]
    assert alice == ["alice", "-", "-", "news"]
    assert (bob[0], 0 < float(bob[1]) <= 10, bob[2:]) == ("bob", True, ["min", "http://127.0.0.1:9/", "news,", "jobs"])


def test_subscribers_are_listed(peerbus: CommandLine) -> None:
    assert cells(peerbus.says("query", "news"))[1:] == [["alice", "-"], ["bob", "http://127.0.0.1:9/"]]
    assert peerbus.refused(1, "query", "none").startswith("error: topic_not_found: ")


def test_what_is_scheduled_is_listed_and_cancelled(peerbus: CommandLine, index: Api) -> None:
    assert peerbus.says("publish", "jobs", "a", "b", "--delay", "3600", "--message-id", "x", "--peer-id", "bob") == (
        "2 messages scheduled for topic 'jobs', with the id 1.\n"
    )
    tomorrow = f"{datetime.now() + timedelta(days=1):%Y-%m-%dT%H:%M}"
    peerbus.says("publish", "jobs", "c", "--at", tomorrow)
    peerbus.says("publish", "jobs", "d", "--at", str(int(datetime.now().timestamp()) + 60))
    heading, *rows = cells(peerbus.says("scheduled", "jobs"))
    assert heading == ["ID", "AT", "MESSAGES", "BYTES", "PEER", "MESSAGE", "ID", "PROBLEM"]
    assert [row[0] for row in rows] == ["3", "1", "2"]
    assert rows[1][2:] == ["2", "6", "bob", "x", "-"]
    assert rows[2][1].startswith(tomorrow)
    assert json.loads(peerbus.says("scheduled", "jobs", "--json").splitlines()[1])["message_id"] == "x"
    assert peerbus.says("cancel", "jobs", "1", "2") == "3 messages of topic 'jobs' cancelled.\n"
    again = peerbus("cancel", "jobs", "2", "3")
    assert (again.exit_code, again.stdout) == (
        1,
        "1 message of topic 'jobs' cancelled. 1 id unknown: published, cancelled before, or never scheduled.\n",
    )
    assert index.get("/scheduled", topic="jobs").body["scheduled"] == []


def test_messages_in_flight_are_listed(index: Api) -> None:
    index.subscriber("a", "jobs")
    index.post("/subscribe", peer_id="a", topic="jobs", ack="explicit", ack_deadline=600)
    index.post("/publish", topic="jobs", messages=[1, 2])
    index.post("/pull_messages", peer_id="a", topic="jobs", max_messages=2)
    index.post("/nack_messages", peer_id="a", topic="jobs", offsets=[1])
    peerbus = CommandLine(index.url)
    heading, first, second = cells(peerbus.says("in-flight", "jobs", "--peer-id", "a"))
    assert heading == ["OFFSET", "HOLDER", "ATTEMPT", "SINCE", "DUE"]
    assert first[:3] == ["0", "a", "1"]
    assert 0 < float(first[4]) <= 600
    assert (second[:3], second[4]) == (["1", "a", "1"], "-")
    (listed,) = peerbus.says("in-flight", "jobs", "--peer-id", "a", "--after", "0", "--json").splitlines()
    assert json.loads(listed)["offset"] == 1


def test_figures_are_shown_with_their_units(peerbus: CommandLine) -> None:
    shown = dict(line.split("  ", 1) for line in peerbus.says("stats").splitlines())
    assert shown["published"].strip() == "3"
    assert shown["uptime"].strip().endswith(" s")
    assert shown["memory"].strip().endswith(("B", "KiB"))


def test_what_a_server_has_none_of_is_a_heading_alone(index: Api) -> None:
    assert CommandLine(index.url).says("peers") == "PEER  EXPIRES IN  ADDRESS  TOPICS\n"
    assert CommandLine(index.url).says("peers", "--json") == ""


@pytest.mark.parametrize(
    ("arguments", "path", "field"), [(["topics"], "/topics", "topics"), (["peers"], "/peers", "peers")]
)
def test_listings_are_lines_of_json(
    peerbus: CommandLine, index: Api, arguments: list[str], path: str, field: str
) -> None:
    listed = [json.loads(line) for line in peerbus.says(*arguments, "--json").splitlines()]
    answered = index.get(path).body[field]
    for each in (*listed, *answered):
        for name in ("expires_in", "oldest_unread_seconds"):
            each.pop(name, None)
    assert listed == answered


def test_subscribers_and_figures_are_lines_of_json(peerbus: CommandLine, index: Api) -> None:
    assert [json.loads(line) for line in peerbus.says("query", "news", "--json").splitlines()] == [
        {"peer_id": "alice", "address": None},
        {"peer_id": "bob", "address": "http://127.0.0.1:9/"},
    ]
    assert json.loads(peerbus.says("stats", "--json")).keys() == index.get("/stats").body["stats"].keys()


def test_listings_go_through_all_pages(peerbus: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peerbus.client.client.PAGE", 1)
    assert [row[0] for row in cells(peerbus.says("topics"))[1:]] == ["jobs", "news"]


def test_an_address_cannot_speak_to_the_terminal(index: Api) -> None:
    index.post("/register_peer_node", peer_id="eve", address="http://localhost/\x1b[2J")
    assert "\x1b" not in CommandLine(index.url).says("peers")


def test_topics_are_created_and_deleted(index: Api) -> None:
    peerbus = CommandLine(index.url)
    assert peerbus.says("create", "news") == "Topic 'news' is created.\n"
    assert peerbus.says("create", "news") == "Topic 'news' existed; it keeps its messages.\n"
    options = ("--max-messages", "5", "--overflow", "drop_oldest", "--max-age", "60")
    peerbus.says("create", "small", *options)
    small = index.get("/topics", after="news").body["topics"][0]
    assert (small["max_messages"], small["overflow"], small["max_age"]) == (5, "drop_oldest", 60.0)
    assert peerbus.refused(1, "create", "news", *options).startswith("error: topic_exists: ")
    assert peerbus.says("delete", "news") == "Topic 'news' is deleted.\n"
    assert [topic["topic"] for topic in index.get("/topics").body["topics"]] == ["small"]


def test_many_topics_are_created(index: Api) -> None:
    peerbus = CommandLine(index.url)
    assert peerbus.says("create", "b", "a", "--history", "5") == "2 topics are created.\n"
    assert peerbus.says("create", "a", "c", "c") == "1 topic is created. 1 existed; it keeps its messages.\n"
    assert peerbus.refused(1, "create", "d", "a", "--history", "6").startswith("error: topic_exists: Topic 'a' exists")
    assert [topic["topic"] for topic in index.get("/topics").body["topics"]] == ["a", "b", "c"]


def test_topics_of_standard_input_are_created(index: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peerbus.cli.manage.AT_ONCE", 2)
    peerbus = CommandLine(index.url)
    assert peerbus.says("create", "-", stdin="a\nb\r\n\n c \nd\ne") == "5 topics are created.\n"
    assert peerbus.says("create", "-", stdin="") == "0 topics are created.\n"
    failed = peerbus("create", "-", stdin=b"e\nf\ng\n\xff\n")
    assert (failed.exit_code, failed.stdout) == (1, "")
    said, fault = failed.stderr.splitlines()
    assert said == "1 topic is created. 1 existed; it keeps its messages. Then:"
    assert fault.startswith("error: bad_request: Expected a name")
    assert [topic["topic"] for topic in index.get("/topics").body["topics"]] == [*"abcdef"]


def test_a_table_has_numbers_to_the_right() -> None:
    assert table(("NAME", "COUNT", "RATE"), [("a", 5, None), ("long one", 1234567, 1.25)]) == [
        "NAME        COUNT  RATE",
        "a               5     -",
        "long one  1234567   1.2",
    ]


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (1 << 20, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (1 << 50, "1048576.0 GiB"),
    ],
)
def test_sizes(count: int, said: str) -> None:
    assert size(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0 s"), (59.4, "59 s"), (119, "1 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_periods(seconds: float, said: str) -> None:
    assert period(seconds) == said
