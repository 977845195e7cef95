"""A renewal whose answer never came may have found the lease run out: the node must not take it on trust."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.fakes import SILENCE, FakeServer, fake_server, http
from tests.support.harness import Api, start_node


def answer(**fields: Any) -> bytes:
    return http(200, json.dumps({"message": "", "peer_id": "peer1", **fields}).encode())


def registered(created: bool) -> bytes:
    return answer(created=created, epoch="e")


def subscribed(created: bool, next_offset: int) -> bytes:
    return answer(topic="news", created=created, next_offset=next_offset, members=1)


def request(fake: FakeServer) -> tuple[str, dict[str, Any]]:
    """The path and the fields of the next request."""
    head, _, body = fake.next_request().partition(b"\r\n\r\n")
    return head.split()[1].decode(), json.loads(body)


@contextmanager
def doubtful(*afterwards: bytes) -> Iterator[tuple[Api, FakeServer]]:
    """A node subscribed to `news` at offset 7, one renewal of which went unanswered."""
    before = (registered(True), subscribed(True, 7), SILENCE)
    with (
        fake_server(*before, *afterwards) as fake,
        start_node("peer1", fake.url, lease_seconds=0.3, index_timeout=0.1) as node,
    ):
        assert node.post("/subscribe", topic="news").status == 200
        assert [request(fake)[0] for _ in range(4)] == [
            "/register_peer_node",
            "/subscribe",
            "/register_peer_node",
            "/register_peer_node",
        ]
        yield node, fake


@pytest.mark.parametrize("created", [True, False])
@pytest.mark.parametrize("subscription_created", [True, False])
def test_the_subscription_is_made_again_and_a_queue_that_stands_stays(
    created: bool, subscription_created: bool
) -> None:
    with doubtful(registered(created), subscribed(subscription_created, 9), registered(False)) as (_, fake):
        assert request(fake) == ("/subscribe", {"peer_id": "peer1", "topic": "news", "from": "earliest"})
        assert request(fake)[0] == "/register_peer_node"
