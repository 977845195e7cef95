"""What every row refuses alike: methods, paths, bodies, fields."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from peerbus.errors import CATALOGUE
from tests.support.connections import JSON, Connection, RawReply, call, request
from tests.support.endpoints import EXAMPLES, PEER, ROWS, TOPIC, Row, name_of
from tests.support.harness import Api
from tests.support.servers import serve

SMALL_BODY = 1000
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
NOT_ALLOWED = [(row, method) for row in ROWS for method in METHODS if method != row.method]
POSTS = [row for row in ROWS if row.method == "POST"]
QUERIES = [row for row in ROWS if row.method != "POST"]

FIELDS = [
    (row, field.encode_name)
    for row in ROWS
    for field in msgspec.structs.fields(row.request)
    if field.encode_name != "message"  # any value is one
]
NO_VALUES: list[Any] = [{}, True]
YES_OR_NO = {"all", "attempted", "details", "end", "keep"}
"""The fields for which `True` is a value."""
WRONG_TYPES = [
    (row, name, value) for row, name in FIELDS for value in NO_VALUES if value is not True or name not in YES_OR_NO
]
REQUIRED = [(row, field.encode_name) for row in ROWS for field in msgspec.structs.fields(row.request) if field.required]

BAD_BODIES = {
    "an array": (b"[]", "Expected object, got array - at $"),
    "a string": (b'"topic"', "Expected object, got str - at $"),
    "a number": (b"1", "Expected object, got int - at $"),
    "null": (b"null", "Expected object, got null - at $"),
    "single quotes": (b"{'topic': 'news'}", "not valid JSON"),
    "only spaces": (b"  ", "not valid JSON"),
    "a byte order mark": (b'\xef\xbb\xbf{"topic": "news"}', "not valid JSON"),
    "a form": (b"topic=news", "not valid JSON"),
    "not UTF-8": (b'{"topic": "\xff"}', "not UTF-8"),
    "UTF-16": ('{"topic": "é"}'.encode("utf-16"), "not UTF-8"),
}
MISWRITTEN: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda good: good[:-1],
    "two values": lambda good: good + b"{}",
    "a trailing comma": lambda good: good[:-1] + b",}",
}
BAD_MESSAGES = {
    "not UTF-8": (b'"\xff"', "not UTF-8"),
    "half a surrogate pair": (rb'"\ud800"', "not valid JSON"),
    "a control character": (b'"\x01"', "not valid JSON"),
    "NaN": (b"NaN", "not valid JSON"),
    "a number with a leading zero": (b"01", "not valid JSON"),
    "nested too deeply": (b"[" * 250 + b"]" * 250, "nested at most 200 levels deep"),
    "nothing": (b"", "not valid JSON"),
}
BAD_VALUES = [
    ("/register_peer_node", {"peer_id": ""}, "peer_id"),
    ("/register_peer_node", {"peer_id": "a" * 129}, "peer_id"),
    ("/register_peer_node", {"peer_id": "-a"}, "peer_id"),
    ("/register_peer_node", {"peer_id": "a b"}, "peer_id"),
    ("/register_peer_node", {"peer_id": "a\n"}, "peer_id"),
    ("/register_peer_node", {"peer_id": "é"}, "peer_id"),
    ("/register_peer_node", {"peer_id": "a", "address": "localhost:5001"}, "address"),
    ("/register_peer_node", {"peer_id": "a", "address": "http://\x1c"}, "address"),
    ("/register_peer_node", {"peer_id": "a", "address": "http://\u2003"}, "address"),
    ("/register_peer_node", {"peer_id": "a", "address": "http:///path"}, "address"),
    ("/register_peer_node", {"peer_id": "a", "lease_seconds": 0}, "lease_seconds"),
    ("/register_peer_node", {"peer_id": "a", "lease_seconds": 86_401}, "lease_seconds"),
    ("/create_topic", {"topic": "news", "max_messages": 0}, "max_messages"),
    ("/create_topic", {"topic": "news", "max_messages": 10**30}, "max_messages"),
    ("/create_topic", {"topic": "news", "overflow": "block"}, "overflow"),
    ("/create_topic", {"topic": "news", "history": -1}, "history"),
    ("/publish", {"topic": "news", "messages": []}, "messages"),
    ("/seek", {"peer_id": "peer1", "topic": "news", "to": -1}, "to"),
    ("/seek", {"peer_id": "peer1", "topic": "news", "to": 99}, "to"),
    ("/seek", {"peer_id": "peer1", "topic": "news", "to": "yesterday"}, "to"),
    ("/seek", {"peer_id": "peer1", "topic": "news", "to": {"time": 1e12}}, "to.time"),
    ("/seek", {"peer_id": "peer1", "topic": "news", "to": {"time": "noon"}}, "to.time"),
    ("/subscribe", {"peer_id": "peer1", "topic": "news", "expires_after": -1}, "expires_after"),
    ("/subscribe", {"peer_id": "peer1", "topic": "news", "expires_after": 1e9}, "expires_after"),
    ("/unsubscribe", {"peer_id": "peer1", "topic": "news", "group": "g"}, "group"),
    ("/redrive", {"topic": "news", "all": True}, "topic"),
    ("/publish", {"topic": "news", "message": 1, "delay": 0}, "delay"),
    ("/publish", {"topic": "news", "message": 1, "delay": 2_592_001}, "delay"),
    ("/publish", {"topic": "news", "message": 1, "at": -1}, "at"),
    ("/publish", {"topic": "news", "message": 1, "at": 0}, "at"),
    ("/publish", {"topic": "news", "message": 1, "at": 10**17}, "at"),
    ("/cancel_scheduled", {"topic": "news", "ids": [-1]}, "ids[0]"),
    ("/subscribe", {"peer_id": "peer1", "topic": "news", "from": -1}, "from"),
    ("/subscribe", {"peer_id": "peer1", "topic": "news", "from": "first"}, "from"),
    ("/pull_messages", {"peer_id": "peer1", "topic": "news", "max_messages": 0}, "max_messages"),
    ("/pull_messages", {"peer_id": "peer1", "topic": "news", "wait": -1}, "wait"),
    ("/pull_messages", {"peer_id": "peer1", "topic": "news", "wait": 60.5}, "wait"),
    ("/extend_messages", {"peer_id": "peer1", "topic": "news", "up_to": 0, "seconds": 0}, "seconds"),
    ("/extend_messages", {"peer_id": "peer1", "topic": "news", "up_to": 0, "seconds": -1}, "seconds"),
    ("/extend_messages", {"peer_id": "peer1", "topic": "news", "up_to": 0, "seconds": 43_200.5}, "seconds"),
    ("/extend_messages", {"peer_id": "peer1", "topic": "news", "up_to": 0, "seconds": "10"}, "seconds"),
    ("/extend_messages", {"peer_id": "peer1", "topic": "news", "up_to": -1, "seconds": 1}, "up_to"),
    ("/nack_messages", {"peer_id": "peer1", "topic": "news", "up_to": 0, "attempted": 0}, "attempted"),
    ("/nack_messages", {"peer_id": "peer1", "topic": "news", "up_to": 0, "attempted": "no"}, "attempted"),
]
BAD_QUERIES = [
    ("GET", "/query_peers?topic=a&topic=b", "Expected one value, got several - at $.topic"),
    ("DELETE", "/delete_topic?topic=a&topic=a", "Expected one value, got several - at $.topic"),
    ("GET", "/query_peers", "Object missing required field topic - at $"),
    ("GET", "/query_peers?topic=", " - at $.topic"),
    ("GET", "/query_peers?topic=%ff", " - at $.topic"),
    ("GET", "/query_peers?topic=a%0a", " - at $.topic"),
    ("GET", "/topics?limit=few", "Expected int, got str - at $.limit"),
    ("GET", "/topics?limit=0", "Expected int >= 1 - at $.limit"),
    ("GET", "/peers?limit=1001", "Expected int <= 1000 - at $.limit"),
    ("GET", "/peers?limit=" + "9" * 5000, " - at $.limit"),
    ("GET", "/topics?order=size", " - at $.order"),
    ("GET", "/subscriptions", "Object missing required field topic (or peer_id) - at $"),
    ("GET", "/messages?topic=a&max_bytes=0", "Expected int >= 1 - at $.max_bytes"),
    ("GET", "/scheduled?topic=a&after=7", "Expected the next of a page - at $.after"),
    ("GET", "/scheduled?topic=a&after=1-", " - at $.after"),
]


def refusal(reply: RawReply, status: int, code: str) -> str:
    """The sentence of a refusal, once all else about it is as it must be."""
    assert reply.headers["content-type"] == "application/json"
    body = reply.json()
    assert (reply.status, set(body), body["code"]) == (status, {"code", "message"}, code), body
    return str(body["message"])


def send(api: Api, row: Row, fields: Any) -> RawReply:
    return call(api, row.method, row.path, json.dumps(fields).encode())


@pytest.mark.parametrize(("row", "method"), NOT_ALLOWED, ids=name_of)
def test_another_method_is_refused_with_the_ones_allowed(prepared: Api, row: Row, method: str) -> None:
    reply = call(prepared, method, row.path, b"{}")
    refusal(reply, 405, "method_not_allowed")
    assert reply.headers["allow"] == ("GET, HEAD" if row.method == "GET" else row.method)


@pytest.mark.parametrize("row", ROWS, ids=name_of)
@pytest.mark.parametrize("form", ["{}/", "/{}", "{}//", "//{}", "/x/..{}", "{}x", "{};x", "{}%00", "{}%2f"])
def test_a_path_that_is_not_exactly_a_rows_is_unknown(prepared: Api, row: Row, form: str) -> None:
    reply = call(prepared, row.method, form.format(row.path), json.dumps(EXAMPLES[row.path].fields).encode())
    assert f"{row.method} " in refusal(reply, 404, "not_found")


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_an_unknown_field_is_refused_by_name(prepared: Api, row: Row) -> None:
    reply = send(prepared, row, EXAMPLES[row.path].fields | {"colour": "red"})
    assert refusal(reply, 400, "bad_request") == "Object contains unknown field colour - at $"


@pytest.mark.parametrize("row", QUERIES, ids=name_of)
def test_an_unknown_field_of_a_query_is_refused_by_name(prepared: Api, row: Row) -> None:
    reply = call(prepared, row.method, f"{row.path}?colour=red", headers={})
    assert refusal(reply, 400, "bad_request") == "Object contains unknown field colour - at $"


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_fields_in_body_and_query_string_at_once_are_refused(prepared: Api, row: Row) -> None:
    reply = call(prepared, row.method, f"{row.path}?topic=other", json.dumps(EXAMPLES[row.path].fields).encode())
    assert "query string" in refusal(reply, 400, "bad_request")


@pytest.mark.parametrize(("row", "name", "value"), WRONG_TYPES, ids=name_of)
def test_a_value_of_the_wrong_type_is_refused_with_its_path(prepared: Api, row: Row, name: str, value: Any) -> None:
    sentence = refusal(send(prepared, row, EXAMPLES[row.path].fields | {name: value}), 400, "bad_request")
    assert sentence.startswith(("Expected ", "Object missing required field "))
    assert sentence.endswith(f" - at $.{name}")


@pytest.mark.parametrize(("path", "fields", "name"), BAD_VALUES, ids=repr)
def test_a_value_out_of_bounds_is_refused_with_its_path(
    prepared: Api, path: str, fields: dict[str, Any], name: str
) -> None:
    reply = call(prepared, "POST", path, json.dumps(fields).encode())
    assert f" - at $.{name}" in refusal(reply, 400, "bad_request")


@pytest.mark.parametrize(("row", "name"), REQUIRED, ids=name_of)
def test_a_missing_field_is_refused_by_name(prepared: Api, row: Row, name: str) -> None:
    fields = {key: value for key, value in EXAMPLES[row.path].fields.items() if key != name}
    sentence = refusal(send(prepared, row, fields), 400, "bad_request")
    assert sentence == f"Object missing required field {name} - at $"


@pytest.mark.parametrize("fields", [{}, {"message": 1, "messages": [2]}], ids=["neither", "both"])
def test_a_publish_takes_either_message_or_messages(prepared: Api, fields: dict[str, Any]) -> None:
    reply = call(prepared, "POST", "/publish", json.dumps({"topic": "news"} | fields).encode())
    assert "messages" in refusal(reply, 400, "bad_request")


@pytest.mark.parametrize("headers", [JSON, {}], ids=["as JSON", "as nothing"])
@pytest.mark.parametrize("row", POSTS, ids=name_of)
def test_an_empty_body_has_no_fields(prepared: Api, row: Row, headers: dict[str, str]) -> None:
    reply = call(prepared, row.method, row.path, b"", headers)
    assert "Object missing required field" in refusal(reply, 400, "bad_request")


@pytest.mark.parametrize("row", ROWS, ids=name_of)
@pytest.mark.parametrize("kind", BAD_BODIES)
def test_a_body_that_is_no_json_object_is_refused(prepared: Api, row: Row, kind: str) -> None:
    body, fault = BAD_BODIES[kind]
    assert fault in refusal(call(prepared, row.method, row.path, body), 400, "bad_request")


@pytest.mark.parametrize("row", ROWS, ids=name_of)
@pytest.mark.parametrize("kind", MISWRITTEN)
def test_a_body_that_is_malformed_json_is_refused(prepared: Api, row: Row, kind: str) -> None:
    body = MISWRITTEN[kind](json.dumps(EXAMPLES[row.path].fields).encode())
    assert "not valid JSON" in refusal(call(prepared, row.method, row.path, body), 400, "bad_request")


@pytest.mark.parametrize("kind", BAD_MESSAGES)
@pytest.mark.parametrize("form", [b'{"topic": "news", "message": %s}', b'{"topic": "news", "messages": [1, %s]}'])
def test_a_message_that_is_no_json_value_is_refused(prepared: Api, kind: str, form: bytes) -> None:
    value, fault = BAD_MESSAGES[kind]
    assert fault in refusal(call(prepared, "POST", "/publish", form % value), 400, "bad_request")
    assert prepared.get("/stats").body["stats"]["published"] == 0


@pytest.mark.parametrize(
    ("path", "fields", "expected"),
    [
        ("/create_topic", {"overflow": "block"}, "'drop_oldest' or 'reject', got 'block' - at $.overflow"),
        ("/subscribe", {"peer_id": "a", "ack": "manual"}, "'auto' or 'explicit', got 'manual' - at $.ack"),
        ("/subscribe", {"peer_id": "a", "from": "now"}, "'earliest' or 'latest' or int, got 'now' - at $.from"),
    ],
)
def test_a_word_that_is_none_of_a_few_is_refused_with_those(
    prepared: Api, path: str, fields: dict[str, Any], expected: str
) -> None:
    body = json.dumps({"topic": "news"} | fields).encode()
    assert refusal(call(prepared, "POST", path, body), 400, "bad_request") == f"Expected {expected}"


def test_a_message_nested_too_deeply_is_named(prepared: Api) -> None:
    limit, beyond = (b"[" * levels + b"]" * levels for levels in (200, 201))
    body = b'{"topic": "news", "messages": [%s, {"deep": 1}, %s]}'
    assert call(prepared, "POST", "/publish", body % (limit, limit)).status == 200
    assert refusal(call(prepared, "POST", "/publish", body % (limit, beyond)), 400, "bad_request").endswith(
        " - at $.messages[2]"
    )


@pytest.mark.parametrize(("method", "path", "fault"), BAD_QUERIES)
def test_a_bad_query_is_refused_with_the_path_of_the_fault(prepared: Api, method: str, path: str, fault: str) -> None:
    assert refusal(call(prepared, method, path, headers={}), 400, "bad_request").endswith(fault)


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_a_body_that_does_not_say_it_is_json_is_refused(prepared: Api, row: Row, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    reply = call(prepared, row.method, row.path, b"{}", headers)
    assert "Content-Type: application/json" in refusal(reply, 415, "unsupported_media_type")


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
@pytest.mark.parametrize(("size", "taken"), [(SMALL_BODY, True), (SMALL_BODY + 1, False), (5 << 20, False)])
def test_a_body_is_taken_up_to_the_limit(way: str, chunked: bool, size: int, taken: bool) -> None:
    body = b'{"topic": "news"}'.ljust(size)
    data = (part for part in (body[:10], body[10:])) if chunked else body
    with serve(way, max_body=SMALL_BODY) as api:
        reply = api.send("POST", "/create_topic", data=data, headers=JSON)
        assert reply.status == (200 if taken else 413)
        assert reply.body.get("code") == (None if taken else "too_large")
        assert len(api.get("/topics").body["topics"]) == taken


def test_a_body_declared_too_large_is_refused_before_it_is_sent(way: str) -> None:
    with serve(way, max_body=SMALL_BODY) as api, Connection(api.url) as connection:
        connection.send(request("POST", "/publish", length=SMALL_BODY + 1))
        assert str(SMALL_BODY) in refusal(connection.reply(), 413, "too_large")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/publish", {"topic": "news", "messages": [1] * 100_001}),
        ("/ack_messages", PEER | TOPIC | {"offsets": [1] * 100_001}),
        ("/nack_messages", PEER | TOPIC | {"offsets": [0], "attempts": [1] * 100_001}),
        ("/extend_messages", PEER | TOPIC | {"offsets": [1] * 100_001, "seconds": 1}),
    ],
)
def test_one_call_names_only_so_many(prepared: Api, path: str, fields: dict[str, Any]) -> None:
    reply = prepared.post(path, **fields)
    assert (reply.status, reply.body["code"]) == (400, "bad_request")
    assert "length <= 100000" in reply.body["message"]


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417, "expectation_failed"),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 100 + b"\r\n", 431, "head_too_large"),
        (b"GET /" + b"a" * 70_000, 431, "head_too_large"),
        (
            b"POST /publish HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            501,
            "transfer_not_supported",
        ),
        (b"GET /livez HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version_not_supported"),
        (b"GET livez HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_with_a_code_of_its_status(
    prepared: Api, sent: bytes, status: int, code: str
) -> None:
    with Connection(prepared.url) as connection:
        connection.send(sent)
        reply = connection.reply()
    assert (reply.status, reply.json()["code"], CATALOGUE[code].status) == (status, code, status)
    assert reply.headers["content-type"] == "application/json"
    assert "date" in reply.headers
