"""What every row of the table answers when it is called well."""

import re

import pytest

from tests.support.connections import JSON, call
from tests.support.endpoints import EIGHT_CALLS, EXAMPLES, ROWS, Row, name_of, prepare
from tests.support.harness import Api


def test_the_eight_calls_answer_in_their_order(api: Api) -> None:
    for method, path, fields, expected in EIGHT_CALLS:
        reply = api.send(method, path, json=fields)
        sentence = reply.body.pop("message")
        if path == "/register_peer_node":
            assert re.fullmatch("[0-9a-f]{32}", reply.body.pop("epoch"))
        assert (reply.status, reply.body) == (200, expected), path
        assert re.fullmatch(r"[A-Z0-9].*\.", sentence)
        assert reply.headers["Content-Type"] == "application/json"


def test_a_pull_that_came_after_the_messages_tells_how_to_replay_them(api: Api) -> None:
    replies = [api.send(method, path, json=fields) for method, path, fields, _ in EIGHT_CALLS[:5]]
    assert 'POST /seek with "to": "earliest"' in replies[4].body["message"]
    again = api.post("/seek", peer_id="peer1", topic="news", to="earliest")
    assert again.body["next_offset"] == 0
    pulled = api.post("/pull_messages", peer_id="peer1", topic="news")
    assert pulled.body["messages"] == ["Breaking news: AI is transforming the world!"]


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_a_valid_request_is_answered_with_a_sentence_and_its_fields(api: Api, row: Row) -> None:
    prepare(api)
    example = EXAMPLES[row.path]
    reply = api.send(row.method, row.path, json=example.fields)
    assert reply.status == 200
    assert set(reply.body) == example.answer
    assert reply.body["message"].endswith(".")


@pytest.mark.parametrize("row", [row for row in ROWS if row.method != "POST"], ids=name_of)
def test_a_call_without_a_body_takes_its_fields_from_the_query_string(api: Api, row: Row) -> None:
    prepare(api)
    reply = api.send(row.method, row.path, params=EXAMPLES[row.path].fields)
    assert reply.status == 200


@pytest.mark.parametrize("where", ["json", "params"])
def test_a_topic_is_deleted_by_body_or_by_query_string(api: Api, where: str) -> None:
    api.post("/create_topic", topic="news")
    assert api.send("DELETE", "/delete_topic", **{where: {"topic": "news"}}).status == 200
    assert api.get("/topics").body["topics"] == []


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_a_body_may_say_in_any_usual_way_that_it_is_json(api: Api, content_type: str) -> None:
    reply = call(api, "POST", "/create_topic", b'{"topic": "news"}', {"Content-Type": content_type})
    assert reply.status == 200


def test_a_chunked_body_is_read_to_its_end(api: Api) -> None:
    chunks = (part for part in (b'{"topic"', b": ", b'"news"', b"}"))
    assert api.send("POST", "/create_topic", data=chunks, headers=JSON).body["created"]
