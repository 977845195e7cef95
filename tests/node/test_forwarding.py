"""What the indexing server answers through a peer node is what it answers directly."""

import json
from typing import Any

import pytest

from peerbus.wire.endpoints import ENDPOINTS, Endpoint
from tests.node.conftest import Twins, answer
from tests.support.harness import DEADLINE, Api, eventually, start_node

JSON = {"Content-Type": "application/json"}
OWN = {"peer_id": "peer1"}
CALLER = {endpoint.path: OWN if endpoint.has_peer_id else {} for endpoint in ENDPOINTS}
METHOD = {endpoint.path: endpoint.method for endpoint in ENDPOINTS}

CALLS: list[tuple[str, dict[str, Any], int]] = [
    ("/register_peer_node", {"lease_seconds": 60}, 200),
    ("/register_peer_node", {"address": "http://127.0.0.1:9"}, 200),
    ("/register_peer_node", {"address": None, "lease_seconds": None}, 200),
    ("/register_peer_node", {"lease_seconds": 0}, 400),
    ("/unregister_peer_node", {}, 200),
    ("/create_topic", {"topic": "new", "max_messages": 5, "overflow": "drop_oldest"}, 200),
    ("/create_topic", {"topic": "news"}, 200),
    ("/create_topic", {"topic": "news", "overflow": "drop_oldest"}, 409),
    ("/create_topic", {"topic": "a b"}, 400),
    ("/create_topics", {"topics": ["news", "more", "most"], "history": 5}, 409),
    ("/create_topics", {"topics": ["news", "more", "most"]}, 200),
    ("/create_topics", {"topics": ["more", "a b"]}, 400),
    ("/delete_topic", {"topic": "news"}, 200),
    ("/delete_topic", {"topic": "none"}, 404),
    ("/publish", {"topic": "news", "message": {"a": [1, None]}}, 200),
    ("/publish", {"topic": "news", "messages": [1, 2], "message_id": "m1"}, 200),
    ("/publish", {"topic": "news"}, 400),
    ("/publish", {"topic": "none", "message": 1}, 404),
    ("/publish", {"topic": "strict", "message": 1}, 429),
    ("/subscribe", {"topic": "full"}, 200),
    ("/subscribe", {"topic": "full", "from": "earliest"}, 200),
    ("/subscribe", {"topic": "news", "from": "yesterday"}, 400),
    ("/subscribe", {"topic": "none"}, 404),
    ("/subscribe", {"topic": "full", "expires_after": 60}, 200),
    ("/subscribe", {"topic": "full", "expires_after": -1}, 400),
    ("/unregister_peer_node", {"keep": True}, 200),
    ("/seek", {"topic": "news", "to": "earliest"}, 200),
    ("/seek", {"topic": "news", "to": 1}, 200),
    ("/seek", {"topic": "news", "to": 4}, 400),
    ("/seek", {"topic": "news", "to": "yesterday"}, 400),
    ("/seek", {"topic": "full", "to": 0}, 404),
    ("/seek", {"topic": "gone", "to": 0}, 410),
    ("/unsubscribe", {"topic": "news", "end": True}, 200),
    ("/unsubscribe", {"topic": "news", "group": "g", "end": True}, 404),
    ("/unsubscribe", {"topic": "news", "group": "g"}, 400),
    ("/unsubscribe", {"topic": "news"}, 200),
    ("/unsubscribe", {"topic": "full"}, 404),
    ("/unsubscribe", {"topic": "gone"}, 410),
    ("/pull_messages", {"topic": "news"}, 200),
    ("/pull_messages", {"topic": "news", "max_messages": 1, "wait": 1}, 200),
    ("/pull_messages", {"topic": "full"}, 404),
    ("/pull_messages", {"topic": "none"}, 404),
    ("/pull_messages", {"topic": "gone"}, 410),
    ("/pull_messages", {"topic": "news", "wait": 61}, 400),
    ("/pull_messages", {"topic": "news", "wait": 1e300}, 400),
    ("/pull_messages", {"topic": "news", "wait": -1}, 400),
    ("/pull_messages", {"topic": "news", "wait": "long"}, 400),
    ("/subscribe", {"topic": "full", "ack": "explicit", "group": "g", "max_attempts": 3}, 200),
    ("/subscribe", {"topic": "news", "group": "g"}, 409),
    ("/subscribe", {"topic": "full", "max_attempts": 3}, 400),
    ("/ack_messages", {"topic": "news", "offsets": [0], "attempts": [1]}, 200),
    ("/ack_messages", {"topic": "news", "up_to": 5}, 200),
    ("/ack_messages", {"topic": "news"}, 400),
    ("/ack_messages", {"topic": "gone", "up_to": 5}, 410),
    ("/nack_messages", {"topic": "news", "offsets": [0, 1], "delay": 1}, 200),
    ("/nack_messages", {"topic": "news", "offsets": [0], "attempted": False}, 200),
    ("/nack_messages", {"topic": "news", "offsets": [0], "attempts": []}, 400),
    ("/nack_messages", {"topic": "full", "up_to": 0}, 404),
    ("/extend_messages", {"topic": "news", "offsets": [0], "attempts": [1], "seconds": 60}, 200),
    ("/extend_messages", {"topic": "news", "up_to": 5, "seconds": 0.5}, 200),
    ("/extend_messages", {"topic": "news", "up_to": 5, "seconds": 0}, 400),
    ("/extend_messages", {"topic": "news", "up_to": 5}, 400),
    ("/extend_messages", {"topic": "gone", "up_to": 5, "seconds": 1}, 410),
    ("/publish", {"topic": "news", "message": 1, "delay": 60}, 200),
    ("/publish", {"topic": "news", "message": 1, "delay": -1}, 400),
    ("/scheduled", {"topic": "news"}, 200),
    ("/scheduled", {"topic": "none"}, 404),
    ("/cancel_scheduled", {"topic": "news", "ids": [1]}, 200),
    ("/cancel_scheduled", {"topic": "news"}, 400),
    ("/redrive", {"topic": "dead", "all": True}, 200),
    ("/redrive", {"topic": "news", "all": True}, 400),
    ("/redrive", {"topic": "dead"}, 400),
    ("/redrive", {"topic": "none", "offsets": [0]}, 404),
    ("/query_peers", {"topic": "news"}, 200),
    ("/query_peers", {"topic": "none"}, 404),
    ("/topics", {}, 200),
    ("/peers", {}, 200),
    ("/subscriptions", {}, 200),
    ("/subscriptions", {"topic": "news", "order": "unread"}, 200),
    ("/subscriptions", {"topic": "none"}, 404),
    ("/messages", {"topic": "news", "limit": 2}, 200),
    ("/in_flight", {"topic": "news"}, 200),
    ("/in_flight", {"topic": "news", "group": "none"}, 404),
    ("/messages", {"topic": "none"}, 404),
    ("/stats", {}, 200),
]


