"""Topics followed through a peer node."""

from peerbus.server.access import Tokens
from tests.support.harness import Api, start_node
from tests.support.servers import Restartable
from tests.support.streams import PING, Reader


def publish(api: Api, *messages: object) -> None:
    assert api.post("/publish", topic="news", messages=messages).status == 200


def subscribe(node: Api, **options: object) -> None:
    node.post("/create_topic", topic="news")
    assert node.post("/subscribe", topic="news", **options).status == 200


def test_a_reader_follows_its_peers_topic_and_resumes(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        subscribe(node)
        publish(index, *range(20))
        with Reader(node, topic="news") as reader:
            seen = reader.messages(5)
            publish(index, *range(20, 30))
        with Reader(node, last_id=4, topic="news", peer_id="peer1") as reader:
            seen += reader.messages(10)
        with Reader(node, topic="news", lastEventId="14") as reader:
            seen += reader.messages(15)
        assert seen == list(range(30))
        assert node.get("/stream", topic="news", lastEventId="x").status == 400


def test_no_more_is_sent_than_may_be_in_flight(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        subscribe(node, ack="explicit")
        publish(index, *range(3))
        with Reader(node, topic="news", in_flight="1") as reader:
            for number in range(3):
                assert reader.messages(1) == [number]
                assert index.get("/stats").body["stats"]["unacknowledged"] == 1
                node.post("/ack_messages", topic="news", offsets=[number])


def test_errors_before_a_stream_are_the_servers_own_and_the_nodes(index: Api) -> None:
    with start_node("peer1", index.url, max_streams=0) as node, start_node("peer2", index.url) as other:
        full = node.get("/stream", topic="news")
        absent = other.get("/stream", topic="news")
        mismatch = other.get("/stream", topic="news", peer_id="peer1")
        bad = other.get("/stream")
    assert (full.status, full.body["code"]) == (503, "too_many_streams")
    assert (absent.status, absent.body["code"]) == (404, "topic_not_found")
    assert (mismatch.status, mismatch.body["code"]) == (403, "peer_mismatch")
    assert (bad.status, bad.body["code"]) == (400, "bad_request")


def test_the_servers_last_event_is_the_nodes(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        subscribe(node)
        with Reader(node, topic="news") as reader:
            assert reader.next().name == PING
            index.delete("/delete_topic", topic="news")
            assert reader.end() == "topic_deleted"


def test_a_stopping_node_ends_its_streams(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        subscribe(node)
        reader = Reader(node, topic="news")
        assert reader.next().name == PING
    assert reader.end() == "not_ready"
    reader.close()


def test_an_index_that_is_not_there_is_told(server: Restartable) -> None:
    server.start()
    with start_node("peer1", server.url) as node:
        subscribe(node)
        server.stop()
        reply = node.get("/stream", topic="news")
        assert (reply.status, reply.body["code"]) == (502, "index_unreachable")


def test_a_lost_subscription_is_restored_for_a_stream(server: Restartable) -> None:
    server.start()
    with start_node("peer1", server.url) as node:
        subscribe(node)
        api = server.restart()
        api.post("/create_topic", topic="news")
        publish(api, "new life")
        with Reader(node, topic="news") as reader:
            assert reader.messages(1) == ["new life"]


def test_where_tokens_are_asked_for_a_node_asks_and_shows_them() -> None:
    server = Restartable()
    server.tokens = Tokens("enrolment-secret")
    server.start()
    shown = {"Authorization": "Bearer node-caller-secret"}
    with start_node("peer1", server.url, index_token="enrolment-secret", token="node-caller-secret") as node:  # noqa: S106
        for _ in range(2):
            node.send("POST", "/create_topic", json={"topic": "news"}, headers=shown)
            node.send("POST", "/subscribe", json={"topic": "news"}, headers=shown)
            node.send("POST", "/publish", json={"topic": "news", "message": "one"}, headers=shown)
            assert node.get("/stream", topic="news").status == 401
            with Reader(node, headers=shown, topic="news") as reader:
                assert reader.messages(1) == ["one"]
            server.restart()
    server.stop()


def test_messages_of_all_sizes_come_whole(index: Api) -> None:
    sizes = [1, 65_530, 65_536, 3_000_000, 0, 2]
    with start_node("peer1", index.url) as node:
        subscribe(node)
        with Reader(node, topic="news") as reader:
            for size in sizes:
                publish(index, "x" * size)
            assert [len(message) for message in reader.messages(len(sizes))] == sizes
