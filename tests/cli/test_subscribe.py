"""`peerbus subscribe`, `pull`, `ack`, `nack` and `extend`: what is printed of a topic, and what becomes of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import CommandLine
from tests.support.harness import Api, eventually, start_node


@pytest.fixture
def peerbus(index: Api) -> CommandLine:
    """A server with the topic `news`, in which there are three messages."""
    index.post("/create_topic", topic="news")
    index.post("/publish", topic="news", messages=["a", ["b"], None])
    return CommandLine(index.url)


def details(said: str) -> list[tuple[int, int | None, Any]]:
    """Offset, attempt and value of the messages that were printed."""
    found = [json.loads(line) for line in said.splitlines()]
    return [(each["offset"], each.get("attempt"), each["message"]) for each in found]


def peer_ids(index: Api) -> list[str]:
    return [peer["peer_id"] for peer in index.get("/peers").body["peers"]]


def test_what_is_there_is_printed_and_the_peer_is_gone(peerbus: CommandLine, index: Api) -> None:
    for _ in range(2):
        assert peerbus.says("subscribe", "news") == '"a"\n["b"]\nnull\n'
    assert peer_ids(index) == []


def test_a_peer_that_is_named_goes_on_where_it_stood(peerbus: CommandLine, index: Api) -> None:
    assert peerbus.says("subscribe", "news", "--peer-id", "me", "--max", "2") == '"a"\n["b"]\n'
    assert peerbus.says("subscribe", "news", "--peer-id", "me") == "null\n"
    assert peerbus.says("subscribe", "news", "--peer-id", "me") == ""
    assert peer_ids(index) == ["me"]
    assert peerbus.says("unsubscribe", "news", "--peer-id", "me").startswith("Peer 'me' is no longer subscribed")
    assert peerbus.says("unregister", "--peer-id", "me") == "Peer 'me' is unregistered.\n"
    assert peer_ids(index) == []


def test_a_queue_begins_where_it_is_told_to_and_is_moved_by_seek(peerbus: CommandLine) -> None:
    assert peerbus.says("subscribe", "news", "--peer-id", "me", "--from", "1", "--max", "1").count("\n") == 1
    assert peerbus.says("subscribe", "news", "--peer-id", "me", "--from", "earliest") == "null\n"
    assert peerbus.says("seek", "news", "0", "--peer-id", "me") == "Peer 'me' continues at offset 0 of topic 'news'.\n"
    assert peerbus.says("pull", "news", "--peer-id", "me").count("\n") == 3
    assert peerbus.refused(2, "seek", "news", "noon", "--peer-id", "me").startswith("error: ")
    assert peerbus.refused(2, "seek", "news", "--peer-id", "me").startswith("error: Name either")
    assert "offset 0 " in peerbus.says("seek", "news", "--time", "2020-01-31T18:00", "--peer-id", "me")
    assert "offset 3 " in peerbus.says("seek", "news", "latest", "--peer-id", "me")
    assert peerbus.refused(1, "seek", "news", "99", "--peer-id", "me").startswith("error: bad_request: ")


def test_message_queues_are_listed_and_ended(peerbus: CommandLine, index: Api) -> None:
    peerbus.says("subscribe", "news", "--peer-id", "me", "--group", "g", "--expires-after", "60")
    peerbus.says("unregister", "--peer-id", "me", "--keep")
    index.post("/publish", topic="news", message=1)
    queue = json.loads(peerbus.says("subscriptions", "news", "--json"))["queue"]
    assert queue == "group g"
    assert "group g" in peerbus.says("subscriptions", "news")
    assert "1 message" in peerbus.says("unsubscribe", "news", "--group", "g")


def test_dead_letters_are_published_again(peerbus: CommandLine) -> None:
    limits = ("--ack", "explicit", "--max-attempts", "1", "--dead-letter-topic", "dead", "--max", "1")
    peerbus.says("create", "jobs", "--history", "0")
    peerbus.says("subscribe", "jobs", "--peer-id", "w", *limits)
    peerbus.says("publish", "jobs", "7")
    peerbus.says("pull", "jobs", "--peer-id", "w")
    peerbus.says("nack", "jobs", "0", "--peer-id", "w")
    assert peerbus.says("redrive", "dead", "--all") == "1 message of topic 'dead' published again.\n"
    assert peerbus.says("pull", "jobs", "--peer-id", "w") == '"7"\n'
    assert peerbus("redrive", "dead", "0").exit_code == 1
    assert peerbus.refused(2, "redrive", "dead").startswith("error: Name either OFFSETS or --all.")


def test_what_is_not_acknowledged_is_dealt_with_as_the_subscription_says(peerbus: CommandLine, index: Api) -> None:
    index.post("/create_topic", topic="dead")
    limits = ("--ack-deadline", "3600", "--max-attempts", "1", "--dead-letter-topic", "dead")
    peerbus.says(
        "subscribe", "news", "--peer-id", "me", "--from", "earliest", "--ack", "explicit", *limits, "--max", "1"
    )
    peerbus.says("pull", "news", "--peer-id", "me")
    peerbus.says("nack", "news", "1", "--peer-id", "me")
    assert json.loads(eventually(lambda: peerbus.says("subscribe", "dead")))["offset"] == 1
    (kept,) = index.get("/subscriptions", peer_id="me").body["subscriptions"]
    assert (kept["ack_deadline"], kept["max_attempts"], kept["dead_letter_topic"]) == (3600, 1, "dead")


def test_messages_are_one_line_each_and_otherwise_as_they_were_published(peerbus: CommandLine, index: Api) -> None:
    values = [b'{"a":  1.10}', b'[1,\n 2,\r\n "\\n"]', b"12345678901234567890123", '"\u2028ü"'.encode()]
    body = b'{"topic": "news", "messages": [' + b",".join(values) + b"]}"
    index.session.post(f"{index.url}/publish", data=body, headers={"Content-Type": "application/json"})
    printed = peerbus("subscribe", "news", "--from", "3").stdout_bytes
    assert printed.split(b"\n") == [values[0], b'[1,2,"\\n"]', *values[2:], b""]


def test_more_than_one_pull_brings_is_printed_whole(peerbus: CommandLine, index: Api) -> None:
    index.subscriber("me", "news")
    index.post("/publish", topic="news", messages=list(range(2500)))
    assert peerbus.says("subscribe", "news", "--peer-id", "me") == "".join(f"{number}\n" for number in range(2500))


def test_what_is_printed_is_acknowledged(peerbus: CommandLine, index: Api) -> None:
    said = peerbus.says("subscribe", "news", "--peer-id", "me", "--ack", "explicit", "--max", "2", "--details")
    assert details(said) == [(0, 1, "a"), (1, 1, ["b"])]
    assert index.get("/stats").body["stats"]["acknowledged"] == 2
    assert (
        peerbus.says("subscribe", "news", "--peer-id", "me", "--details") == '{"offset":2,"attempt":1,"message":null}\n'
    )


def test_a_group_shares_the_messages(peerbus: CommandLine) -> None:
    both = [
        peerbus.says("subscribe", "news", "--group", "g", "--peer-id", peer, "--max", "2").splitlines()
        for peer in ("one", "two")
    ]
    assert both == [['"a"', '["b"]'], ["null"]]


def test_messages_in_other_hands_are_not_waited_for(peerbus: CommandLine, index: Api) -> None:
    index.post("/register_peer_node", peer_id="other")
    index.post("/subscribe", peer_id="other", topic="news", group="g", ack="explicit", **{"from": "earliest"})
    index.post("/pull_messages", peer_id="other", topic="news", max_messages=2)
    assert peerbus.says("subscribe", "news", "--group", "g") == "null\n"


def test_lost_messages_are_remarked_on(peerbus: CommandLine, index: Api) -> None:
    index.post("/create_topic", topic="small", max_messages=1, overflow="drop_oldest")
    index.subscriber("me", "small")
    index.post("/publish", topic="small", messages=[1, 2, 3])
    result = peerbus("pull", "small", "--peer-id", "me")
    assert (result.exit_code, result.stdout) == (0, "3\n")
    assert result.stderr == "warning: 2 messages lost before they could be pulled.\n"


def test_pulling_needs_a_subscription(peerbus: CommandLine, index: Api) -> None:
    index.post("/register_peer_node", peer_id="me")
    assert peerbus.refused(1, "pull", "news", "--peer-id", "me").startswith("error: not_subscribed: ")
    assert peerbus.refused(1, "pull", "news", "--peer-id", "you").startswith("error: peer_not_found: ")


def test_pulled_messages_are_settled_by_their_offsets(peerbus: CommandLine, index: Api) -> None:
    index.post("/register_peer_node", peer_id="me")
    index.post("/subscribe", peer_id="me", topic="news", ack="explicit", **{"from": "earliest"})
    me = ("news", "--peer-id", "me")
    assert details(peerbus.says("pull", *me, "--max", "2", "--details")) == [(0, 1, "a"), (1, 1, ["b"])]
    assert peerbus.says("ack", *me, "0") == "1 message acknowledged.\n"
    assert peerbus.says("nack", *me, "--up-to", "1") == "1 message rejected.\n"
    assert details(peerbus.says("pull", *me, "--details")) == [(1, 2, ["b"]), (2, 1, None)]
    assert peerbus.says("nack", *me, "--up-to", "2", "--untouched") == "2 messages handed back.\n"
    assert details(peerbus.says("pull", *me, "--details")) == [(1, 2, ["b"]), (2, 1, None)]
    assert peerbus.says("nack", *me, "2", "--delay", "3600") == "1 message rejected.\n"
    assert peerbus.says("pull", *me) == ""
    assert peerbus.says("extend", *me, "1", "2", "--seconds", "90.5") == "2 messages extended for 90.5 seconds.\n"
    assert peerbus.says("extend", *me, "--up-to", "1", "--seconds", "60") == "1 message extended for 60 seconds.\n"
    assert peerbus.says("ack", *me, "--up-to", "2") == "2 messages acknowledged.\n"
    for settle in (["ack"], ["nack"], ["extend", "--seconds", "60"]):
        done = peerbus(*settle, *me, "0")
        assert (done.exit_code, done.stderr) == (1, "")
        assert "1 stale" in done.stdout


def test_a_waiting_pull_prints_what_comes(peerbus: CommandLine, index: Api) -> None:
    index.subscriber("me", "news")
    published = index.in_background("POST", "/publish", topic="news", message="late")
    assert peerbus.says("pull", "news", "--peer-id", "me", "--wait", "30") == '"late"\n'
    assert published.result().status == 200


@pytest.mark.usefixtures("peerbus")
def test_at_a_peer_node_it_is_the_nodes_peer_which_stays(index: Api) -> None:
    with start_node("peer1", index.url, lease_seconds=600.0) as node:
        through = CommandLine(node.url)
        assert through.says("subscribe", "news", "--max", "2") == '"a"\n["b"]\n'
        assert through.says("pull", "news", "--details") == '{"offset":2,"message":null}\n'
        assert through.says("subscribe", "news") == ""
        assert through.refused(1, "subscribe", "news", "--peer-id", "me").startswith("error: peer_mismatch: ")
        peer = index.get("/peers").body["peers"][0]
        assert (peer["peer_id"], peer["address"], peer["lease_seconds"]) == ("peer1", node.url, 600.0)
        assert through.says("unsubscribe", "news").startswith("Peer 'peer1' is no longer subscribed")


def test_messages_are_pushed_from_a_subscription_that_names_a_url(
    peerbus: CommandLine, index: Api, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s" * 20)
    url = "http://127.0.0.1:9/hook"
    options = ("--push-secret-file", str(secret), "--push-batch", "5", "--push-at-once", "2", "--peer-id", "me")
    said = peerbus.says("subscribe", "news", "--push-to", url, *options)
    assert said == f"New messages of topic 'news' are pushed to {url}.\n"
    (queue,) = index.get("/subscriptions", topic="news").body["subscriptions"]
    assert (queue["queue"], queue["ack"], queue["push_to"][0]["url"]) == ("me", "explicit", url)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--push-to", "http://127.0.0.1:9/hook"), "--peer-id"),
        (("--push-to", "http://127.0.0.1:9/hook", "--follow"), "--follow"),
        (("--push-batch", "5"), "go with --push-to"),
    ],
)
def test_options_of_a_push_that_make_no_sense_are_refused(
    peerbus: CommandLine, options: tuple[str, ...], reason: str
) -> None:
    assert reason in peerbus.refused(2, "subscribe", "news", *options)