def test_every_call_is_among_those_compared() -> None:
    assert {path for path, _, _ in CALLS} == set(METHOD)


@pytest.mark.parametrize(("path", "fields", "status"), CALLS)
def test_a_node_answers_as_the_server_does(twins: Twins, path: str, fields: dict[str, Any], status: int) -> None:
    directly = answer(twins.direct, METHOD[path], path, json={**fields, **CALLER[path]})
    through_node = answer(twins.node, METHOD[path], path, json=fields)
    assert through_node == directly
    assert through_node.status == status
    assert ("retry-after" in through_node.headers) == (status == 429)


@pytest.mark.parametrize("path", [path for path in METHOD if CALLER[path]])
def test_the_own_id_in_a_body_changes_nothing(twins: Twins, path: str) -> None:
    fields: dict[str, Any] = {
        "topic": "news",
        "message": 1,
        "up_to": 0,
        "seconds": 1,
        "ids": [1],
        "topics": ["news", "new"],
    }
    own: dict[str, dict[str, Any]] = {"/seek": {"to": 0}, "/redrive": {"topic": "dead", "all": True}}
    fields |= own.get(path, {})
    known = next(endpoint for endpoint in ENDPOINTS if endpoint.path == path).request.__struct_encode_fields__
    body = {"peer_id": "peer1"} | {name: value for name, value in fields.items() if name in known}
    directly, through_node = twins.both(METHOD[path], path, json=body)
    assert through_node == directly
    assert through_node.status == 200


