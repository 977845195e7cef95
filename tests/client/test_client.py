"""The Python client, against the indexing server and against a peer node."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import msgspec
import pytest

from peerbus.client import Client
from peerbus.errors import (
    IndexTimeout,
    IndexUnreachable,
    InternalError,
    NotSubscribed,
    TopicDeleted,
    TopicFull,
    TopicNotFound,
)
from tests.support.harness import DEADLINE, Api, eventually, free_port, in_background, start_index, start_node


@pytest.fixture(params=["server", "node"])
def client(request: pytest.FixtureRequest, index: Api) -> Iterator[Client]:
    """A client with the topic `news`, straight to the server or through its peer's node."""
    if request.param == "server":
        with Client(index.url, "a", patience=0.0) as client:
            client.register()
            client.create_topic("news")
            yield client
    else:
        with start_node("a", index.url) as node, Client(node.url, "a", patience=0.0) as client:
            client.create_topic("news")
            yield client


def test_every_call_answers_typed(client: Client) -> None:
    assert client.register(lease_seconds=30.0).created is False
    assert client.create_topic("more", max_messages=5, overflow="drop_oldest").created
    many = client.create_topics(["more", "most"], max_messages=5)
    assert (many.created, many.existed) == (1, ["more"])
    assert client.subscribe("news", ack="explicit").created
    assert client.publish("news", {"n": [1, None, "ü"]}).offset == 0
    assert client.publish_batch("news", [1, 2]).count == 2
    pulled = client.pull("news", 2)
    assert [(m.offset, m.value, m.attempt) for m in pulled.messages] == [(0, {"n": [1, None, "ü"]}, 1), (1, 1, 1)]
    assert (pulled.remaining, pulled.missed, pulled.resume_from) == (1, 0, 0)
    assert client.ack(pulled.messages[0]).acknowledged == 1
    assert client.nack(pulled.messages[1]).rejected == 1
    again = client.pull("news").messages
    assert [m.attempt for m in again] == [2, 1]
    assert client.nack(*again, attempted=False).rejected == 2
    assert client.extend(*again, seconds=60.0).extended == 2
    assert client.pull("news").messages == []
    assert client.nack(*again, attempted=False).rejected == 2
    assert [m.attempt for m in client.pull("news").messages] == [2, 1]
    assert client.query_peers("news").peers == ["a"]
    assert [topic.topic for topic in client.topics(limit=1).topics] == ["more"]
    assert [peer.peer_id for peer in client.peers().peers] == ["a"]
    assert [queue.unread for queue in client.subscriptions(topic="news").subscriptions] == [2]
    assert msgspec.json.decode(client.peek("news", limit=2).messages) == [1, 2]
    assert [each.offset for each in client.in_flight("news", peer_id="a", after=1).in_flight] == [2]
    peeked = client.peek("news", 0, limit=1, details=True)
    assert (peeked.offsets, peeked.publishers) == ([0], ["a"])
    assert client.stats().stats.published == 3
    assert client.unsubscribe("news").discarded == 2
    assert client.delete_topic("news").topic == "news"
    assert client.unregister().peer_id == "a"


def test_messages_have_their_publisher_and_their_time_if_they_are_asked_for(client: Client) -> None:
    client.subscribe("news", ack="explicit")
    before = time.time()
    client.publish_batch("news", [1, 2])
    (told,) = client.pull("news", 1, details=True).messages
    (untold,) = client.pull("news", 1).messages
    assert (told.publisher, untold.publisher, untold.published_at) == ("a", None, None)
    assert told.published_at is not None
    assert before - 0.01 <= told.published_at <= time.time() + 0.01


def test_errors_are_the_servers_own(client: Client) -> None:
    with pytest.raises(TopicNotFound, match="'none' does not exist"):
        client.publish("none", 1)
    with pytest.raises(NotSubscribed):
        client.pull("news")


