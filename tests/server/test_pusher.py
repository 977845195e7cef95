"""Messages are pushed to receivers that take them, fail, ask to wait, are slow, or are down."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from peerbus.client import verify_signature
from peerbus.http.listener import bind
from peerbus.server import IndexingServer, ServerOptions
from peerbus.server.pusher import LARGE, MAX_RESPONSE_BYTES, Pauses
from tests.support.harness import Api, eventually, free_port, serving
from tests.support.receivers import OK, Answer, receiver

AT_ONCE = Pauses(after_failures=(0.0,), least=0.0, most=0.0)
"""Pauses that end at once."""
FOR_EVER = Pauses(after_failures=(86_400.0,), jitter=lambda: 1.0)
"""Pauses that do not end in a test."""
SECRET = "a-secret-of-16-or-more"  # noqa: S105  # guards nothing


@contextmanager
def start(pauses: Pauses = AT_ONCE) -> Iterator[Api]:
    server = IndexingServer(bind("127.0.0.1", 0), ServerOptions(pauses=pauses))
    yield from serving(server)


@pytest.fixture
def api() -> Iterator[Api]:
    with start() as api:
        yield api


def subscribe(api: Api, url: str, peer_id: str = "peer1", topic: str = "news", **options: Any) -> None:
    for path, fields in (("/register_peer_node", {"peer_id": peer_id}), ("/create_topic", {"topic": topic})):
        assert api.post(path, **fields).status == 200
    named = {"peer_id": peer_id, "topic": topic, "ack": "explicit", "push_to": url, **options}
    reply = api.post("/subscribe", **named)
    assert reply.status == 200, reply.body


def publish(api: Api, *values: Any, topic: str = "news") -> None:
    assert api.post("/publish", topic=topic, messages=list(values), peer_id="peer1").status == 200


def view(api: Api, topic: str = "news") -> Any:
    (shown,) = api.get("/subscriptions", topic=topic).body["subscriptions"]
    return shown


def settled(api: Api, topic: str = "news") -> bool:
    return bool(view(api, topic)["unread"] == 0)


def test_a_message_is_posted_with_its_details_and_acknowledged_by_the_answer(api: Api) -> None:
    with receiver() as hook:
        subscribe(api, f"{hook.url}?of=news")
        publish(api, {"text": "Grüße"})
        came = hook.next()
        (message,) = came.json()["messages"]
        assert came.path == "/hook?of=news"
        assert came.headers["Content-Type"] == "application/json"
        assert "Peerbus-Signature" not in came.headers
        assert came.json()["topic"] == "news"
        assert message.pop("published_at") == pytest.approx(eventually(lambda: _published_at(api)))
        assert message == {"offset": 0, "message": {"text": "Grüße"}, "attempt": 1, "publisher": "peer1"}
        eventually(lambda: settled(api))


def _published_at(api: Api) -> float:
    return float(api.get("/messages", topic="news", details="true").body["published_at"][0])


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_status_of_2xx_acknowledges_all(api: Api, status: int) -> None:
    with receiver(Answer(status)) as hook:
        publish_first = list(range(10))
        api.post("/create_topic", topic="news")
        subscribe(api, hook.url, push_batch=4)
        publish(api, *publish_first)
        assert [hook.next().values for _ in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        eventually(lambda: settled(api))
        assert hook.pushes.empty()


@pytest.mark.parametrize(
    "failure",
    [
        Answer(500),
        Answer(404),
        Answer(503),
        Answer(429, {"Retry-After": "soon"}),
        Answer(500, {"Retry-After": "1"}),
        Answer(307, {"Location": "http://127.0.0.1:1/"}),
    ],
)
def test_everything_else_is_pushed_again_as_another_attempt_and_before_what_follows(api: Api, failure: Answer) -> None:
    with receiver(failure, failure, OK) as hook:
        subscribe(api, hook.url)
        publish(api, 1, 2)
        came = [hook.next() for _ in range(4)]
        assert [(push.values, push.attempts) for push in came] == [([1], [1]), ([1], [2]), ([1], [3]), ([2], [1])]
        eventually(lambda: settled(api))


@pytest.mark.parametrize("wait", ["0", "7", "Fri, 31 Dec 1999 23:59:59 GMT"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_receiver_gets_the_same_attempt_again(api: Api, status: int, wait: str) -> None:
    with receiver(Answer(status, {"Retry-After": wait}), OK) as hook:
        subscribe(api, hook.url, max_attempts=1)
        publish(api, 1)
        assert [hook.next().attempts for _ in range(2)] == [[1], [1]]
        eventually(lambda: settled(api))


def test_after_the_last_attempt_the_message_is_dead_lettered(api: Api) -> None:
    with receiver(Answer(500), Answer(500), OK) as hook:
        subscribe(api, hook.url, max_attempts=2, dead_letter_topic="dead")
        publish(api, 1, 2)
        assert [hook.next().values for _ in range(3)] == [[1], [1], [2]]
        (letter,) = eventually(lambda: api.get("/messages", topic="dead").body.get("messages"))
        assert (letter["message"], letter["reason"]) == (1, "rejected: status 500")


def test_a_receiver_that_is_down_and_returns_gets_each_message_in_order(api: Api) -> None:
    port = free_port()
    subscribe(api, f"http://127.0.0.1:{port}/hook")
    publish(api, *range(20))
    eventually(lambda: view(api)["push_to"][0]["problem"])
    with receiver(port=port) as hook:
        assert [hook.next().values for _ in range(20)] == [[number] for number in range(20)]
        eventually(lambda: settled(api))
        assert hook.pushes.empty()


def test_a_target_that_fails_pauses_alone_and_shows_why() -> None:
    with start(FOR_EVER) as api, receiver(Answer(500)) as failing, receiver() as well:
        subscribe(api, failing.url)
        subscribe(api, well.url, "peer2")
        publish(api, 1)
        failing.next()
        publish(api, 2)
        assert [well.next().values for _ in range(2)] == [[1], [2]]
        (target,) = eventually(lambda: [each for each in _targets(api) if each["problem"]])
        assert (target["peer_id"], target["url"], target["problem"]) == ("peer1", failing.url, "status 500")
        assert 86_000 < target["tries_in"] <= 86_400
        assert failing.pushes.empty()


def _targets(api: Api) -> list[Any]:
    shown = api.get("/subscriptions", topic="news").body["subscriptions"]
    return [target for subscription in shown for target in subscription["push_to"]]


def test_another_url_is_tried_at_once() -> None:
    with start(FOR_EVER) as api, receiver(Answer(500)) as failing, receiver() as well:
        subscribe(api, failing.url)
        publish(api, 1)
        eventually(lambda: view(api)["push_to"][0]["problem"])
        subscribe(api, well.url)
        assert well.next().attempts == [2]


def test_a_slow_receiver_keeps_no_other_waiting_and_gets_no_more_at_once_than_it_wants(api: Api) -> None:
    released = threading.Event()
    with receiver(Answer(200, waits=released)) as slow, receiver() as well:
        subscribe(api, slow.url, push_at_once=2)
        subscribe(api, well.url, "peer2")
        publish(api, 1, 2, 3)
        assert sorted(slow.next().values[0] for _ in range(2)) == [1, 2]
        assert [well.next().values for _ in range(3)] == [[1], [2], [3]]
        assert slow.pushes.empty()
        released.set()
        assert slow.next().values == [3]


def test_a_receiver_that_does_not_answer_in_time_gets_the_message_again(api: Api) -> None:
    released = threading.Event()
    with receiver(Answer(200, waits=released), OK) as hook:
        subscribe(api, hook.url, ack_deadline=0.2)
        publish(api, 1)
        assert [hook.next().attempts for _ in range(2)] == [[1], [2]]
        released.set()
        eventually(lambda: settled(api))


def test_members_of_a_group_share_the_work(api: Api) -> None:
    released = threading.Event()
    with receiver(Answer(200, waits=released)) as slow, receiver() as well:
        subscribe(api, slow.url, group="workers")
        publish(api, 1)
        assert slow.next().values == [1]
        subscribe(api, well.url, "peer2", group="workers")
        publish(api, 2, 3)
        assert [well.next().values for _ in range(2)] == [[2], [3]]
        released.set()
        eventually(lambda: settled(api))


@pytest.mark.parametrize("size", [10, 2 * LARGE])
def test_a_secret_signs_each_request(api: Api, size: int) -> None:
    with receiver() as hook:
        subscribe(api, hook.url, push_secret=SECRET)
        publish(api, "x" * size)
        came = hook.next()
        header = came.headers["Peerbus-Signature"]
        assert verify_signature(came.body, header, SECRET)
        assert not verify_signature(came.body, header, f"not-{SECRET}")
        assert SECRET not in str(view(api))


def test_unsubscribing_and_removing_the_target_stop_pushes(api: Api) -> None:
    with receiver() as hook:
        subscribe(api, hook.url)
        subscribe(api, hook.url, topic="sport")
        assert api.post("/subscribe", peer_id="peer1", topic="news", push_to=None).status == 200
        publish(api, 1)
        publish(api, 2, topic="sport")
        assert hook.next().values == [2]
        assert api.post("/unsubscribe", peer_id="peer1", topic="sport").status == 200
        assert api.post("/pull_messages", peer_id="peer1", topic="news").body["messages"] == [1]
        assert hook.pushes.empty()
        assert view(api)["push_to"] == []


def test_a_peer_that_is_away_is_pushed_to_when_it_comes_back(api: Api) -> None:
    with receiver() as hook:
        subscribe(api, hook.url)
        assert api.post("/unregister_peer_node", peer_id="peer1", keep=True).status == 200
        assert api.post("/publish", topic="news", message=1).status == 200
        assert view(api)["unread"] == 1
        assert hook.pushes.empty()
        assert api.post("/register_peer_node", peer_id="peer1").status == 200
        assert hook.next().values == [1]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"push_to": "ftp://127.0.0.1/"}, "at $.push_to"),
        ({"push_to": "http://me:secret@127.0.0.1/"}, "at $.push_to"),
        ({"push_to": "http://127.0.0.1/a b"}, "at $.push_to"),
        ({"push_to": "http://127.0.0.1:99999/"}, "at $.push_to"),
        ({"push_to": "http://127.0.0.1/#a"}, "at $.push_to"),
        ({"push_to": 7}, "at $.push_to"),
        ({"push_to": "http://127.0.0.1/", "ack": "auto"}, "at $.push_to"),
        ({"push_batch": 2}, "at $.push_batch"),
        ({"push_to": "http://127.0.0.1/", "push_batch": 0}, "at $.push_batch"),
        ({"push_to": "http://127.0.0.1/", "push_batch": 1001}, "at $.push_batch"),
        ({"push_to": "http://127.0.0.1/", "push_at_once": 101}, "at $.push_at_once"),
        ({"push_to": "http://127.0.0.1/", "push_secret": "short"}, "at $.push_secret"),
        ({"push_to": "http://127.0.0.1/", "push_secret": "s" * 257}, "at $.push_secret"),
    ],
)
def test_wrong_options_are_refused_with_their_place(api: Api, fields: dict[str, Any], fault: str) -> None:
    api.post("/register_peer_node", peer_id="peer1")
    api.post("/create_topic", topic="news")
    reply = api.post("/subscribe", **{"peer_id": "peer1", "topic": "news", "ack": "explicit", **fields})
    assert (reply.status, reply.body["code"]) == (400, "bad_request")
    assert reply.body["message"].endswith(fault)
    assert "secret" not in reply.body["message"].replace("$.push_secret", "")


@pytest.mark.parametrize("url", ["http://10.0.0.7/hook", "http://app.example/", "http://169.254.169.254/latest"])
def test_a_url_that_is_not_among_the_allowed_addresses_is_refused(api: Api, url: str) -> None:
    api.post("/register_peer_node", peer_id="peer1")
    api.post("/create_topic", topic="news")
    reply = api.post("/subscribe", peer_id="peer1", topic="news", ack="explicit", push_to=url)
    assert (reply.status, reply.body["code"]) == (403, "address_not_allowed")
    assert api.get("/subscriptions", topic="news").body["subscriptions"] == []


def test_the_log_tells_when_pushes_begin_to_fail_and_when_they_work_again(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "peerbus.server.pusher")
    with receiver(Answer(500), Answer(500), OK) as hook:
        subscribe(api, f"{hook.url}?key=secret")
        publish(api, 1, 2)
        eventually(lambda: settled(api))
        assert [record.message for record in caplog.records] == [
            f"Messages of topic 'news' cannot be pushed to peer 'peer1' at {hook.url}: status 500. It is tried again.",
            "Messages of topic 'news' are pushed to peer 'peer1' again.",
        ]


def test_pushes_are_counted_by_how_they_ended(api: Api) -> None:
    with receiver(Answer(500), Answer(503, {"Retry-After": "1"}), OK) as hook:
        subscribe(api, hook.url)
        publish(api, 1, 2)
        eventually(lambda: settled(api))
        shown = api.session.get(f"{api.url}/metrics").text
        for outcome, count in {"taken": 2, "busy": 1, "failed": 1}.items():
            assert f'peerbus_pushes_total{{outcome="{outcome}"}} {count}.0' in shown


def test_a_server_stops_while_a_push_is_under_way() -> None:
    released = threading.Event()
    with receiver(Answer(200, waits=released)) as slow:
        with start() as api:
            subscribe(api, slow.url)
            publish(api, 1)
            slow.next()
        released.set()


def test_an_answer_that_is_too_large_is_cut_off_and_counts_as_a_failure(api: Api) -> None:
    with receiver(Answer(200, body=bytes(MAX_RESPONSE_BYTES)), OK) as hook:
        subscribe(api, hook.url)
        publish(api, 1)
        assert [hook.next().attempts for _ in range(2)] == [[1], [2]]
