"""Processes that are stopped for a while, as by a debugger, a paused container or a moved machine."""

from collections.abc import Callable
from signal import SIGCONT, SIGSTOP
from time import monotonic

import pytest

from tests.support.harness import Api, Process, eventually

LEASE = 3.0
STOPPED = 1.5 * LEASE
PEERS = [f"peer{number}" for number in range(20)]


def stand_still(process: Process, meanwhile: Callable[[], None]) -> None:
    """Stop a process for longer than the leases."""
    process.signal(SIGSTOP)
    stopped = monotonic()
    meanwhile()
    eventually(lambda: monotonic() - stopped > STOPPED)
    process.signal(SIGCONT)


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
def test_renewals_and_acknowledgements_that_came_in_a_standstill_are_in_time(
    run: Callable[..., Process], tmp_path: str, on_disk: bool
) -> None:
    kept = ("--data-dir", f"{tmp_path}/data") if on_disk else ()
    server = run("indexing_server.py", "--port", "0", *kept)
    url = server.urls()[0]
    apis = {peer: Api(url) for peer in PEERS}
    apis[PEERS[0]].post("/create_topic", topic="news")
    for peer, api in apis.items():
        api.post("/register_peer_node", peer_id=peer, lease_seconds=LEASE)
        options = {"ack": "explicit", "ack_deadline": LEASE, "max_attempts": 1}
        api.post("/subscribe", peer_id=peer, topic="news", expires_after=0, **options)
    apis[PEERS[0]].post("/publish", topic="news", messages=[1, 2, 3])
    for peer, api in apis.items():
        assert api.post("/pull_messages", peer_id=peer, topic="news", max_messages=1).body["messages"] == [1]
    settled = []

    def meanwhile() -> None:
        for peer, api in apis.items():
            acknowledgement = {"peer_id": peer, "topic": "news", "offsets": [0]}
            settled.append(api.in_background("POST", "/ack_messages", **acknowledgement))

    stand_still(server, meanwhile)
    assert [(done.result().status, done.result().body.get("acknowledged")) for done in settled] == [(200, 1)] * len(
        PEERS
    )
    stats = Api(url).get("/stats").body["stats"]
    assert (stats["expired_peers"], stats["missed"], stats["discarded"]) == (0, 0, 0)
    for peer, api in apis.items():
        assert api.post("/pull_messages", peer_id=peer, topic="news").body["messages"] == [2, 3]


def test_an_answer_that_came_while_a_node_stood_still_is_passed_on(run: Callable[..., Process], index: Api) -> None:
    node = run("peer_node.py", "--port", "0", "--peer-id", "a", "--index-url", index.url, "--index-timeout", "2")
    api = Api(node.urls()[0])
    api.post("/create_topic", topic="news")
    api.post("/subscribe", topic="news")
    waiting = api.in_background("POST", "/pull_messages", topic="news", wait=2.0)
    eventually(lambda: index.get("/stats").body["stats"]["waiting_pulls"] == 1)
    stand_still(node, lambda: None)
    answer = waiting.result()
    assert (answer.status, answer.body.get("messages")) == (200, []), answer.body
