"""Readers that come back by themselves, as a browser's EventSource does: to a server, and to a peer node."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from peerbus.http.listener import bind
from peerbus.http.middleware import Guards
from peerbus.node import NodeOptions, PeerNode
from peerbus.server import IndexingServer, ServerOptions
from peerbus.server.access import Tokens
from tests.support.cluster import start_member
from tests.support.connections import call
from tests.support.harness import Api, eventually, serving, start_index
from tests.support.servers import Restartable
from tests.support.streams import PING, Reader

FOLLOWED: dict[str, Any] = {"peer_id": "peer1", "topic": "news"}
BROWSER = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
"""The headers of an EventSource."""


@contextmanager
def start_server(**options: Any) -> Iterator[Api]:
    yield from serving(IndexingServer(bind("127.0.0.1", 0), ServerOptions(**options)))


@contextmanager
def start_node(**options: Any) -> Iterator[Api]:
    with start_index() as index:
        yield from serving(PeerNode("peer1", bind("127.0.0.1", 0), NodeOptions(index_url=index.url, **options)))


STARTERS = {"indexing server": start_server, "peer node": start_node, "server of a cluster": start_member}
either = pytest.mark.parametrize("start", STARTERS.values(), ids=STARTERS)
Starter = Callable[..., Any]


def prepare(api: Api, *messages: Any, **options: Any) -> None:
    """Peer, topic, subscription, and messages."""
    for path, fields in (
        ("/register_peer_node", {"peer_id": "peer1"}),
        ("/create_topic", {"topic": "news"}),
        ("/subscribe", FOLLOWED | options),
    ):
        assert api.post(path, **fields).status == 200
    if messages:
        publish(api, *messages)


def publish(api: Api, *messages: Any) -> None:
    assert api.post("/publish", topic="news", messages=messages).status == 200


def streams(api: Api) -> int:
    """How many are open."""
    text = api.session.get(f"{api.url}/metrics").text
    return int(float(text.partition("\npeerbus_streams ")[2].partition("\n")[0]))


def come_back(api: Api, last_id: str, method: str = "GET") -> tuple[int, bytes]:
    """The answer to a reader that read the event `last_id`, by the header or by the query alike."""
    headers = BROWSER | {"Last-Event-ID": last_id}
    by_header = api.session.request(method, f"{api.url}/stream", params=FOLLOWED, headers=headers)
    query = FOLLOWED | {"lastEventId": last_id}
    by_query = api.session.request(method, f"{api.url}/stream", params=query, headers=BROWSER)
    assert (by_header.status_code, by_header.content) == (by_query.status_code, by_query.content)
    return by_header.status_code, by_header.content


# One reader replaces another


@either
def test_a_reader_that_was_replaced_is_told_not_to_come_back(start: Starter) -> None:
    with start() as api:
        prepare(api, "one", "two")
        with Reader(api, headers=BROWSER, **FOLLOWED) as loser:
            assert loser.messages(2) == ["one", "two"]
            with Reader(api, 1, BROWSER, **FOLLOWED) as winner:
                last = loser.next()
                while last.name == PING:
                    last = loser.next()
                assert (last.name, last.data["code"]) == ("end", "stream_replaced")
                assert last.last_id
                assert come_back(api, last.last_id) == (204, b"")
                publish(api, "three")
                assert winner.messages(1) == ["three"]


@either
def test_three_readers_that_come_back_after_a_restart_end_as_one(start: Starter) -> None:
    """Each is an EventSource: it comes back with the id of its last event until it is answered with 204."""
    with start() as api:
        prepare(api, "one")
        api.post("/pull_messages", **FOLLOWED)
        readers = [Reader(api, 0, BROWSER, **FOLLOWED) for _ in range(3)]
        for loser in readers[:2]:
            (last,) = loser.events(1)
            assert last.data["code"] == "stream_replaced"
            assert come_back(api, str(last.last_id)) == (204, b"")
        publish(api, "two", "three")
        assert readers[2].messages(2) == ["two", "three"]
        for reader in readers:
            reader.close()


@either
def test_the_loser_stays_away_after_a_restart_as_well(start: Starter) -> None:
    with start() as api:
        prepare(api)
        assert come_back(api, "stream_replaced") == (204, b"")
        assert come_back(api, "stream_replaced", "HEAD") == (204, b"")


@either
def test_readers_without_a_last_id_share_the_messages(start: Starter) -> None:
    with start() as api:
        prepare(api)
        with Reader(api, headers=BROWSER, **FOLLOWED) as one, Reader(api, headers=BROWSER, **FOLLOWED) as other:
            assert one.next().name == other.next().name == PING
            publish(api, 1)
            publish(api, 2)
            assert streams(api) == 2


@either
def test_a_reader_that_was_replaced_is_still_asked_for_its_fields(start: Starter) -> None:
    with start() as api:
        assert api.send("GET", "/stream", headers={"Last-Event-ID": "stream_replaced"}).status == 400


# Ends, and the next try of an EventSource


ENDS: dict[str, tuple[str, str, dict[str, Any], str, int]] = {
    "the topic is deleted": ("DELETE", "/delete_topic", {"topic": "news"}, "topic_deleted", 404),
    "the subscription ends": ("POST", "/unsubscribe", FOLLOWED, "not_subscribed", 404),
    "the peer unregisters": ("POST", "/unregister_peer_node", {"peer_id": "peer1"}, "peer_not_found", 404),
}


@either
@pytest.mark.parametrize("end", ENDS)
def test_after_an_end_for_good_the_next_try_is_refused_for_good(start: Starter, end: str) -> None:
    method, path, fields, code, status = ENDS[end]
    with start() as api:
        prepare(api, "one")
        with Reader(api, headers=BROWSER, **FOLLOWED) as reader:
            assert reader.messages(1) == ["one"]
            api.send(method, path, json=fields)
            assert reader.end() == code
        assert come_back(api, "0")[0] == status


def test_after_its_token_is_withdrawn_a_reader_is_refused_for_good() -> None:
    tokens = Tokens("enrolment-secret", "administration-secret")
    with start_index(tokens=tokens) as index:
        enrolled = index.showing("enrolment-secret")
        peer = index.showing(enrolled.post("/register_peer_node", peer_id="peer1").body["token"])
        prepare_as(peer)
        with Reader(peer, headers=BROWSER | auth(peer), **FOLLOWED) as reader:
            assert reader.next().name == PING
            peer.post("/unregister_peer_node", peer_id="peer1")
            assert reader.end() in ("unauthorized", "peer_not_found")
        headers = BROWSER | auth(peer) | {"Last-Event-ID": "0"}
        assert peer.send("GET", "/stream", params=FOLLOWED, headers=headers).status == 401


def prepare_as(peer: Api) -> None:
    for path, fields in (("/create_topic", {"topic": "news"}), ("/subscribe", FOLLOWED)):
        assert peer.post(path, **fields).status == 200


def auth(api: Api) -> dict[str, str]:
    return {"Authorization": str(api.session.headers["Authorization"])}


def test_a_browser_follows_a_node_again_when_the_server_is_back(server: Restartable) -> None:
    """It would never try again after 502: it gets a stream that ends with the error, and says when to try again."""
    server.start()
    node = PeerNode("peer1", bind("127.0.0.1", 0), NodeOptions(index_url=server.url))
    for api in serving(node):
        prepare(api, "one")
        with Reader(api, headers=BROWSER, **FOLLOWED) as reader:
            assert reader.messages(1) == ["one"]
            server.stop()
            assert reader.end() in ("not_ready", "index_unreachable")
        away = api.session.get(f"{api.url}/stream", params=FOLLOWED, headers=BROWSER | {"Last-Event-ID": "0"})
        assert away.status_code == 200
        assert away.text.startswith("retry: 1000\nevent: end\ndata: ")
        assert "index_unreachable" in away.text
        assert api.get("/stream", **FOLLOWED).status == 502
        index = server.start()
        assert index.post("/create_topic", topic="news").status == 200
        with Reader(api, 0, BROWSER, **FOLLOWED) as reader:
            publish(index, "two")
            assert reader.messages(1) == ["two"]


@pytest.fixture
def server() -> Iterator[Restartable]:
    restartable = Restartable()
    yield restartable
    restartable.stop()


# At the limit


@either
@pytest.mark.parametrize("options", [{}, {"ack": "explicit"}, {"group": "workers"}], ids=["auto", "explicit", "group"])
def test_at_the_limit_a_reader_that_comes_back_takes_its_own_place(start: Starter, options: dict[str, Any]) -> None:
    with start(max_streams=1) as api:
        prepare(api, "one", "two", **options)
        with Reader(api, **FOLLOWED) as before:
            assert before.messages(2) == ["one", "two"]
            fresh = api.get("/stream", **FOLLOWED)
            assert (fresh.status, fresh.body["code"]) == (503, "too_many_streams")
            with Reader(api, 1, **FOLLOWED) as reader:
                assert before.end() == "stream_replaced"
                publish(api, "three")
                assert reader.messages(1) == ["three"]
                assert streams(api) == 1


@either
def test_at_the_limit_a_reader_that_does_not_read_loses_its_place_to_itself(start: Starter) -> None:
    """The connection of a reader that stands still stays open; its messages are for its next connection."""
    with start(max_streams=1) as api:
        prepare(api)
        with Reader(api, **FOLLOWED) as stuck:
            assert stuck.next().name == PING
            publish(api, *[["x" * 1_000_000, number] for number in range(10)])
            publish(api, *[["x" * 1_000_000, number] for number in range(10, 20)])
            with Reader(api, headers=BROWSER, lastEventId="0", **FOLLOWED) as reader:
                assert [number for _, number in reader.messages(3)] == [1, 2, 3]


@either
def test_at_the_limit_another_subscription_is_refused_whatever_its_last_id(start: Starter) -> None:
    with start(max_streams=1) as api:
        prepare(api, "one")
        api.post("/create_topic", topic="other")
        api.post("/subscribe", peer_id="peer1", topic="other")
        with Reader(api, **FOLLOWED) as reader:
            assert reader.messages(1) == ["one"]
            other = {"peer_id": "peer1", "topic": "other"}
            assert api.send("GET", "/stream", params=other, headers={"Last-Event-ID": "0"}).status == 503
            shown = api.session.get(f"{api.url}/stream", params=other, headers=BROWSER)
            assert (shown.status_code, "too_many_streams" in shown.text) == (200, True)
            publish(api, "two")
            assert reader.messages(1) == ["two"]


@either
def test_at_the_limit_a_reader_may_come_back_again_and_again(start: Starter) -> None:
    with start(max_streams=2) as api:
        prepare(api, "one")
        readers = [Reader(api, **FOLLOWED)]
        assert readers[0].messages(1) == ["one"]
        readers += [Reader(api, 0, **FOLLOWED) for _ in range(10)]
        publish(api, "two")
        assert readers[-1].messages(1) == ["two"]
        assert streams(api) <= 2
        for reader in readers:
            reader.close()
        eventually(lambda: api.post("/publish", topic="news", message="three").status == 200 and not streams(api))


def test_a_ticket_for_another_topic_takes_nobodys_place() -> None:
    with start_server(max_streams=1) as api:
        prepare(api, "one")
        with Reader(api, **FOLLOWED) as reader:
            assert reader.messages(1) == ["one"]
            ticket = api.post("/stream_ticket", peer_id="peer1", topic="other").body["ticket"]
            assert api.get("/stream", **FOLLOWED, ticket=ticket, lastEventId="0").status == 403
            publish(api, "two")
            assert reader.messages(1) == ["two"]


# HEAD


@either
def test_a_head_of_a_stream_is_answered_as_its_get_and_takes_nothing(start: Starter) -> None:
    with start(max_streams=1) as api:
        queries: list[dict[str, str]] = [{"topic": "absent"}, {"topic": "no name"}, {}, FOLLOWED | {"lastEventId": "x"}]
        prepare(api)
        api.post("/create_topic", topic="other")
        queries.append({"peer_id": "peer1", "topic": "other"})
        for query in queries:
            asked, headed = (
                api.session.request(method, f"{api.url}/stream", params=query) for method in ("GET", "HEAD")
            )
            assert (headed.status_code, headed.content) == (asked.status_code, b"")
            assert asked.status_code >= 400
            assert headed.headers["Content-Type"] == asked.headers["Content-Type"]
        publish(api, "one")
        headed = api.session.head(f"{api.url}/stream", params=FOLLOWED)
        assert (headed.status_code, headed.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        assert headed.headers["Transfer-Encoding"] == "chunked"
        assert streams(api) == 0
        with Reader(api, **FOLLOWED) as reader:
            assert reader.messages(1) == ["one"]
            assert api.session.head(f"{api.url}/stream", params=FOLLOWED).status_code == 503
            headers = {"Last-Event-ID": "0"}
            assert api.session.head(f"{api.url}/stream", params=FOLLOWED, headers=headers).status_code == 200
            publish(api, "two")
            assert reader.messages(1) == ["two"]


# Headers


@either
def test_a_stream_says_its_charset_and_that_nothing_may_change_it(start: Starter) -> None:
    body = '{"topic": "news", "message": "naïve ✅ 入"}'.encode()
    with start() as api:
        prepare(api)
        api.send("POST", "/publish", data=body, headers={"Content-Type": "application/json"})
        with api.session.get(f"{api.url}/stream", params=FOLLOWED, stream=True) as response:
            lines = response.iter_lines(decode_unicode=True)
            assert next(line for line in lines if line.startswith("data")) == 'data: "naïve ✅ 入"'
            assert response.encoding == "utf-8"
            assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            assert response.headers["Cache-Control"] == "no-store, no-transform"
            assert response.headers["X-Accel-Buffering"] == "no"


@either
def test_an_answer_in_json_is_stored_nowhere(start: Starter) -> None:
    with start() as api:
        prepare(api, "one")
        calls = [api.post("/pull_messages", **FOLLOWED, wait=wait) for wait in (0, 0.01)]
        calls += [api.post("/pull_messages", peer_id="peer1", topic="absent"), api.post("/notify", x=1)]
        calls += [api.get(path) for path in ("/topics", "/livez", "/nothing", "/stream")]
        assert {(each.status, each.headers["Cache-Control"]) for each in calls} == {
            (status, "no-store") for status in (200, 404, 400)
        }


@either
@pytest.mark.parametrize("path", ["/stream", "/topics", "/publish", "/nothing", "/livez"])
def test_a_browser_may_ask_with_what_readers_of_events_send(start: Starter, path: str) -> None:
    page = "https://pages.example"
    with start(guards=Guards(origins=[page])) as api:
        asked = {
            "Host": api.url.removeprefix("http://"),
            "Origin": page,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization,cache-control,last-event-id",
        }
        reply = call(api, "OPTIONS", path, headers=asked)
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (204, page)
        allowed = reply.headers["access-control-allow-headers"].lower().split(", ")
        assert {"authorization", "cache-control", "last-event-id", "content-type"} <= set(allowed)
        assert reply.headers["access-control-max-age"] == "600"


@either
@pytest.mark.parametrize("headers", [{"Last-Event-ID": ""}, BROWSER, {"Accept": "*/*", "Pragma": "no-cache"}])
def test_what_clients_add_by_themselves_is_taken(start: Starter, headers: dict[str, str]) -> None:
    with start() as api:
        prepare(api, "one")
        with Reader(api, headers=headers, **FOLLOWED) as reader:
            assert reader.messages(1) == ["one"]


@either
def test_a_parameter_that_no_call_has_is_refused_by_its_name(start: Starter) -> None:
    with start() as api:
        prepare(api)
        for path in ("/topics", "/stream"):
            reply = api.get(path, **(FOLLOWED if path == "/stream" else {}), _="1699999999")
            assert (reply.status, "unknown field _ " in reply.body["message"]) == (400, True), reply.body