def test_a_message_that_may_be_repeated_is_published_once(client: Client) -> None:
    assert not client.publish("news", 1, message_id="x").duplicate
    assert client.publish("news", 1, message_id="x").duplicate
    assert not client.publish("news", 1).duplicate
    assert not client.publish("news", 1).duplicate


def test_messages_are_published_later(client: Client) -> None:
    client.subscribe("news")
    done = client.publish_batch("news", [1, 2], message_id="x", delay=3600.0)
    assert (done.offset, done.count, done.duplicate, type(done.scheduled)) == (None, 2, False, int)
    assert client.publish("news", 1, message_id="x", delay=3600.0).scheduled == done.scheduled
    other = client.publish("news", 3, at=time.time() + 60.0).scheduled
    page = client.scheduled("news", limit=1)
    assert [(entry.id, entry.count, entry.peer_id) for entry in page.scheduled] == [(other, 1, "a")]
    assert [entry.id for entry in client.scheduled("news", after=page.next).scheduled] == [done.scheduled]
    assert [entry.id for entry in client.every_scheduled("news")] == [other, done.scheduled]
    answer = client.cancel_scheduled("news", int(done.scheduled or 0), 77)
    assert (answer.cancelled, answer.unknown) == (2, [77])
    client.publish("news", "soon", delay=0.01)
    assert [message.value for message in client.pull("news", wait=DEADLINE / 2).messages] == ["soon"]


def test_following_a_topic_acknowledges_each_message_when_the_next_is_asked_for(client: Client) -> None:
    client.subscribe("news", ack="explicit")
    client.publish_batch("news", list(range(5)))
    followed = client.messages("news", batch=2)
    assert [next(followed).value for _ in range(4)] == [0, 1, 2, 3]
    followed.close()
    left = client.pull("news").messages
    assert [(message.value, message.attempt) for message in left] == [(3, 2), (4, 1)]


def test_a_message_whose_handling_failed_comes_again(client: Client) -> None:
    client.publish_batch("news", ["good", "bad"])

    def handle() -> None:
        for message in client.messages("news", start="earliest"):
            if message.value == "bad":
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        handle()
    assert [(m.value, m.attempt) for m in client.pull("news").messages] == [("bad", 2)]


def test_following_ends_with_the_topic(client: Client) -> None:
    followed = client.messages("news")
    client.subscribe("news", ack="explicit")
    client.publish("news", 1)
    assert next(followed).value == 1
    client.delete_topic("news")
    with pytest.raises(TopicDeleted):
        next(followed)


def test_following_goes_on_where_it_stood_after_the_lease_was_lost(index: Api) -> None:
    with Client(index.url, "a") as client:
        client.register()
        client.create_topic("news")
        client.publish_batch("news", [0, 1, 2])
        client.register(lease_seconds=60)
        followed = client.messages("news", start="earliest")
        assert [next(followed).value, next(followed).value] == [0, 1]
        index.post("/unregister_peer_node", peer_id="a", keep=True)
        index.post("/publish", topic="news", message=3)
        assert [next(followed).value for _ in range(2)] == [2, 3], "1 is acknowledged, though the lease was lost"
        assert index.get("/peers").body["peers"][0]["lease_seconds"] == 60.0
        followed.close()


def test_following_begins_again_after_the_lease_was_lost(index: Api) -> None:
    with Client(index.url, "a") as client:
        client.register(lease_seconds=60)
        client.create_topic("news")
        client.publish_batch("news", [0, 1])
        for message in client.messages("news", start="earliest"):
            client.ack(message)
            break
        index.post("/unregister_peer_node", peer_id="a")
        assert next(client.messages("news", start="earliest")).value == 0
        index.post("/unregister_peer_node", peer_id="a", keep=True)
        assert next(client.messages("news")).attempt is not None


