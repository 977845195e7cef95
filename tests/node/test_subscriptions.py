"""What a node knows of its peer's subscriptions, where calls of the application meet a renewal."""

import logging
from collections.abc import Iterator

import pytest

from peerbus.http.event_loop import Loop
from peerbus.node.event_log import EventLog
from peerbus.node.membership import Membership
from peerbus.node.server_client import ServerClient
from tests.support.harness import DEADLINE, Api


class OnRegistered(logging.Handler):
    """Subscribes the peer, as its application might, at the moment that the registration is noted."""

    def __init__(self, index: Api, membership: Membership) -> None:
        super().__init__()
        self._index = index
        self._membership = membership

    def emit(self, record: logging.LogRecord) -> None:
        if "is registered" in record.getMessage():
            answer = self._index.post("/subscribe", peer_id="peer1", topic="news").body
            self._membership.subscriptions.begun("news", answer["next_offset"], {}, answer["created"])


@pytest.fixture
def membership(index: Api) -> Iterator[Membership]:
    loop = Loop("loop")
    client = ServerClient(loop, index.url, DEADLINE, 10)
    yield Membership(client, "peer1", "http://127.0.0.1:1", 60.0, EventLog(), 3.0)
    client.close()
    loop.close()


def test_who_subscribes_while_a_registration_is_taken_in_is_not_moved_back(
    index: Api, membership: Membership, caplog: pytest.LogCaptureFixture
) -> None:
    index.post("/create_topic", topic="news")
    index.post("/publish", topic="news", message="from before")
    caplog.set_level(logging.INFO, "peerbus.node")
    handler = OnRegistered(index, membership)
    logger = logging.getLogger("peerbus.node")
    logger.addHandler(handler)
    try:
        assert membership.renew()
    finally:
        logger.removeHandler(handler)
    (subscription,) = index.get("/subscriptions", peer_id="peer1").body["subscriptions"]
    assert subscription["next_offset"] == 1
