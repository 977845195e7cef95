"""Pushes go on after a restart of the server, whether it was stopped or killed."""

import threading
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

import pytest

from peerbus.client import verify_signature
from tests.support.durable import DurableServer
from tests.support.harness import Process, eventually
from tests.support.receivers import OK, Answer, receiver

KEY = "a-key-of-16-characters"


@pytest.mark.parametrize("end", [SIGKILL, SIGTERM])
def test_each_message_is_pushed_in_order_after_a_restart(
    run: Callable[..., Process], tmp_path: Path, end: Signals
) -> None:
    """The push that was under way comes again as the same attempt: the receiver may have got it, or not."""
    server = DurableServer(run, tmp_path / "data")
    released = threading.Event()
    with receiver(OK, Answer(200, waits=released), OK) as hook:
        api = server.start()
        api.subscriber("a", "news")
        options = {"ack": "explicit", "push_to": hook.url, "push_secret": KEY, "max_attempts": 1}
        assert api.post("/subscribe", peer_id="a", topic="news", **options).status == 200
        assert api.post("/publish", topic="news", messages=list(range(6))).status == 200
        assert [hook.next().values for _ in range(2)] == [[0], [1]]
        server.end(end)
        api = server.start()
        came = [hook.next() for _ in range(5)]
        assert [(push.values, push.attempts) for push in came] == [([number], [1]) for number in range(1, 6)]
        assert verify_signature(came[0].body, came[0].headers["Peerbus-Signature"], KEY)
        eventually(lambda: api.get("/subscriptions", topic="news").body["subscriptions"][0]["unread"] == 0)
        released.set()
        server.end(SIGTERM)