def test_following_goes_on_after_the_server_restarted() -> None:
    port = free_port()
    with start_index(port) as first:
        client = Client(first.url, "a", patience=20.0)
        client.register()
        client.create_topic("news")
        followed = client.messages("news", batch=1, wait=0.0)
        client.subscribe("news", ack="explicit")
        client.publish("news", "before")
        assert next(followed).value == "before"
    with start_index(port) as second:
        after = in_background(lambda: next(followed).value)
        eventually(lambda: second.get("/peers").body["peers"])
        second.post("/create_topic", topic="news")
        second.post("/publish", topic="news", message="after")
        assert after.result(DEADLINE) == "after"
        followed.close()
        client.close()


class Script(BaseHTTPRequestHandler):
    """Answers with the next of `answers`: a status with headers, or nothing at all."""

    protocol_version = "HTTP/1.1"
    answers: ClassVar[list[tuple[int, dict[str, str], bytes] | None]] = []
    asked: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.asked.append(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.answers.pop(0)
        if answer is None:
            self.close_connection = True
            return
        status, headers, body = answer
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def script() -> Iterator[tuple[str, type[Script]]]:
    """A server that fails as it is told to, and what it was asked."""
    Script.answers, Script.asked = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Script)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Script
    server.shutdown()
    thread.join()
    server.server_close()


PUBLISHED: tuple[int, dict[str, str], bytes] = (
    200,
    {},
    b'{"message":"","topic":"t","offset":7,"count":1,"duplicate":true}',
)
FULL = (429, {"Retry-After": "0"}, b'{"code":"topic_full","message":"full"}')
UNKNOWN = (504, {"Retry-After": "0"}, b'{"code":"index_timeout","message":"slow"}')


def test_a_publish_is_repeated_with_the_same_message_id(script: tuple[str, type[Script]]) -> None:
    url, server = script
    server.answers[:] = [None, FULL, UNKNOWN, PUBLISHED]
    with Client(url, "a") as client:
        assert client.publish("t", 1).offset == 7
    assert len(server.asked) == 4
    assert len(set(server.asked)) == 1


@pytest.mark.parametrize(("answer", "error"), [(None, IndexUnreachable), (UNKNOWN, IndexTimeout)])
def test_what_may_have_been_done_is_not_repeated_where_that_does_harm(
    script: tuple[str, type[Script]], answer: Any, error: type[Exception]
) -> None:
    url, server = script
    server.answers[:] = [answer]
    with Client(url, "a") as client, pytest.raises(error):
        client.pull("t")
    assert len(server.asked) == 1


def test_patience_ends(script: tuple[str, type[Script]]) -> None:
    url, server = script
    server.answers[:] = [FULL]
    with Client(url, "a", patience=0.0) as client, pytest.raises(TopicFull, match="full"):
        client.publish("t", 1)


def test_an_answer_of_somebody_else_is_an_error(script: tuple[str, type[Script]]) -> None:
    url, server = script
    server.answers[:] = [(418, {}, b"teapot")]
    with Client(url, "a") as client, pytest.raises(InternalError, match="418"):
        client.publish("t", 1)


def test_a_start_counts_for_a_new_message_queue_only(index: Api) -> None:
    with Client(index.url, "a") as client:
        client.register()
        client.create_topic("news")
        client.publish_batch("news", [0, 1])
        for expected in (0, 1):
            followed = client.messages("news", start="earliest")
            assert next(followed).value == expected
            client.publish("news", 2)
            next(followed)
            followed.close()


def test_a_value_that_python_cannot_hold_stops_nobody(client: Client) -> None:
    client.subscribe("news")
    client.publish_batch("news", [1, msgspec.Raw(b"1e999"), 2])
    values = [message.value for message in client.pull("news").messages]
    assert (values[0], bytes(values[1]), values[2]) == (1, b"1e999", 2)


def test_values_are_had_as_they_came(client: Client) -> None:
    client.subscribe("news")
    published = [b'{"a":  1.10}', b"12345678901234567890123", b'"\\u00e9"']
    client.publish_batch("news", [msgspec.Raw(value) for value in published])
    assert [bytes(message.value) for message in client.pull("news", raw=True).messages] == published


