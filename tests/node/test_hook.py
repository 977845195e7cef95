"""A peer node passes messages that the server pushes on to its application's hook."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import time
from typing import Any

import pytest

from peerbus.http.listener import bind
from peerbus.node import NodeOptions, PeerNode
from peerbus.server import IndexingServer, ServerOptions
from peerbus.server.access import Tokens
from peerbus.server.pusher import Pauses
from peerbus.wire.signature import HEADER, sign
from tests.support.harness import Api, eventually, free_port, serving
from tests.support.receivers import OK, Answer, receiver
from tests.support.servers import Restartable

AT_ONCE = Pauses(after_failures=(0.0,), least=0.0, most=0.0)
"""Pauses that end at once."""


@contextmanager
def start_server(tokens: Tokens | None = None) -> Iterator[Api]:
    yield from serving(IndexingServer(bind("127.0.0.1", 0), ServerOptions(pauses=AT_ONCE, tokens=tokens)))


@contextmanager
def start_node(index: Api, push_to: str | None, port: int = 0, **options: Any) -> Iterator[Api]:
    given = NodeOptions(index_url=index.url, push_to=push_to, **options)
    yield from serving(PeerNode("peer1", bind("127.0.0.1", port), given))


@pytest.fixture
def server() -> Iterator[Api]:
    with start_server() as api:
        yield api


def subscribe(node: Api, **options: Any) -> None:
    assert node.post("/create_topic", topic="news").status == 200
    assert node.post("/subscribe", **{"topic": "news", "ack": "explicit", **options}).status == 200


def view(index: Api) -> Any:
    (shown,) = index.get("/subscriptions", topic="news").body["subscriptions"]
    return shown


def test_what_is_pushed_comes_to_the_hook_and_its_answer_settles_it(server: Api) -> None:
    failed, busy = Answer(500), Answer(503, {"Retry-After": "1"})
    with receiver(failed, busy, OK) as hook, start_node(server, hook.url) as node:
        subscribe(node)
        node.post("/publish", topic="news", message={"text": "Grüße"})
        came = [hook.next() for _ in range(3)]
        assert [push.attempts for push in came] == [[1], [2], [2]]
        assert {push.path for push in came} == {"/hook"}
        assert came[2].values == [{"text": "Grüße"}]
        assert came[2].json()["messages"][0]["publisher"] == "peer1"
        assert came[2].headers[HEADER]
        eventually(lambda: view(server)["unread"] == 0)
        assert view(server)["push_to"][0]["url"] == f"{node.url}/push"


@pytest.mark.parametrize("options", [{"ack": "auto"}, {"push_to": None}])
def test_other_subscriptions_are_not_pushed(server: Api, options: dict[str, Any]) -> None:
    with receiver() as hook, start_node(server, hook.url) as node:
        subscribe(node, **options)
        assert view(server)["push_to"] == []


def test_a_subscription_may_name_another_url(server: Api) -> None:
    with receiver() as hook, receiver() as other, start_node(server, hook.url) as node:
        subscribe(node, push_to=other.url)
        node.post("/publish", topic="news", message=1)
        assert other.next().values == [1]
        assert hook.pushes.empty()


def test_a_hook_that_is_down_or_slow_is_told_to_the_server(server: Api) -> None:
    released = threading.Event()
    port = free_port()
    with start_node(server, f"http://127.0.0.1:{port}/hook") as node:
        subscribe(node)
        node.post("/publish", topic="news", messages=[1, 2])
        problem = eventually(lambda: view(server)["push_to"][0]["problem"])
        assert problem == "status 502"
        with receiver(Answer(200, waits=released), OK, port=port) as hook:
            assert hook.next().values == [1]
            released.set()
            assert hook.next().values == [2]
            eventually(lambda: view(server)["unread"] == 0)


BODY = b'{"topic": "news", "messages": []}'
UNSIGNED: dict[str, dict[str, str]] = {
    "no header": {},
    "an empty header": {HEADER: ""},
    "no signature": {HEADER: "t=1,v1=00"},
    "under another secret": {HEADER: sign(BODY, "not-the-secret-of-the-node", time())},
}


@pytest.mark.parametrize("header", UNSIGNED.values(), ids=UNSIGNED)
def test_a_push_that_the_server_did_not_sign_is_refused(server: Api, header: dict[str, str]) -> None:
    with receiver() as hook, start_node(server, hook.url) as node:
        subscribe(node)
        reply = node.send("POST", "/push", data=BODY, headers={"Content-Type": "application/json"} | header)
        assert (reply.status, reply.body["code"]) == (401, "unauthorized")
        assert hook.pushes.empty()


def test_a_push_that_was_changed_is_refused(server: Api) -> None:
    with receiver(Answer(500), OK) as hook, start_node(server, hook.url) as node:
        subscribe(node)
        node.post("/publish", topic="news", message=1)
        came = hook.next()
        headers = {"Content-Type": "application/json", HEADER: came.headers[HEADER]}
        assert node.send("POST", "/push", data=came.body + b" ", headers=headers).status == 401
        assert hook.next().attempts == [2]


def test_a_node_that_runs_anew_takes_pushes_once_it_subscribed(server: Api) -> None:
    """The earlier run's secret is gone; until then nothing counts as an attempt."""
    port = free_port()
    with receiver() as hook:
        with start_node(server, hook.url, port) as node:
            subscribe(node, max_attempts=1)
        assert server.post("/publish", topic="news", message=1).status == 200
        with start_node(server, hook.url, port) as node:
            assert eventually(lambda: view(server)["push_to"][0]["problem"]) == "status 503"
            subscribe(node)
            assert hook.next().attempts == [1]
            eventually(lambda: view(server)["unread"] == 0)


def test_a_node_without_a_hook_takes_no_pushes(server: Api) -> None:
    with start_node(server, None) as node:
        subscribe(node)
        assert view(server)["push_to"] == []
        reply = node.post("/push", topic="news", messages=[])
        assert (reply.status, reply.body["code"]) == (404, "not_found")


def test_pushes_pass_where_server_and_node_ask_for_tokens() -> None:
    with ExitStack() as running:
        server = running.enter_context(start_server(Tokens("to-register" * 4, "of-the-admin" * 4)))
        hook = running.enter_context(receiver())
        started = start_node(server, hook.url, index_token="to-register" * 4, token="of-the-node" * 4)
        node = running.enter_context(started).showing("of-the-node" * 4)
        subscribe(node)
        assert node.post("/publish", topic="news", message=1).status == 200
        assert hook.next().values == [1]
        eventually(lambda: view(server.showing("of-the-admin" * 4))["unread"] == 0)


def test_pushes_go_on_after_the_server_lost_its_memory() -> None:
    restartable = Restartable()
    with receiver() as hook:
        index = restartable.start()
        with start_node(index, hook.url, lease_seconds=0.3) as node:
            subscribe(node)
            index = restartable.restart()
            eventually(lambda: index.post("/create_topic", topic="news").status == 200)
            eventually(lambda: index.get("/subscriptions", topic="news").body["subscriptions"])
            assert index.post("/publish", topic="news", message=1).status == 200
            assert hook.next().values == [1]
        restartable.stop()
