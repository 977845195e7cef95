"""Limits hold for what the caller sent: what a peer node adds on the way does not count."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from peerbus.http.listener import bind
from peerbus.server import IndexingServer, ServerOptions
from peerbus.server.access import Tokens
from tests.support.connections import Connection, message_in_chunks
from tests.support.harness import Api, serving, start_node

LIMIT = 70_000
PEER = "peer" + "1" * 124
"""The longest id."""
JSON = {"Content-Type": "application/json"}


@contextmanager
def start(**options: Any) -> Iterator[tuple[Api, Api]]:
    """A server and a node with the same limit, and a topic."""
    limit = options.setdefault("max_body", LIMIT)
    token = options["tokens"].enrolment if "tokens" in options else None
    for index in serving(IndexingServer(bind("127.0.0.1", 0), ServerOptions(**options))):
        with start_node(PEER, index.url, max_body=limit, index_token=token) as node:
            assert node.post("/create_topic", topic="t").status == 200
            yield index, node


def publish(size: int, message: str = "") -> bytes:
    """The body of a publish, of so many bytes."""
    begin, end = b'{"topic":"t","message":"%b' % message.encode(), b'"}'
    return begin + b"x" * (size - len(begin) - len(end)) + end


@pytest.mark.parametrize("limit", [200, 60_000, LIMIT, 1 << 20, 16 << 20])
def test_what_the_server_takes_directly_it_takes_through_a_node(limit: int) -> None:
    with start(max_body=limit) as apis:
        for api in apis:
            for less in (2, 1, 0):
                reply = api.send("POST", "/publish", data=publish(limit - less), headers=JSON)
                assert reply.status == 200, reply


@pytest.mark.parametrize("limit", [200, 60_000, LIMIT, 16 << 20])
def test_one_byte_more_is_refused_alike(limit: int) -> None:
    with start(max_body=limit) as apis:
        refused = [api.send("POST", "/publish", data=publish(limit + 1), headers=JSON) for api in apis]
    assert refused[0].status == 413
    assert refused[0][:2] == refused[1][:2]
    assert f"{limit} bytes" in refused[0].body["message"]


def test_a_body_in_chunks_passes_at_the_limit_as_well() -> None:
    with start() as apis:
        for api in apis:
            for more, status in ((0, 200), (1, 413)):
                with Connection(api.url) as connection:
                    connection.send_what_is_taken(message_in_chunks("POST", "/publish", publish(LIMIT + more)))
                    assert connection.reply().status == status


def test_a_server_with_a_smaller_limit_than_the_nodes_names_its_own() -> None:
    for index in serving(IndexingServer(bind("127.0.0.1", 0), ServerOptions(max_body=1000))):
        with start_node(PEER, index.url) as node:
            node.post("/create_topic", topic="t")
            assert node.send("POST", "/publish", data=publish(1000), headers=JSON).status == 200
            directly, through_node = (
                api.send("POST", "/publish", data=publish(1001), headers=JSON) for api in (index, node)
            )
    assert directly.status == 413
    assert directly[:2] == through_node[:2]


def test_all_fields_that_a_node_adds_are_left_out_of_the_count() -> None:
    with start(max_body=1000) as (_, node):
        for path, fields in (
            ("/register_peer_node", {}),
            ("/subscribe", {"topic": "t"}),
            ("/pull_messages", {"topic": "t"}),
        ):
            body = json.dumps(fields).encode()
            padded = b" " * (1000 - len(body)) + body
            assert node.send("POST", path, data=padded, headers=JSON).status == 200


def test_a_token_adds_nothing_that_counts() -> None:
    with start(tokens=Tokens("enrolment-secret")) as (_, node):
        assert node.send("POST", "/publish", data=publish(LIMIT), headers=JSON).status == 200


@pytest.mark.parametrize("said", ["1000000000", "-5", "x", "5, 5", "\xb2", "1" * 5000])
def test_a_caller_that_says_it_added_bytes_gains_a_few_at_most(said: str) -> None:
    with start() as (index, _):
        headers = JSON | {"Peerbus-Added": said}
        assert index.send("POST", "/publish", data=publish(LIMIT), headers=headers).status == 200
        assert index.send("POST", "/publish", data=publish(LIMIT + 5000), headers=headers).status == 413


def test_the_longest_names_pass_in_a_query() -> None:
    with start() as (_, node):
        reply = node.get("/query_peers", topic="t" * 128)
        assert (reply.status, reply.body["code"]) == (404, "topic_not_found")
        too_long = node.get("/query_peers", topic="t" * 66_000)
        assert (too_long.status, too_long.body["code"]) == (431, "head_too_large")


def test_a_head_that_is_too_large_only_for_the_server_is_the_callers_fault_as_well() -> None:
    with start() as (_, node), Connection(node.url) as connection:
        head = b"GET /query_peers?topic=%b HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.send(head % (b"t" * ((64 << 10) - len(head) + 6)))
        reply = connection.reply()
        assert (reply.status, reply.json()["code"]) == (431, "head_too_large")
