"""The end-to-end story, with real processes on free ports: one peer, then three.

`pytest test_p2p.py` checks it; `python test_p2p.py` tells it, step by step, as it succeeds.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from tests.support.harness import Api, Process, eventually

COLOURS = {"step": "1;36", "call": "0", "answer": "2", "good": "1;32", "bad": "1;31"}


class Narrator:
    """Prints what happens, in colour where the terminal has it."""

    def __init__(self) -> None:
        wanted = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = ("FORCE_COLOR" in os.environ or wanted) and "NO_COLOR" not in os.environ

    def say(self, kind: str, text: str) -> None:
        print(f"\033[{COLOURS[kind]}m{text}\033[0m" if self._colour else text, flush=True)


class Participant:
    """Somebody with a name who calls, and tells what was answered."""

    def __init__(self, name: str, url: str, narrator: Narrator) -> None:
        self.name = name
        self._api = Api(url)
        self._narrator = narrator

    def call(self, method: str, path: str, **fields: Any) -> dict[str, Any]:
        """Make a call that must succeed, and return the body of the answer."""
        reply = self._api.send(method, path, json=fields) if method != "GET" else self._api.get(path, **fields)
        rest = {name: value for name, value in reply.body.items() if name != "message"}
        self._narrator.say("call", f"  {self.name:>6} │ {method} {path} {json.dumps(fields) if fields else ''}")
        self._narrator.say("answer", f"         │ {reply.status} {reply.body['message']} {json.dumps(rest)}")
        assert reply.status == 200, reply
        return reply.body

    def has_noted(self, event: str) -> bool:
        """Whether the peer node's events have one of this kind."""
        return any(noted["event"] == event for noted in self._api.get("/events").body["events"])


@contextmanager
def started(script: str, *arguments: str, count: int = 1) -> Iterator[tuple[Process, list[str]]]:
    """A command line of the project in a process of its own, and the URLs it serves."""
    with tempfile.TemporaryDirectory(prefix="peerbus-") as logs:
        process = Process(script, "--port", "0", "--log-dir", logs, *arguments)
        try:
            yield process, process.urls(count)
        finally:
            process.kill()


def tell(peer_count: int, narrator: Narrator) -> None:
    """One indexing server and `peer_count` peers, from their start to their exit."""

    def step(text: str) -> None:
        narrator.say("step", f"\n{text}")

    with ExitStack() as stack:
        step(f"Start one indexing server and {peer_count} peer{'s' * (peer_count > 1)}, each its own process")
        _, (index_url,) = stack.enter_context(started("indexing_server.py"))
        nodes, urls = stack.enter_context(
            started("peer_node.py", "--count", str(peer_count), "--index-url", index_url, count=peer_count)
        )
        server = Participant("server", index_url, narrator)
        ids = {entry["address"]: entry["peer_id"] for entry in server.call("GET", "/peers")["peers"]}
        peers = sorted((Participant(ids[url], url, narrator) for url in urls), key=lambda peer: peer.name)

        step("The peers register (their nodes did already: repeating it changes nothing)")
        assert not any(peer.call("POST", "/register_peer_node")["created"] for peer in peers)

        step("One creates a topic, and everyone subscribes")
        assert peers[0].call("POST", "/create_topic", topic="news")["created"]
        assert all(peer.call("POST", "/subscribe", topic="news")["created"] for peer in peers)

        step("Everyone publishes")
        said = [f"Hello from {peer.name}!" for peer in peers]
        for peer, message in zip(peers, said, strict=True):
            peer.call("POST", "/publish", topic="news", message=message)

        step("Everyone pulls, and has every message, once")
        for peer in peers:
            assert peer.call("POST", "/pull_messages", topic="news")["messages"] == said
            assert peer.call("POST", "/pull_messages", topic="news")["messages"] == []

        step("Who listens to the topic, and where?")
        found = server.call("GET", "/query_peers", topic="news")
        assert found["addresses"] == {peer: address for address, peer in ids.items()}

        step("The topic is deleted, and every peer is notified")
        assert len(peers[-1].call("DELETE", "/delete_topic", topic="news")["notified"]) == peer_count
        for peer in peers:
            eventually(partial(peer.has_noted, "topic_deleted"))
            peer.call("GET", "/events")

        step("The peers exit, and nothing is left of them")
        for peer in peers:
            peer.call("POST", "/exit_peer")
        assert nodes.finish()[0] == 0
        assert server.call("GET", "/peers")["peers"] == []


def test_one_peer() -> None:
    tell(1, Narrator())


def test_three_peers() -> None:
    tell(3, Narrator())


def main() -> int:
    narrator = Narrator()
    for peer_count in (1, 3):
        try:
            tell(peer_count, narrator)
        except AssertionError as error:
            narrator.say("bad", f"\n✗ This step failed: {error}")
            return 1
        narrator.say(
            "good", f"\n✓ {peer_count} peer{'s' * (peer_count > 1)} and one indexing server: all as it should be."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
