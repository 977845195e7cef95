"""Message queues that outlive their consumers, with real processes: workers, nodes and a server that come and go."""

from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest

from tests.support.durable import DurableServer
from tests.support.harness import Api, Process, eventually

Run = Callable[..., Process]
LEASE = 0.5
WORKERS = [f"worker{number}" for number in range(5)]


@pytest.fixture
def server(run: Run, tmp_path: Path) -> DurableServer:
    """Not started yet."""
    return DurableServer(run, tmp_path / "data")


def work(api: Api, peer_id: str) -> None:
    """Begin as a worker begins, at every start alike."""
    assert api.post("/register_peer_node", peer_id=peer_id, lease_seconds=LEASE).status == 200
    options = {"group": "workers", "ack": "explicit", "from": "earliest"}
    assert api.post("/subscribe", peer_id=peer_id, topic="jobs", **options).status == 200


def pull_all(api: Api, peer_id: str) -> tuple[list[Any], list[int]]:
    """All messages that there are, acknowledged, and their attempts."""
    pulled = api.post("/pull_messages", peer_id=peer_id, topic="jobs", max_messages=10_000).body
    if pulled["offsets"]:
        acknowledged = api.post("/ack_messages", peer_id=peer_id, topic="jobs", offsets=pulled["offsets"])
        assert acknowledged.body["acknowledged"] == len(pulled["offsets"])
    return pulled["messages"], pulled["attempts"]


def until_all_are_gone(api: Api) -> None:
    eventually(lambda: api.get("/peers").body["peers"] == [])


def test_a_group_whose_workers_all_died_loses_no_job_and_repeats_none(server: DurableServer) -> None:
    api = server.start()
    api.post("/create_topic", topic="jobs")
    for worker in WORKERS:
        work(api, worker)
    api.post("/publish", topic="jobs", messages=["done before"])
    assert pull_all(api, WORKERS[0]) == (["done before"], [1])
    until_all_are_gone(api)
    for begin in range(0, 2500, 500):
        assert api.post("/publish", topic="jobs", messages=list(range(begin, begin + 500))).status == 200
    work(api, WORKERS[3])
    assert pull_all(api, WORKERS[3]) == (list(range(2500)), [1] * 2500)
    until_all_are_gone(api)
    work(api, WORKERS[1])
    assert pull_all(api, WORKERS[1]) == ([], [])
    api.close()


def test_a_node_that_is_deployed_anew_has_all_messages_in_order(run: Run, server: DurableServer) -> None:
    index = server.start()

    def start() -> tuple[Process, Api]:
        process = run("peer_node.py", "--port", "0", "--index-url", server.url, "--peer-id", "worker1")
        node = Api(process.urls()[0])
        node.post("/create_topic", topic="jobs")
        assert node.post("/subscribe", topic="jobs").status == 200
        return process, node

    process, node = start()
    index.post("/publish", topic="jobs", messages=list(range(25)))
    node.close()
    process.signal(SIGTERM)
    assert process.finish()[0] == 0
    index.post("/publish", topic="jobs", messages=list(range(25, 50)))
    process, node = start()
    assert node.post("/pull_messages", topic="jobs").body["messages"] == list(range(50))
    for api in (node, index):
        api.close()


@pytest.mark.parametrize("end", [SIGKILL, SIGTERM])
def test_dead_letters_that_nobody_looked_after_are_all_there_and_go_back_once(server: DurableServer, end: Any) -> None:
    api = server.start()
    api.post("/create_topic", topic="jobs")
    api.post("/register_peer_node", peer_id="w")
    api.post("/subscribe", peer_id="w", topic="jobs", ack="explicit", max_attempts=1, dead_letter_topic="dead")
    api.post("/publish", topic="jobs", messages=list(range(1500)))
    pulled = api.post("/pull_messages", peer_id="w", topic="jobs", max_messages=1500).body
    api.post("/nack_messages", peer_id="w", topic="jobs", offsets=pulled["offsets"])
    eventually(lambda: api.get("/stats").body["stats"]["dead_lettered"] == 1500)
    server.end(end)
    api = server.start()
    (letters,) = api.get("/subscriptions", topic="dead").body["subscriptions"]
    assert (letters["queue"], letters["unread"]) == ("group dead-letters", 1500)
    redriven = 0
    while redriven < 1500:  # those that were made after the restart may have yet to be written to disk
        redriven += api.post("/redrive", topic="dead", all=True).body["redriven"]
    assert redriven == 1500
    again = api.post("/pull_messages", peer_id="w", topic="jobs", max_messages=10_000).body
    assert (again["messages"], again["attempts"]) == (list(range(1500)), [1] * 1500)
    assert api.post("/redrive", topic="dead", all=True).body["redriven"] == 0
    api.close()
