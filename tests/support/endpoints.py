"""The rows of the table of calls, and a valid request for each."""

import json
from typing import Any, NamedTuple

import msgspec

from peerbus.http.docs import examples
from peerbus.wire.endpoints import ENDPOINTS, SERVER_ENDPOINTS, Endpoint
from tests.support.harness import Api

Row = Endpoint
ROWS: tuple[Row, ...] = (*ENDPOINTS, *SERVER_ENDPOINTS)
PEER = {"peer_id": "peer1"}
TOPIC = {"topic": "news"}


class Example(NamedTuple):
    """The fields of a valid request, once a peer is subscribed as `prepare` does, and the names of its answer's."""

    fields: dict[str, Any]
    answer: set[str]


def example_of(row: Row) -> Example:
    fields, answer = (json.loads(msgspec.json.encode(each)) for each in examples.EXAMPLES[row.name])
    return Example(fields, set(answer))


EXAMPLES = {row.path: example_of(row) for row in ROWS}
EIGHT_CALLS: list[tuple[str, str, dict[str, Any] | None, dict[str, Any]]] = [
    ("POST", "/register_peer_node", {"peer_id": "peer1"}, {"peer_id": "peer1", "created": True}),
    ("POST", "/create_topic", {"topic": "news"}, {"topic": "news", "created": True}),
    (
        "POST",
        "/publish",
        {"peer_id": "peer1", "topic": "news", "message": "Breaking news: AI is transforming the world!"},
        {"topic": "news", "offset": 0, "count": 1, "duplicate": False},
    ),
    (
        "POST",
        "/subscribe",
        {"peer_id": "peer1", "topic": "news"},
        {"topic": "news", "peer_id": "peer1", "created": True, "next_offset": 1, "members": 1},
    ),
    (
        "POST",
        "/pull_messages",
        {"peer_id": "peer1", "topic": "news"},
        {"messages": [], "offsets": [], "next_offset": 1, "remaining": 0, "missed": 0},
    ),
    ("GET", "/query_peers?topic=news", None, {"topic": "news", "peers": ["peer1"], "addresses": {}}),
    ("DELETE", "/delete_topic", {"topic": "news"}, {"topic": "news", "notified": [], "discarded": 0}),
    ("POST", "/unregister_peer_node", {"peer_id": "peer1"}, {"peer_id": "peer1", "discarded": 0}),
]
"""A conversation: method, path and fields of each call, and its answer but for the message."""


def prepare(api: Api) -> None:
    api.subscriber("peer1", "news")
    api.post("/create_topic", topic="dead")
    api.post("/subscribe", peer_id="peer1", topic="dead", group="dead-letters")


def name_of(value: object) -> str | None:
    """Names the row in the id of a parametrised test."""
    return value.name if isinstance(value, Endpoint) else None