def test_messages_are_settled_by_their_offsets(client: Client) -> None:
    client.subscribe("news", ack="explicit")
    client.publish_batch("news", list(range(6)))
    client.pull("news")
    assert client.ack_offsets("news", 1, 3).acknowledged == 2
    assert client.extend_offsets("news", 0, 1, seconds=1.0).stale == [1]
    assert client.extend_offsets("news", up_to=3, seconds=60.0).extended == 2
    assert client.nack_offsets("news", 5).rejected == 1
    assert client.ack_offsets("news", up_to=2).acknowledged == 2
    assert client.nack_offsets("news", up_to=4, attempted=False).rejected == 1
    assert {(message.offset, message.attempt) for message in client.pull("news").messages} == {(4, 1), (5, 2)}


def test_listings_are_had_page_by_page(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peerbus.client.client.PAGE", 2)
    for topic in ("a", "b", "c"):
        client.create_topic(topic)
    assert [topic.topic for topic in client.every_topic()] == ["a", "b", "c", "news"]
    assert [peer.peer_id for peer in client.every_peer()] == ["a"]


def test_a_peer_node_knows_whom_it_acts_for(index: Api) -> None:
    with start_node("a", index.url) as node, Client(node.url) as client:
        assert client.register().peer_id == client.peer_id == "a"
        client.create_topic("news")
        assert client.subscribe("news").peer_id == "a"


@pytest.mark.parametrize("group", [None, "g"])
def test_a_lost_subscription_goes_on_where_it_stood(index: Api, group: str | None) -> None:
    with Client(index.url, "a") as client:
        client.register(lease_seconds=60)
        client.create_topic("news")
        client.publish_batch("news", [0, 1, 2])
        client.subscribe("news", "earliest", ack="explicit", **({"group": group} if group else {}))
        client.ack(client.pull("news", 1).messages[0])
        index.post("/unregister_peer_node", peer_id="a", keep=True)
        client.rejoin("news")
        assert [(message.value, message.attempt) for message in client.pull("news").messages] == [(1, 1), (2, 1)]
        client.subscribe("news", "earliest")
        assert client.pull("news").messages == []


def test_queues_are_moved_listed_and_ended(index: Api) -> None:
    with Client(index.url, "a") as client:
        client.register()
        client.create_topic("news")
        client.subscribe("news", group="g", expires_after=60)
        client.publish_batch("news", [0, 1, 2])
        assert client.seek("news", "latest").next_offset == 3
        assert client.seek("news", 1).next_offset == 1
        assert client.unsubscribe("news").discarded == 0
        (queue,) = client.every_queue("news")
        assert (queue.queue, queue.members, queue.unread, queue.expires_after) == ("group g", 0, 2, 60.0)
        assert client.end_group("news", "g").discarded == 2
        client.subscribe("news", group="g")
        client.publish("news", 3)
        assert client.unsubscribe("news", end=True).discarded == 1
        client.subscribe("news")
        assert client.unregister(keep=True).discarded == 0
        assert [queue.members for queue in client.every_queue("news")] == [0]


def test_a_server_that_cannot_be_reached_is_said_in_the_words_of_the_system() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url, patience=0.0) as client, pytest.raises(IndexUnreachable) as raised:
        client.stats()
    assert str(raised.value) == f"{url} cannot be reached: Connection refused."


@pytest.mark.parametrize("status", [200, 404])
def test_what_is_no_answer_of_ours_is_said_to_be_none(script: tuple[str, type[Script]], status: int) -> None:
    url, server = script
    server.answers[:] = [(status, {}, b"<html>")]
    with Client(url, "a") as client, pytest.raises(InternalError, match=f"{status} is not peerbus's"):
        client.publish("t", 1)


@pytest.mark.parametrize("url", ["localhost:5000", "", "ftp://localhost"])
def test_a_url_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="Expected a URL that begins with http:// or https://, got "):
        Client(url, "peer1")
