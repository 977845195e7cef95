"""What callers see when the shard gets another owner: as little as possible."""

import gc
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from peerbus.broker import Broker
from peerbus.errors import IndexTimeout, PeerbusError, ShardUnavailable
from peerbus.future import Future
from peerbus.server.access import Tokens
from peerbus.storage.group_commit import InMemory
from tests.support.cluster import Cluster, Member, start_cluster
from tests.support.connections import JSON, Connection, request
from tests.support.harness import Api, eventually, in_background
from tests.support.streams import PING, Reader

T = TypeVar("T")

NEWS = {"topic": "news"}
PEER: dict[str, Any] = {"peer_id": "peer1", **NEWS}
QUEUES: dict[str, dict[str, Any]] = {"auto": {}, "explicit": {"ack": "explicit"}, "group": {"group": "workers"}}
queues = pytest.mark.parametrize("options", QUEUES.values(), ids=QUEUES)
ENDS = {"handed over": Member.hand_over, "killed": Member.die}
ends = pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three servers; the first owns the shard, and has a peer that is subscribed to a topic."""
    with start_cluster(tmp_path, 3) as cluster:
        cluster.members[0].api.subscriber("peer1", "news")
        yield cluster


def publish(api: Api, *messages: Any) -> None:
    assert api.post("/publish", **NEWS, messages=messages).status == 200


def published(api: Api) -> int:
    topics: list[dict[str, int]] = api.get("/topics").body["topics"]
    return topics[0]["next_offset"]


def waiting(api: Api, pulls: int) -> bool:
    return bool(api.get("/stats").body["stats"]["waiting_pulls"] == pulls)


def streams(api: Api) -> int:
    text = api.session.get(f"{api.url}/metrics").text
    return int(float(text.partition("\npeerbus_streams ")[2].partition("\n")[0]))


def test_a_publish_with_an_id_whose_owner_dies_is_made_again_and_published_once(cluster: Cluster) -> None:
    first, second, third = cluster
    first.cable.hold_answers()
    called = third.api.in_background("POST", "/publish", **NEWS, message="one", message_id="1")
    eventually(lambda: published(first.api) == 1)
    first.die()
    second.take_over()
    reply = called.result()
    assert (reply.status, reply.body["offset"], reply.body["duplicate"]) == (200, 0, True)
    assert published(second.api) == 1


def test_a_publish_without_an_id_whose_owner_dies_is_not_made_again(cluster: Cluster) -> None:
    first, second, third = cluster
    first.cable.hold_answers()
    called = third.api.in_background("POST", "/publish", **NEWS, message="one")
    eventually(lambda: published(first.api) == 1)
    first.die()
    second.take_over()
    reply = called.result()
    assert (reply.status, reply.body["code"], reply.headers["Retry-After"]) == (502, "index_unreachable", "1")
    assert first.url in reply.body["message"]
    assert published(second.api) == 1


def test_an_owner_that_does_not_answer_in_time_may_have_taken_a_publish(tmp_path: Path) -> None:
    with start_cluster(tmp_path, timeout=0.05) as cluster:
        first, second = cluster
        first.api.post("/create_topic", **NEWS)
        first.cable.hold_answers()
        reply = second.api.post("/publish", **NEWS, message="one")
        assert (reply.status, reply.body["code"]) == (504, "index_timeout")
        assert published(first.api) == 1


def test_calls_that_may_be_repeated_do_not_wait_for_an_owner_that_was_replaced(cluster: Cluster) -> None:
    first, second, third = cluster
    first.cable.hold_answers()
    called = [
        third.api.in_background("POST", "/publish", **NEWS, message="one", message_id="1"),
        third.api.in_background("POST", "/register_peer_node", peer_id="peer2"),
        third.api.in_background("POST", "/pull_messages", **PEER, wait=60),
    ]
    eventually(lambda: published(first.api) == 1 and len(first.api.get("/peers").body["peers"]) == 2)
    first.server.step_down("a standstill.")
    second.take_over()
    publish(second.api, "two")
    assert [each.result().status for each in called] == [200, 200, 200]


@ends
@queues
@pytest.mark.parametrize("at", [0, 2])
def test_a_pull_that_waits_goes_on_at_the_next_owner(cluster: Cluster, options: Any, end: Any, at: int) -> None:
    first, second, _ = cluster
    first.api.post("/unsubscribe", **PEER)
    first.api.post("/subscribe", **PEER, **options)
    called = cluster.members[at].api.in_background("POST", "/pull_messages", **PEER, wait=60)
    eventually(lambda: waiting(first.api, 1))
    end(first)
    second.take_over()
    eventually(lambda: waiting(second.api, 1))
    publish(second.api, "one")
    reply = called.result()
    assert (reply.status, reply.body["messages"], reply.body["missed"]) == (200, ["one"], 0)


@pytest.mark.parametrize("at", [0, 2])
def test_it_waits_there_for_the_rest_of_its_wait(cluster: Cluster, at: int) -> None:
    first, second, _ = cluster
    called = cluster.members[at].api.in_background("POST", "/pull_messages", **PEER, wait=0.5)
    eventually(lambda: waiting(first.api, 1))
    first.hand_over()
    second.take_over()
    reply = called.result()
    assert (reply.status, reply.body["messages"]) == (200, [])


def test_who_is_gone_while_its_pull_is_held_takes_nothing(cluster: Cluster) -> None:
    first, second, third = cluster
    with Connection(third.api.url) as connection:
        connection.send(request("POST", "/pull_messages", json.dumps(PEER | {"wait": 60}).encode(), JSON))
        eventually(lambda: waiting(first.api, 1))
        first.hand_over()
    second.take_over()
    publish(second.api, "one")
    assert third.api.post("/pull_messages", **PEER, wait=20).body["messages"] == ["one"]


@ends
@pytest.mark.parametrize("at", [0, 2])
def test_a_reader_sees_nothing_but_a_pause(cluster: Cluster, end: Any, at: int) -> None:
    first, second, third = cluster
    publish(first.api, *range(300))
    with Reader(cluster.members[at].api, **PEER) as reader:
        seen = reader.messages(300)
        end(first)
        second.take_over()
        publish(third.api, *range(300, 350))
        seen += reader.messages(50)
        second.hand_over()
        third.take_over()
        publish(second.api, *range(350, 400))
        seen += reader.messages(50)
    assert seen == list(range(400))
    assert [member.api.post("/pull_messages", **PEER).body["messages"] for member in cluster] == [[], [], []]


def test_what_was_under_way_to_a_reader_when_its_owner_died_comes_once(cluster: Cluster) -> None:
    first, second, third = cluster
    publish(first.api, "one")
    with Reader(third.api, **PEER) as reader:
        assert reader.messages(1) == ["one"]
        first.cable.hold_answers()
        publish(first.api, "two", "three")
        eventually(lambda: first.api.get("/subscriptions", **PEER).body["subscriptions"][0]["unread"] == 0)
        first.die()
        second.take_over()
        assert reader.messages(2) == ["two", "three"]


@pytest.mark.parametrize("options", [{"ack": "explicit"}, {"group": "workers"}])
def test_a_stream_without_a_place_to_resume_at_goes_on_too(cluster: Cluster, options: Any) -> None:
    first, second, third = cluster
    first.api.post("/unsubscribe", **PEER)
    first.api.post("/subscribe", **PEER, **options)
    with Reader(third.api, **PEER) as reader:
        assert reader.next().name == PING
        first.hand_over()
        second.take_over()
        publish(second.api, "one")
        assert reader.messages(1) == ["one"]


def test_a_stream_that_ends_for_a_reason_of_its_own_is_not_resumed(cluster: Cluster) -> None:
    first, second, third = cluster
    with Reader(third.api, **PEER) as reader:
        assert reader.next().name == PING
        first.hand_over()
        second.take_over()
        second.api.delete("/delete_topic", **NEWS)
        assert reader.end() == "topic_deleted"
    eventually(lambda: streams(third.api) == 0)


@pytest.mark.parametrize("at", [0, 1])
def test_a_stream_ends_when_there_is_no_owner_for_too_long(at: int) -> None:
    with start_cluster(patience=0.05) as cluster:
        cluster.members[0].api.subscriber("peer1", "news")
        with Reader(cluster.members[at].api, **PEER) as reader:
            assert reader.next().name == PING
            cluster.members[0].hand_over()
            assert reader.end() == "shard_unavailable"


def test_a_shard_goes_round_and_loses_nothing(cluster: Cluster) -> None:
    for number in range(9):
        owner = cluster.members[number % 3]
        if number:
            cluster.members[(number - 1) % 3].hand_over()
            owner.take_over()
        for member in cluster:
            publish(member.api, number)
    pulled = cluster.members[1].api.post("/pull_messages", **PEER).body["messages"]
    assert pulled == [number for number in range(9) for _ in range(3)]


class Overtaken(InMemory):
    """A journal that keeps nothing until it fails: another server has the log now."""

    def __init__(self) -> None:
        self.held: list[tuple[Future[Any], Any]] = []
        self.error: PeerbusError | None = None
        self.holds = False

    def after_commit(self, value: T) -> T | Future[T]:
        if not self.holds:
            return value
        held: Future[T] = Future()
        if self.error:
            held.set_exception(self.error)
        else:
            self.held.append((held, value))
        return held

    def keep(self) -> None:
        for each, value in self.held:
            each.set_result(value)

    def fail(self, error: PeerbusError) -> None:
        self.error = error
        for each, _ in self.held:
            each.set_exception(error)


LOST = ShardUnavailable("Another server has taken over; nothing was changed.")


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize(
    ("path", "fields", "answer"),
    [
        ("/publish", {**NEWS, "message": "one"}, {"offset": 0}),
        ("/create_topic", {"topic": "other"}, {"created": True}),
        ("/pull_messages", PEER, {"code": "peer_not_found"}),
        ("/publish", {"topic": "absent", "message": "one"}, {"code": "topic_not_found"}),
    ],
)
def test_what_an_owner_could_not_keep_is_answered_by_the_next(at: int, path: str, fields: Any, answer: Any) -> None:
    with start_cluster(owned=False) as cluster:
        first, second = cluster
        journal = Overtaken()
        first.take_over(journal)
        first.api.post("/create_topic", **NEWS)
        journal.holds = True
        called = cluster.members[at].api.in_background("POST", path, **fields)
        eventually(lambda: journal.held)
        second.serve(InMemory())
        cluster.shard.give(second.url)
        second.api.post("/create_topic", **NEWS)
        journal.fail(LOST)
        first.server.step_down("overtaken.")
        assert called.result().body.items() >= answer.items()


@pytest.mark.parametrize("at", [0, 1])
def test_messages_that_are_kept_as_pulled_when_a_tenure_ends_come(at: int) -> None:
    with start_cluster(owned=False) as cluster:
        first, second = cluster
        journal = Overtaken()
        first.take_over(journal)
        first.api.subscriber("peer1", "news")
        publish(first.api, "one")
        journal.holds = True
        called = cluster.members[at].api.in_background("POST", "/pull_messages", **PEER, wait=60)
        eventually(lambda: journal.held)
        first.server.step_down("told to.")
        journal.keep()
        assert called.result().body["messages"] == ["one"]
        second.take_over(InMemory())


@pytest.mark.parametrize("at", [0, 1])
def test_what_an_owner_may_have_kept_is_made_again_only_if_that_does_no_harm(at: int) -> None:
    with start_cluster(owned=False) as cluster:
        first, second = cluster
        journal = Overtaken()
        first.take_over(journal)
        first.api.post("/create_topic", **NEWS)
        journal.holds = True
        api = cluster.members[at].api
        with_id = api.in_background("POST", "/publish", **NEWS, message="one", message_id="1")
        without = api.in_background("POST", "/publish", **NEWS, message="two")
        eventually(lambda: len(journal.held) == 2)
        second.serve(InMemory())
        cluster.shard.give(second.url)
        second.api.post("/create_topic", **NEWS)
        journal.fail(IndexTimeout("It may have been carried out."))
        first.server.step_down("overtaken.")
        assert with_id.result().body["offset"] == 0
        reply = without.result()
        assert (reply.status, reply.body["code"]) == (504, "index_timeout")


@pytest.mark.parametrize("path", ["/topics", "/query_peers?topic=news", "/messages?topic=absent"])
def test_an_owner_that_was_replaced_without_noticing_tells_nothing_old(path: str) -> None:
    with start_cluster(owned=False) as cluster:
        first, second = cluster
        journal = Overtaken()
        first.take_over(journal)
        second.take_over(InMemory())
        second.api.post("/create_topic", **NEWS)
        journal.holds = True
        journal.fail(LOST)
        assert first.api.get(path) == second.api.get(path)._replace(headers=first.api.get(path).headers)


def brokers() -> int:
    gc.unfreeze()
    gc.collect()
    return sum(isinstance(each, Broker) for each in gc.get_objects())


def test_a_stream_that_goes_on_elsewhere_does_not_keep_the_state_of_its_first_owner(tmp_path: Path) -> None:
    tokens = Tokens("enrolment-secret", "administration-secret")
    with start_cluster(tmp_path, tokens=tokens) as cluster:
        first, second = cluster
        admin = first.api.showing("administration-secret")
        admin.subscriber("peer1", "news")
        with Reader(first.api, headers={"Authorization": "Bearer administration-secret"}, **PEER) as reader:
            assert reader.next().name == PING
            before = brokers()
            first.hand_over()
            second.take_over()
            publish(admin, "one")
            assert reader.messages(1) == ["one"]
            assert brokers() <= before + 1, "that of the new owner, and an empty one in place of the old"


def test_callers_see_no_error_while_the_shard_goes_round(cluster: Cluster) -> None:
    admitted = [200] * 100

    def publish_through(member: Member) -> list[int]:
        api = Api(member.server.url)
        return [api.post("/publish", **NEWS, message=number).status for number in range(100)]

    publishing = [in_background(partial(publish_through, member)) for member in cluster]
    for number in range(6):
        cluster.members[number % 3].hand_over()
        cluster.members[(number + 1) % 3].take_over()
    assert [each.result() for each in publishing] == [admitted] * 3
    pulled = cluster.members[1].api.post("/pull_messages", **PEER).body["messages"]
    assert sorted(pulled) == sorted(list(range(100)) * 3)


@pytest.mark.parametrize("at", [0, 2])
def test_a_token_that_was_given_since_is_known_though_the_owner_was_replaced_without_noticing(at: int) -> None:
    with start_cluster(count=3, owned=False, tokens=Tokens("enrolment-secret")) as cluster:
        first, second, _ = cluster
        journal = Overtaken()
        first.take_over(journal)
        second.serve(InMemory())
        token = second.api.showing("enrolment-secret").post("/register_peer_node", peer_id="peer1").body["token"]
        journal.holds = True
        peer = cluster.members[at].api.showing(token)
        called = in_background(partial(peer.post, "/create_topic", **NEWS))
        eventually(lambda: journal.held)
        cluster.shard.give(second.url)
        journal.fail(LOST)
        assert called.result().body["created"]


def test_a_late_notice_of_a_former_tenure_does_not_end_the_present_one() -> None:
    with start_cluster(count=1, owned=False) as cluster:
        (server,) = cluster
        former, present = InMemory(), InMemory()
        server.take_over(former)
        server.serve(present)
        server.server.step_down("it was overtaken.", former)
        assert server.api.post("/create_topic", **NEWS).body["created"]
        server.server.step_down("it was overtaken.", present)
        cluster.shard.give(None)
        assert server.api.get("/readyz").status == 503


def test_a_server_that_stops_ends_what_waits_and_takes_nothing(cluster: Cluster) -> None:
    first, _, third = cluster
    called = third.api.in_background("POST", "/pull_messages", **PEER, wait=60)
    eventually(lambda: waiting(first.api, 1))
    with Reader(third.api, peer_id="peer1", topic="news") as reader:
        assert reader.next().name == PING
        third.stop()
        assert reader.end() == "not_ready"
    reply = called.result()
    assert (reply.status, reply.body["code"]) == (503, "not_ready")
    publish(first.api, "one")
    assert first.api.post("/pull_messages", **PEER, wait=20).body["messages"] == ["one"]


def test_an_owner_that_stops_hands_over_and_passes_on_what_it_was_asked(cluster: Cluster) -> None:
    first, second, third = cluster
    called = third.api.in_background("POST", "/pull_messages", **PEER, wait=60)
    eventually(lambda: waiting(first.api, 1))
    stopping = in_background(first.stop)
    eventually(lambda: cluster.shard.owner is None)
    second.take_over()
    publish(third.api, "one")
    assert called.result().body["messages"] == ["one"]
    stopping.result()
