"""Every number a caller may send fits into all that stores it."""

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from peerbus.http.listener import bind
from peerbus.server import IndexingServer, ServerOptions
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from tests.support.harness import Api, serving

LARGEST = 2**53 - 1
PEER = {"peer_id": "peer1"}
TOPIC = {"topic": "news"}

WHOLE_NUMBERS: dict[str, Callable[[int], tuple[str, dict[str, Any]]]] = {
    "create_topic": lambda number: ("/create_topic", {"topic": "news", "max_messages": number}),
    "subscribe from": lambda number: ("/subscribe", PEER | TOPIC | {"from": number}),
    "subscribe attempts": lambda number: ("/subscribe", PEER | TOPIC | {"ack": "explicit", "max_attempts": number}),
    "pull": lambda number: ("/pull_messages", PEER | TOPIC | {"max_messages": number}),
    "ack offsets": lambda number: ("/ack_messages", PEER | TOPIC | {"offsets": [number]}),
    "ack attempts": lambda number: ("/ack_messages", PEER | TOPIC | {"offsets": [0], "attempts": [number]}),
    "extend seconds": lambda number: ("/extend_messages", PEER | TOPIC | {"up_to": 0, "seconds": number}),
    "ack up_to": lambda number: ("/ack_messages", PEER | TOPIC | {"up_to": number}),
}


@pytest.mark.parametrize("name", WHOLE_NUMBERS)
@pytest.mark.parametrize("number", [LARGEST + 1, 10**30])
def test_a_number_too_large_is_refused_with_its_path(index: Api, name: str, number: int) -> None:
    index.subscriber("peer1", "news")
    path, fields = WHOLE_NUMBERS[name](number)
    reply = index.post(path, **fields)
    assert (reply.status, reply.body["code"]) == (400, "bad_request")
    assert " - at $." in reply.body["message"]


def test_what_numbers_are_taken_can_be_kept_on_disk(tmp_path: Path) -> None:
    server = IndexingServer(bind("127.0.0.1", 0), ServerOptions(), GroupCommit(Storage(tmp_path / "data"), 0))
    with contextmanager(serving)(server) as api:
        api.subscriber("peer1", "news")
        for number in (LARGEST, 10**30):
            api.post("/subscribe", **PEER, **TOPIC, ack="explicit", max_attempts=number)
        assert api.post("/publish", topic="news", message="still taken").status == 200
