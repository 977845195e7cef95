"""Calls that fail leave no cycles: only the garbage collector would free them, and it stops everything meanwhile."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from peerbus.errors import PeerbusError
from peerbus.future import Future
from peerbus.http.types import Request
from peerbus.http.upstream.errors import UpstreamError
from tests.support.harness import Api, start_index, start_node
from tests.support.servers import Restartable

CALLS = 20
KINDS = (PeerbusError, UpstreamError, Future, Request)
REFUSED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a topic that does not exist": ("POST", "/pull_messages", {"topic": "absent"}),
    "no subscription": ("POST", "/pull_messages", {"topic": "news"}),
    "another peer": ("POST", "/pull_messages", {"topic": "news", "peer_id": "other"}),
    "a wrong field": ("POST", "/register_peer_node", {"lease_seconds": -1}),
    "an own call": ("POST", "/notify", {"x": 1}),
    "no call": ("GET", "/nothing", {}),
    "a stream": ("GET", "/stream?topic=absent", {}),
    "a stream of the server": ("GET", "/stream?topic=absent&peer_id=peer1", {}),
}
LOST: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a call": ("POST", "/publish", {"topic": "news", "message": 1}),
    "a query": ("GET", "/topics", {}),
    "a registration": ("POST", "/register_peer_node", {}),
    "a stream": ("GET", "/stream?topic=news", {}),
}


def in_memory() -> int:
    return sum(isinstance(each, KINDS) for each in gc.get_objects())


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nothing is collected."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left_by(api: Api, method: str, path: str, fields: dict[str, Any]) -> int:
    """Objects left by some calls, beyond those that one call leaves until the next."""
    options = {"json": fields} if method == "POST" else {}
    assert api.send(method, path, **options).status >= 400
    before = in_memory()
    for _ in range(CALLS):
        api.send(method, path, **options)
    return in_memory() - before


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("call", REFUSED)
def test_a_call_that_is_refused_leaves_nothing(index: Api, call: str) -> None:
    with start_node("peer1", index.url) as node:
        node.post("/create_topic", topic="news")
        assert left_by(index if "server" in call else node, *REFUSED[call]) < CALLS


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("call", LOST)
def test_a_call_that_does_not_reach_the_server_leaves_nothing(call: str) -> None:
    server = Restartable()
    server.start()
    with start_node("peer1", server.url) as node:
        node.post("/create_topic", topic="news")
        server.stop()
        assert left_by(node, *LOST[call]) < CALLS


@pytest.mark.usefixtures("uncollected")
def test_an_answer_that_is_no_servers_leaves_nothing() -> None:
    with start_index() as index, start_node("peer1", f"{index.url}/nowhere") as node:
        assert left_by(node, "POST", "/publish", {"topic": "news", "message": 1}) < CALLS
