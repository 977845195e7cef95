"""Programs that know the eight calls alone: a JSON body and a connection for each, and a status to go by."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
import requests

from tests.support.harness import DEADLINE, Process, free_port

Run = Callable[..., Process]
Answer = tuple[int, dict[str, Any]]


def call(method: str, url: str, fields: dict[str, Any] | None = None) -> Answer:
    """Make a call on a connection of its own; without fields there is no body, and no type of one."""
    response = requests.request(method, url, json=fields, timeout=DEADLINE)
    return response.status_code, response.json()


@pytest.fixture
def server(run: Run) -> str:
    """The URL of a server whose port is its one argument."""
    return run("indexing_server.py", str(free_port())).urls()[0].replace("127.0.0.1", "localhost")


@pytest.mark.parametrize("count", [1, 3])
def test_peers_that_are_started_by_port_and_id_do_all_there_is(run: Run, server: str, count: int) -> None:
    nodes = [
        run("peer_node.py", str(free_port()), f"peer{number}", PEERBUS_NODE_INDEX_URL=server)
        for number in range(1, count + 1)
    ]
    peers = [node.urls()[0] for node in nodes]
    topic, said = {"topic": "test_topic"}, [f"Message from peer{number}" for number in range(1, count + 1)]
    assert call("POST", f"{peers[0]}/create_topic", topic)[0] == 200
    assert [call("POST", f"{peer}/subscribe", topic)[0] for peer in peers] == [200] * count
    for peer, message in zip(peers, said, strict=True):
        assert call("POST", f"{peer}/publish", topic | {"message": message})[0] == 200
    assert [call("POST", f"{peer}/pull_messages", topic)[1]["messages"] for peer in peers] == [said] * count
    status, found = call("GET", f"{server}/query_peers?topic=test_topic")
    assert (status, len(found["peers"])) == (200, count)
    assert call("DELETE", f"{peers[0]}/delete_topic", topic)[0] == 200
    assert [call("POST", f"{peer}/exit_peer")[0] for peer in peers] == [200] * count
    assert [node.finish()[0] for node in nodes] == [0] * count
    assert call("GET", f"{server}/query_peers?topic=test_topic")[0] == 404


def test_a_peer_of_another_program_calls_the_server_alone(server: str) -> None:
    me, topic = {"peer_id": "peer_0"}, {"topic": "topic_0"}
    assert call("POST", f"{server}/register_peer_node", me)[0] == 200
    assert call("POST", f"{server}/create_topic", topic)[0] == 200
    assert call("POST", f"{server}/subscribe", me | topic)[0] == 200
    assert call("POST", f"{server}/publish", topic | {"message": "test_message"})[0] == 200
    assert call("POST", f"{server}/pull_messages", me | topic)[1]["messages"] == ["test_message"]
    assert call("GET", f"{server}/query_peers?topic=topic_0")[1]["peers"] == ["peer_0"]
    assert call("POST", f"{server}/unregister_peer_node", me)[0] == 200
    assert call("GET", f"{server}/query_peers?topic=topic_0")[1]["peers"] == []


def test_what_is_repeated_by_many_at_once_succeeds_or_says_why_not(server: str) -> None:
    peer, topic = {"peer_id": "peer_0"}, {"topic": "topic_0"}
    calls = (
        ("POST", "create_topic", topic, 200),
        ("POST", "publish", topic | {"message": "test_message"}, 200),
        ("POST", "subscribe", peer | topic, 404),
        ("POST", "pull_messages", peer | topic, 404),
        ("GET", "query_peers?topic=topic_0", None, 200),
        ("DELETE", "delete_topic", {"topic": "none"}, 404),
    )
    with ThreadPoolExecutor(20) as callers:
        for method, path, fields, status in calls:
            answers = list(callers.map(lambda _: call(method, f"{server}/{path}", fields), range(100)))  # noqa: B023
            assert {answer[0] for answer in answers} == {status}, path
            assert all(answer[1]["message"] for answer in answers)


def test_topics_are_created_one_by_one_and_asked_for_at_random(server: str) -> None:
    count, random = 500, Random(1)  # noqa: S311  # guards nothing
    for number in range(count):
        assert call("POST", f"{server}/create_topic", {"topic": f"topic_{number}"})[0] == 200
    asked = [random.randrange(count) for _ in range(400)]
    with ThreadPoolExecutor(8) as callers:
        answers = callers.map(lambda number: call("GET", f"{server}/query_peers?topic=topic_{number}"), asked)
        assert all((status, found["peers"]) == (200, []) for status, found in answers)