@pytest.mark.parametrize("path", [path for path in METHOD if CALLER[path]])
@pytest.mark.parametrize("other", ["peer2", "Peer1", "", None])
def test_another_peer_id_is_refused(twins: Twins, path: str, other: str | None) -> None:
    reply = twins.node.send(METHOD[path], path, json={"peer_id": other, "topic": "news"})
    assert (reply.status, reply.body["code"]) == (403, "peer_mismatch")
    assert "'peer1'" in reply.body["message"]


@pytest.mark.parametrize("query", ["", "?topic=news", "?limit=5&order=unread", "?topic=n%C3%A9", "?peer_id=peer1"])
def test_the_own_id_is_put_into_a_query_string(twins: Twins, query: str) -> None:
    path = f"/subscriptions{query}"
    separator = "&" if query else "?"
    directly = answer(twins.direct, "GET", path if "peer_id" in query else f"{path}{separator}peer_id=peer1")
    assert answer(twins.node, "GET", path) == directly


@pytest.mark.parametrize("other", ["peer_id=peer2", "peer_id=", "peer_id=peer1&peer_id=peer2", "topic=news&peer_id=x"])
def test_another_peer_id_in_a_query_string_is_refused(twins: Twins, other: str) -> None:
    reply = twins.node.get(f"/subscriptions?{other}")
    assert (reply.status, reply.body["code"]) == (403, "peer_mismatch")


BODIES: dict[str, tuple[bytes, dict[str, str]]] = {
    "malformed": (b'{"topic": "news",}', JSON),
    "cut short": (b'{"topic": "ne', JSON),
    "not an object": (b'["news"]', JSON),
    "null": (b"null", JSON),
    "blank": (b"  ", JSON),
    "fault after whitespace": (b' \n { "topic" :  tru } ', JSON),
    "bad escape": (b'{ "topic": "\\x" }', JSON),
    "unknown field": (b'{ "surprise": 1 }\n', JSON),
    "topic of a wrong type": (b'{"topic": 5}', JSON),
    "id of a wrong type": (b'{"peer_id": 5}', JSON),
    "invalid UTF-8 in a value": (b'{ "topic":  "ne\xffws" }', JSON),
    "invalid UTF-8 in a name": (b'{"to\xffpic": 1}', JSON),
    "nested deeply": (b'{"topic": ' + b"[" * 5000 + b"]" * 5000 + b"}", JSON),
    "no media type": (b'{"topic": "news"}', {}),
    "another media type": (b'{"topic": "news"}', {"Content-Type": "text/plain"}),
    "a media type like JSON": (b'{"topic": "news"}', {"Content-Type": "application/json-seq"}),
}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_a_request_the_server_refuses_is_refused_alike(twins: Twins, endpoint: Endpoint) -> None:
    for what, (body, headers) in BODIES.items():
        directly, through_node = twins.both(endpoint.method, endpoint.path, data=body, headers=headers)
        assert through_node == directly, what
        assert through_node.status in (400, 415), what


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("PATCH", path) for path in METHOD),
        *(("OPTIONS", path) for path in METHOD),
        ("POST", "/query_peers"),
        ("GET", "/publish"),
        ("GET", "/nothing"),
        ("POST", "/publish/"),
        ("POST", "//publish"),
        ("GET", "/nowhere"),
    ],
)
def test_what_is_no_call_is_refused_alike(twins: Twins, method: str, path: str) -> None:
    directly, through_node = twins.both(method, path)
    assert through_node == directly
    assert through_node.status in (404, 405)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/query_peers?topic=news"),
        ("GET", "/query_peers?topic=none"),
        ("GET", "/query_peers?topic=a%20b"),
        ("GET", "/query_peers?topic=news&topic=full"),
        ("GET", "/query_peers"),
        ("GET", "/topics?limit=1&after=full"),
        ("GET", "/topics?limit=0"),
        ("DELETE", "/delete_topic?topic=news"),
        ("DELETE", "/delete_topic?topic=none"),
        ("DELETE", "/delete_topic"),
    ],
)
def test_fields_in_the_query_string_reach_the_server(twins: Twins, method: str, target: str) -> None:
    directly, through_node = twins.both(method, target)
    assert through_node == directly


