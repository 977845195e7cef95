"""An indexing server that comes and goes, and two in the same state."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.support.harness import DEADLINE, Api, start_index, start_node
from tests.support.servers import Restartable

DIFFERS = re.compile(rb'"(epoch|uptime_seconds|expires_in|idle_seconds)":[^,}]+')
"""Fields that two servers never have the same."""


@pytest.fixture
def server() -> Iterator[Restartable]:
    """An indexing server that is not started yet."""
    restartable = Restartable()
    yield restartable
    restartable.stop()


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]


class Twins(NamedTuple):
    """Two servers in the same state: one to be called directly, one through a peer node."""

    direct: Api
    node: Api

    def both(self, method: str, path: str, **options: Any) -> tuple[Answer, Answer]:
        """What each answers to the same request."""
        return answer(self.direct, method, path, **options), answer(self.node, method, path, **options)


def answer(api: Api, method: str, path: str, **options: Any) -> Answer:
    response = api.session.request(method, api.url + path, timeout=DEADLINE, **options)
    kept = {key: value for key, value in response.headers.items() if key in ("content-type", "retry-after", "allow")}
    return Answer(response.status_code, DIFFERS.sub(b"", response.content), kept)


def prepare(index: Api, address: str) -> None:
    """Peers and topics in every state that a call can meet."""
    index.post("/register_peer_node", peer_id="peer1", address=address, lease_seconds=60)
    index.subscriber("other", "full")
    index.post("/create_topic", topic="strict", max_messages=1)
    for topic in ("news", "gone"):
        index.subscriber("peer1", topic)
    index.delete("/delete_topic", topic="gone")
    index.post("/subscribe", peer_id="other", topic="strict")
    index.post("/create_topic", topic="dead")
    index.post("/subscribe", peer_id="other", topic="dead", group="dead-letters")
    for topic, messages in (("news", [1, "two", None]), ("full", ["old"]), ("strict", ["only"])):
        assert index.post("/publish", topic=topic, messages=messages).status == 200


@pytest.fixture
def twins() -> Iterator[Twins]:
    with start_index() as direct, start_index() as index, start_node("peer1", index.url, lease_seconds=60) as node:
        prepare(direct, node.url)
        prepare(index, node.url)
        yield Twins(direct, node)
