"""`peerbus peek`."""

import json

from tests.support.cli import CommandLine
from tests.support.harness import Api


def test_the_last_messages_are_printed_and_stay(index: Api) -> None:
    index.subscriber("a", "news")
    index.post("/publish", topic="news", messages=[0, {"n": 1}, 2], peer_id="a")
    peerbus = CommandLine(index.url)
    assert peerbus.says("peek", "news", "--max", "2") == '{"n": 1}\n2\n'
    assert peerbus.says("peek", "news", "--from", "0", "--max", "1") == "0\n"
    assert index.post("/pull_messages", peer_id="a", topic="news").body["offsets"] == [0, 1, 2]


def test_publishers_and_times_are_printed(index: Api) -> None:
    index.subscriber("a", "news")
    index.post("/publish", topic="news", message=0, peer_id="a")
    index.post("/publish", topic="news", message=1)
    printed = [json.loads(line) for line in CommandLine(index.url).says("peek", "news", "--details").splitlines()]
    times = index.get("/messages", topic="news", details="true").body["published_at"]
    assert printed == [
        {"offset": 0, "publisher": "a", "published_at": times[0], "message": 0},
        {"offset": 1, "publisher": None, "published_at": times[1], "message": 1},
    ]


def test_an_offset_that_has_no_message_yet_is_refused(index: Api) -> None:
    index.post("/create_topic", topic="news")
    peerbus = CommandLine(index.url)
    assert peerbus.says("peek", "news") == ""
    refusal = peerbus.refused(1, "peek", "news", "--from", "0")
    assert refusal.startswith("error: bad_request: Topic 'news' has no messages from offset 0 on yet")
