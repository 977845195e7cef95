"""Topics followed as streams of events."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from peerbus.http.listener import bind
from peerbus.http.middleware import Guards
from peerbus.server import IndexingServer, ServerOptions
from peerbus.server.access import Tokens
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit, InMemory
from tests.support.cluster import start_member
from tests.support.harness import DEADLINE, Api, Process, eventually, in_background, serving, start_index
from tests.support.streams import PING, Reader, stuck

FOLLOWED: dict[str, Any] = {"peer_id": "peer1", "topic": "news"}


@contextmanager
def serve(stall_seconds: float = 30.0, journal: InMemory | None = None, **options: Any) -> Iterator[Api]:
    listener = bind("127.0.0.1", 0, stall_seconds)
    yield from serving(IndexingServer(listener, ServerOptions(**options), journal))


@pytest.fixture(params=[start_index, start_member])
def index(request: pytest.FixtureRequest) -> Iterator[Api]:
    with request.param() as index:
        yield index


@pytest.fixture
def subscribed(index: Api) -> Api:
    index.subscriber("peer1", "news")
    return index


def streams(api: Api) -> int:
    """How many are open."""
    text = api.session.get(f"{api.url}/metrics", timeout=DEADLINE).text
    return int(float(text.partition("\npeerbus_streams ")[2].partition("\n")[0]))


def publish(api: Api, *messages: Any) -> None:
    assert api.post("/publish", topic="news", messages=messages).status == 200


def test_a_reader_gets_what_was_published_before_and_after_with_its_offset(subscribed: Api) -> None:
    publish(subscribed, "one", {"two": 2})
    with Reader(subscribed, **FOLLOWED) as reader:
        assert [(event.number, event.data) for event in reader.events(2)] == [(0, "one"), (1, {"two": 2})]
        publish(subscribed, None)
        assert [(event.number, event.data) for event in reader.events(1)] == [(2, None)]
        assert reader.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert reader.response.headers["Cache-Control"] == "no-store, no-transform"
        assert reader.response.headers["X-Accel-Buffering"] == "no"
    assert subscribed.post("/pull_messages", **FOLLOWED).body["messages"] == []


def test_raw_json_with_line_breaks_arrives_whole(subscribed: Api) -> None:
    body = b'{"topic": "news", "message": {\n"a":\r\n[1,\r2]}}'
    subscribed.send("POST", "/publish", data=body, headers={"Content-Type": "application/json"})
    with Reader(subscribed, **FOLLOWED) as reader:
        assert reader.messages(1) == [{"a": [1, 2]}]


@pytest.mark.parametrize("refused", range(4))
def test_what_stands_against_a_stream_is_an_ordinary_error(subscribed: Api, refused: int) -> None:
    subscribed.post("/create_topic", topic="other")
    query, status, code = (
        ({"peer_id": "peer1", "topic": "other"}, 404, "not_subscribed"),
        ({"peer_id": "absent", "topic": "news"}, 404, "peer_not_found"),
        ({"peer_id": "peer1", "topic": "absent"}, 404, "topic_not_found"),
        ({"topic": "news"}, 400, "bad_request"),
    )[refused]
    reply = subscribed.get("/stream", **query)
    assert (reply.status, reply.body["code"], reply.headers["Content-Type"]) == (status, code, "application/json")
    eventually(lambda: streams(subscribed) == 0)


@pytest.mark.parametrize("last_id", ["-1", "x", "1.5", "9" * 20])
def test_a_last_event_id_that_is_none_is_refused(subscribed: Api, last_id: str) -> None:
    reply = subscribed.send("GET", "/stream", params=FOLLOWED, headers={"Last-Event-ID": last_id})
    assert (reply.status, reply.body["code"]) == (400, "bad_request")


@pytest.mark.parametrize("last_id", ["-1", "x", "1.5", "9" * 20])
def test_a_last_id_in_the_query_that_is_none_is_refused_as_in_the_header(subscribed: Api, last_id: str) -> None:
    in_header = subscribed.send("GET", "/stream", params=FOLLOWED, headers={"Last-Event-ID": last_id})
    in_query = subscribed.get("/stream", **FOLLOWED, lastEventId=last_id)
    assert (in_query.status, in_query.body["code"]) == (400, "bad_request")
    assert in_query.body["message"] == in_header.body["message"].replace("in Last-Event-ID", "at $.lastEventId")


def test_a_last_id_in_the_query_counts_as_the_header_does(subscribed: Api) -> None:
    publish(subscribed, *range(5))
    with Reader(subscribed, **FOLLOWED) as before:
        assert before.messages(5) == list(range(5))
        with Reader(subscribed, **FOLLOWED, lastEventId="1") as reader:
            assert reader.messages(3) == [2, 3, 4]
            assert before.end() == "stream_replaced"


@pytest.mark.parametrize("in_query", ["0", "4", "100", ""])
def test_the_last_id_in_the_header_counts_if_both_are_there(subscribed: Api, in_query: str) -> None:
    publish(subscribed, *range(5))
    subscribed.post("/pull_messages", **FOLLOWED)
    with Reader(subscribed, last_id=2, **FOLLOWED, lastEventId=in_query) as reader:
        assert reader.messages(2) == [3, 4]


def test_a_last_id_that_is_empty_is_none(subscribed: Api) -> None:
    publish(subscribed, "one", "two")
    subscribed.post("/pull_messages", **FOLLOWED, max_messages=1)
    with Reader(subscribed, **FOLLOWED, lastEventId="") as reader:
        assert reader.messages(1) == ["two"]


def test_another_method_than_get_is_refused(subscribed: Api) -> None:
    assert subscribed.post("/stream", **FOLLOWED).status == 405


ENDS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "the topic is deleted": ("DELETE", "/delete_topic", {"topic": "news"}, "topic_deleted"),
    "the subscription ends": ("POST", "/unsubscribe", FOLLOWED, "not_subscribed"),
    "the peer unregisters": ("POST", "/unregister_peer_node", {"peer_id": "peer1"}, "peer_not_found"),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_last_event_says_why_when(subscribed: Api, end: str) -> None:
    method, path, fields, code = ENDS[end]
    with Reader(subscribed, **FOLLOWED) as reader:
        assert reader.next().name == PING
        assert subscribed.send(method, path, json=fields).status == 200
        assert reader.end() == code
    assert eventually(lambda: streams(subscribed) == 0)


def test_who_comes_back_with_the_last_id_gets_each_message_once(subscribed: Api) -> None:
    publish(subscribed, *range(300))
    seen: list[Any] = []
    with Reader(subscribed, **FOLLOWED) as reader:
        seen += reader.messages(50)
    publish(subscribed, *range(300, 600))
    with Reader(subscribed, last_id=49, **FOLLOWED) as reader:
        seen += reader.messages(250)
    with Reader(subscribed, last_id=299, **FOLLOWED) as reader:
        seen += reader.messages(300)
    assert seen == list(range(600))


@pytest.mark.parametrize("behind", [0, 1])
def test_who_comes_back_takes_the_place_of_its_earlier_stream(subscribed: Api, behind: int) -> None:
    publish(subscribed, "one", "two")
    with Reader(subscribed, **FOLLOWED) as before:
        assert before.messages(2) == ["one", "two"]
        with Reader(subscribed, last_id=1 - behind, **FOLLOWED) as reader:
            assert before.end() == "stream_replaced"
            publish(subscribed, "three")
            assert reader.messages(1 + behind) == ["two", "three"][1 - behind :]


def test_a_last_id_never_skips_what_was_not_handed_over(subscribed: Api) -> None:
    publish(subscribed, "one")
    with Reader(subscribed, last_id=100, **FOLLOWED) as reader:
        assert reader.messages(1) == ["one"]


def test_what_a_reader_that_is_gone_did_not_take_stays_in_the_queue(subscribed: Api) -> None:
    with Reader(subscribed, **FOLLOWED) as reader:
        assert reader.next().name == PING
    for number in range(100):  # until it turns out that the reader is gone
        publish(subscribed, number)
        if not streams(subscribed):
            break
    eventually(lambda: streams(subscribed) == 0)
    left = subscribed.post("/pull_messages", **FOLLOWED).body
    assert left["messages"] == list(range(left["messages"][0], left["messages"][-1] + 1))
    assert left["missed"] == 0


def test_what_is_lost_before_it_is_sent_is_told(subscribed: Api) -> None:
    subscribed.delete("/delete_topic", topic="news")
    subscribed.post("/create_topic", topic="news", max_messages=2, overflow="drop_oldest")
    subscribed.subscriber("peer1", "news")
    publish(subscribed, 1, 2)
    publish(subscribed, 3)
    with Reader(subscribed, **FOLLOWED) as reader:
        missed, *messages = reader.events(3)
    assert (missed.name, missed.data) == ("missed", {"missed": 1})
    assert [event.data for event in messages] == [2, 3]


def test_with_explicit_acknowledgement_what_is_not_acknowledged_comes_again(subscribed: Api) -> None:
    subscribed.post("/subscribe", **FOLLOWED, ack="explicit", ack_deadline=0.2)
    publish(subscribed, "one", "two")
    with Reader(subscribed, **FOLLOWED) as reader:
        assert reader.messages(2) == ["one", "two"]
        assert subscribed.post("/ack_messages", **FOLLOWED, offsets=[0]).body["acknowledged"] == 1
        assert reader.messages(1) == ["two"]
    with Reader(subscribed, last_id=1, **FOLLOWED) as reader:
        assert reader.messages(1) == ["two"]


def explicit(api: Api, *messages: Any) -> Api:
    """The subscriber acknowledges explicitly, and these messages wait."""
    api.subscriber("peer1", "news")
    api.post("/subscribe", **FOLLOWED, ack="explicit")
    publish(api, *messages)
    return api


@pytest.mark.parametrize("settle", ["ack_messages", "nack_messages"])
def test_a_stream_sends_no_more_than_may_be_in_flight_until_some_are_settled(settle: str) -> None:
    with serve(ping_seconds=0.01) as api, Reader(explicit(api, *range(4)), **FOLLOWED, in_flight="2") as reader:
        assert reader.messages(2) == [0, 1]
        assert reader.next().name == PING, "there is nothing to send"
        assert api.get("/subscriptions", **FOLLOWED).body["subscriptions"][0]["unacknowledged"] == 2
        api.post(f"/{settle}", **FOLLOWED, offsets=[1], **({} if settle == "ack_messages" else {"delay": 1000}))
        assert reader.messages(1) == [2]
        assert reader.next().name == PING
        api.post("/ack_messages", **FOLLOWED, up_to=2)
        assert reader.messages(1) == [3]


def test_a_reader_that_comes_back_rejects_what_it_lost() -> None:
    with serve(ping_seconds=0.01) as api:
        with Reader(explicit(api, *range(4)), **FOLLOWED, in_flight="2") as before:
            assert before.messages(2) == [0, 1]
        with Reader(api, **FOLLOWED, in_flight="2") as reader:
            assert reader.next().name == PING
            assert api.post("/nack_messages", **FOLLOWED, up_to=1).body["rejected"] == 2
            assert reader.messages(2) == [0, 1]


def test_a_stream_goes_on_with_what_was_not_acknowledged_in_time(index: Api) -> None:
    index.subscriber("peer1", "news")
    index.post("/subscribe", **FOLLOWED, ack="explicit", ack_deadline=0.2)
    publish(index, "one", "two")
    with Reader(index, **FOLLOWED, in_flight="1") as reader:
        assert reader.messages(1) == ["one"]
        assert reader.messages(1) == ["one"]
        index.post("/ack_messages", **FOLLOWED, up_to=0)
        assert reader.messages(1) == ["two"]


def test_a_stream_sends_a_hundred_unless_told_otherwise() -> None:
    with serve(ping_seconds=0.01) as api, Reader(explicit(api, *range(150)), **FOLLOWED) as reader:
        assert reader.messages(100) == list(range(100))
        assert reader.next().name == PING
        api.post("/ack_messages", **FOLLOWED, up_to=29)
        assert reader.messages(30) == list(range(100, 130))
        assert reader.next().name == PING


def test_where_pulling_acknowledges_nothing_is_in_flight(subscribed: Api) -> None:
    publish(subscribed, *range(5))
    with Reader(subscribed, **FOLLOWED, in_flight="1") as reader:
        assert reader.messages(5) == list(range(5))


@pytest.mark.parametrize("in_flight", ["0", "-1", "x", "1.5", ""])
def test_a_stream_has_room_for_one_message_in_flight_at_least(subscribed: Api, in_flight: str) -> None:
    reply = subscribed.get("/stream", **FOLLOWED, in_flight=in_flight)
    assert (reply.status, reply.body["code"]) == (400, "bad_request")
    assert reply.body["message"].endswith("at $.in_flight")


def test_a_group_shares_a_topic_among_its_streams(index: Api) -> None:
    with ExitStack() as stack:
        for peer_id in ("a", "b"):
            index.subscriber(peer_id, "other")
            index.post("/create_topic", topic="news")
            index.post("/subscribe", peer_id=peer_id, topic="news", group="g")
        readers = [stack.enter_context(Reader(index, peer_id=peer_id, topic="news")) for peer_id in ("a", "b")]
        assert [reader.next().name for reader in readers] == [PING, PING]
        seen = []
        for number in range(10):
            publish(index, number)
            eventually(lambda: index.get("/topics").body["topics"][0]["unread"] == 0)
        index.delete("/delete_topic", topic="news")
        for reader in readers:
            while (event := reader.events(1)[0]).name == "message":
                seen.append(event.data)
    assert sorted(seen) == list(range(10))


def test_pings_come_while_there_is_nothing_else() -> None:
    with serve(ping_seconds=0.01) as api:
        api.subscriber("peer1", "news")
        with Reader(api, **FOLLOWED) as reader:
            assert [reader.next().name for _ in range(3)] == [PING] * 3


def test_a_peer_stays_alive_while_its_stream_is_open(index: Api) -> None:
    index.post("/register_peer_node", peer_id="peer1", lease_seconds=0.2)
    index.subscriber("peer1", "news")
    index.post("/register_peer_node", peer_id="peer2", lease_seconds=0.2)
    with Reader(index, **FOLLOWED) as reader:
        assert reader.next().name == PING
        eventually(lambda: index.get("/stats").body["stats"]["expired_peers"] == 1)
        publish(index, "still here")
        assert reader.messages(1) == ["still here"]


def test_no_more_streams_than_allowed() -> None:
    with serve(max_streams=1) as api:
        api.subscriber("peer1", "news")
        with Reader(api, **FOLLOWED):
            reply = api.get("/stream", **FOLLOWED)
            assert (reply.status, reply.body["code"], reply.headers["Retry-After"]) == (503, "too_many_streams", "1")
            api.delete("/delete_topic", topic="news")
        eventually(lambda: streams(api) == 0)
        api.subscriber("peer1", "news")
        with Reader(api, **FOLLOWED) as reader:
            assert reader.next().name == PING


@pytest.mark.parametrize("ack", ["auto", "explicit"])
def test_a_slow_reader_is_told_so_and_goes_on_without_loss(ack: str) -> None:
    """None is as fast as a server without any patience asks."""
    with serve(patience=0.0) as api:
        api.subscriber("peer1", "news")
        api.post("/subscribe", **FOLLOWED, ack=ack)
        publish(api, *([number, "x" * 30_000] for number in range(40)))
        seen: list[int] = []
        while len(seen) < 40:
            with Reader(api, **FOLLOWED) as reader:
                assert reader.next().name == PING
                event = reader.next()
                while event.name == "message":
                    seen.append(event.data[0])
                    event = reader.next()
                assert (event.name, event.data["code"]) == ("end", "too_slow")
            if ack == "explicit":
                api.post("/ack_messages", **FOLLOWED, up_to=seen[-1])
                api.post("/nack_messages", **FOLLOWED, up_to=40)
        assert seen == list(range(40))


def test_a_reader_that_takes_nothing_is_cut_and_goes_on_without_loss() -> None:
    with serve(stall_seconds=0.2) as api:
        api.subscriber("peer1", "news")
        connection = stuck(api, **FOLLOWED)
        for first in range(0, 400, 50):
            publish(api, *([number, "x" * 100_000] for number in range(first, first + 50)))
        assert api.get("/topics").body["topics"][0]["unread"] > 0
        eventually(lambda: streams(api) == 0)
        connection.close()
        with Reader(api, last_id=0, **FOLLOWED) as reader:
            assert [number for number, _ in reader.messages(399)] == list(range(1, 400))


def test_a_stopping_server_ends_its_streams_with_a_last_event(run: Callable[..., Process], tmp_path: Path) -> None:
    process = run("indexing_server.py", "--port", "0", "--data-dir", str(tmp_path / "data"))
    api = Api(process.urls()[0])
    api.subscriber("peer1", "news")
    with Reader(api, **FOLLOWED) as reader:
        assert reader.next().name == PING
        process.signal(SIGTERM)
        assert reader.end() == "not_ready"
    assert process.finish()[0] == 0


def test_a_server_stops_in_time_while_there_is_much_left_to_send() -> None:
    with serve() as api:
        api.subscriber("peer1", "news")
        for _ in range(4):
            publish(api, *["x" * 10_000] * 500)
        reader = Reader(api, **FOLLOWED)
        following = in_background(lambda: last_of(reader))
        eventually(lambda: api.get("/stats").body["stats"]["pulled"])
    assert following.result(DEADLINE) == "not_ready"
    reader.close()


def last_of(reader: Reader) -> str:
    """The code of the last event, whatever comes before."""
    while (event := reader.next()).name != "end":
        pass
    return str(event.data["code"])


def test_a_stream_on_disk_resumes_in_the_servers_next_life(tmp_path: Path) -> None:
    seen: list[Any] = []
    for first in (0, 10):
        with serve(journal=GroupCommit(Storage(tmp_path / "data"), 0)) as api:
            api.subscriber("peer1", "news")
            publish(api, *range(first, first + 10))
            with Reader(api, last_id=len(seen) - 1 if seen else None, **FOLLOWED) as reader:
                seen += reader.messages(7 if not seen else 13)
    assert seen == list(range(20))


def test_many_streams_at_once_each_get_everything(index: Api) -> None:
    with ExitStack() as stack:
        readers = []
        for number in range(50):
            index.subscriber(f"peer{number}", "news")
            readers.append(stack.enter_context(Reader(index, peer_id=f"peer{number}", topic="news")))
        publish(index, *range(20))
        assert [reader.messages(20) for reader in readers] == [list(range(20))] * 50


def test_a_page_of_another_origin_may_follow_where_it_is_allowed() -> None:
    with serve(guards=Guards(origins=["https://example.com"])) as api:
        api.subscriber("peer1", "news")
        publish(api, "one")
        with Reader(api, headers={"Origin": "https://example.com"}, **FOLLOWED) as reader:
            assert reader.messages(1) == ["one"]
            assert reader.response.headers["Access-Control-Allow-Origin"] == "https://example.com"


@pytest.mark.parametrize("mode", ["no-cors", "navigate"])
def test_a_page_cannot_take_messages_by_loading_a_stream_as_an_image_or_a_link(subscribed: Api, mode: str) -> None:
    publish(subscribed, "one")
    reply = subscribed.send("GET", "/stream", params=FOLLOWED, headers={"Sec-Fetch-Mode": mode})
    assert (reply.status, reply.body["code"]) == (403, "origin_not_allowed")
    with Reader(subscribed, headers={"Sec-Fetch-Mode": "cors"}, **FOLLOWED) as reader:
        assert reader.messages(1) == ["one"]


def test_with_tokens_a_peer_follows_its_own_queue_alone() -> None:
    with serve(tokens=Tokens("enrolment-secret", "administration-secret")) as api:
        enrol = {"Authorization": "Bearer enrolment-secret"}
        tokens = {}
        for peer_id in ("peer1", "peer2"):
            registered = api.send("POST", "/register_peer_node", json={"peer_id": peer_id}, headers=enrol)
            tokens[peer_id] = {"Authorization": f"Bearer {registered.body['token']}"}
        own = tokens["peer1"]
        api.send("POST", "/create_topic", json={"topic": "news"}, headers=own)
        api.send("POST", "/subscribe", json=FOLLOWED, headers=own)
        api.send("POST", "/publish", json={"topic": "news", "message": "one"}, headers=own)
        assert api.get("/stream", **FOLLOWED).status == 401
        for others in (enrol, tokens["peer2"]):
            assert api.send("GET", "/stream", params=FOLLOWED, headers=others).status == 403
        with Reader(api, headers=own, **FOLLOWED) as reader:
            assert reader.messages(1) == ["one"]