def test_a_query_beyond_ascii_is_an_error_of_the_caller(twins: Twins) -> None:
    reply = twins.node.send("GET", "/query_peers?topic=\u00e9t\u00e9")
    assert (reply.status, reply.body["code"]) == (400, "bad_request")


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/x-www-form-urlencoded"}])
def test_a_call_without_a_body_is_filled_in(twins: Twins, headers: dict[str, str]) -> None:
    reply = twins.node.send("POST", "/unregister_peer_node", headers=headers)
    assert (reply.status, reply.body["peer_id"]) == (200, "peer1")


def test_an_own_id_with_escapes_is_the_own_id(twins: Twins) -> None:
    body = b'{"peer_id": "p\\u0065er1", "topic": "news", "max_messages": 1}'
    reply = twins.node.send("POST", "/pull_messages", data=body, headers=JSON)
    assert (reply.status, reply.body["messages"]) == (200, [1])


@pytest.mark.parametrize(
    "value",
    [
        '"Gr\u00fc\u00dfe \U0001f600"',
        '"escaped \\u00fc \\ud83d\\ude00 \\/ \\n"',
        '{"b": 1, "a":[ 1.0, 1e2, -0.0 ],  "b": 2}',
        "12345678901234567890123456789",
        "3.141592653589793238462643383279",
        "1e400",
        '"peer_id"',
        '{"peer_id": "someone"}',
        "null",
        json.dumps(["x" * 70_000] * 3),
    ],
)
def test_message_values_pass_byte_for_byte(twins: Twins, value: str) -> None:
    for api in twins:
        body = f'{{"topic": "full", "peer_id": "peer1", "message": {value} }}'.encode()
        assert answer(twins.node, "POST", "/subscribe", json={"topic": "full"}).status == 200
        assert answer(api, "POST", "/publish", data=body, headers=JSON).status == 200
    pulled = answer(twins.node, "POST", "/pull_messages", json={"topic": "full"})
    assert b'"messages":[' + value.encode() + b"]" in pulled.body


@pytest.mark.parametrize("more", ["", ', "%s": 1', ', "topic": "%s"'])
def test_a_large_body_is_taken_or_refused_alike(twins: Twins, more: str) -> None:
    fields = "".join(more % number for number in range(20_000)) if more else ""
    body = f'{{"topic": "news", "message": "{"x" * 100_000}"{fields}}}'
    directly, through_node = twins.both("POST", "/publish", data=body, headers=JSON)
    assert through_node == directly


def test_a_waiting_pull_is_woken_by_a_publish_through_another_node(index: Api) -> None:
    with start_node("peer1", index.url) as reader, start_node("peer2", index.url) as writer:
        writer.post("/create_topic", topic="news")
        reader.post("/subscribe", topic="news")
        waiting = reader.in_background("POST", "/pull_messages", topic="news", wait=60)
        eventually(lambda: index.get("/stats").body["stats"]["waiting_pulls"] == 1)
        assert writer.post("/publish", topic="news", message="now").status == 200
        assert waiting.result(DEADLINE).body["messages"] == ["now"]


def test_a_publish_through_a_node_is_by_its_peer(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        node.post("/create_topic", topic="news")
        assert node.post("/unregister_peer_node").status == 200
        reply = node.post("/publish", topic="news", message=1)
    assert (reply.status, reply.body["code"]) == (404, "peer_not_found")


def test_calls_made_at_once_through_a_node_are_answered_each_with_its_own(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        names = [f"topic{number}" for number in range(40)]
        calls = [node.in_background("POST", "/create_topic", topic=name) for name in names]
        assert [call.result(DEADLINE).body["topic"] for call in calls] == names
