"""Who may do what at an indexing server that asks for tokens, and what the others are told."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from peerbus.http.listener import bind
from peerbus.server import IndexingServer, ServerOptions
from peerbus.server.access import Tokens
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from peerbus.wire.endpoints import Access
from tests.support.connections import JSON, Connection, request
from tests.support.endpoints import EXAMPLES, ROWS, Row, name_of
from tests.support.harness import DEADLINE, Api, Reply, serving, start_index
from tests.support.streams import PING, Reader

ENROLMENT, ADMIN, METRICS = "enrolment-secret", "administration-secret", "metrics-secret"
TOKENS = Tokens(ENROLMENT, ADMIN, METRICS)
GUARDED = [row for row in ROWS if row.access is not Access.ANYONE]
OF_A_PEER = [row for row in ROWS if row.access in (Access.PEER, Access.LEAVING) and row.has_peer_id]


@pytest.fixture
def server() -> Iterator[Api]:
    """A server that asks for tokens."""
    with start_index(tokens=TOKENS) as index:
        yield index


@pytest.fixture
def peer1(server: Api) -> Api:
    """Subscribed to `news`, and to the dead letters in `dead`, as the examples need it."""
    api = join(server, "peer1")
    assert api.post("/create_topic", topic="news").status == 200
    assert api.post("/subscribe", peer_id="peer1", topic="news").status == 200
    assert api.post("/create_topic", topic="dead").status == 200
    assert api.post("/subscribe", peer_id="peer1", topic="dead", group="dead-letters").status == 200
    return api


def register(api: Api, shown: str, peer_id: str, **fields: object) -> Reply:
    return api.showing(shown).post("/register_peer_node", peer_id=peer_id, **fields)


def authorization(api: Api) -> dict[str, str]:
    return {"Authorization": str(api.session.headers["Authorization"])}


def join(server: Api, peer_id: str) -> Api:
    return server.showing(register(server, ENROLMENT, peer_id).body["token"])


def example(api: Api, row: Row) -> Reply:
    fields = EXAMPLES[row.path].fields
    return api.send(row.method, row.path, **({"params": fields} if row.method == "GET" else {"json": fields}))


def code(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.body.get("code", "")


@pytest.mark.parametrize("row", GUARDED, ids=name_of)
def test_no_call_is_answered_without_a_token_or_with_one_that_is_not_known(server: Api, peer1: Api, row: Row) -> None:
    known = str(peer1.session.headers["Authorization"]).removeprefix("Bearer ")
    unknown = ("x", f"{known}x", "peer1.", "é")
    for authorization in ("", "Bearer", f"Basic {ENROLMENT}", *(f"Bearer {token}" for token in unknown)):
        server.session.headers["Authorization"] = authorization.encode("latin-1")
        reply = example(server, row)
        assert code(reply) == (401, "unauthorized"), authorization
        assert reply.headers["www-authenticate"] == "Bearer"
        assert "Bearer TOKEN" in reply.body["message"] or "enrolment token" in reply.body["message"]


def test_a_body_is_not_read_of_who_shows_no_token(server: Api) -> None:
    assert code(server.send("POST", "/publish", data=b"{", headers={"Content-Type": "text/plain"}))[0] == 401


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_an_admin_may_make_every_call(server: Api, peer1: Api, row: Row) -> None:
    assert peer1
    assert code(example(server.showing(ADMIN), row)) == (200, "")


@pytest.mark.parametrize("row", [row for row in ROWS if row.access is Access.ADMIN], ids=name_of)
def test_what_concerns_all_is_for_admins(server: Api, peer1: Api, row: Row) -> None:
    for api in (peer1, server.showing(ENROLMENT)):
        assert code(example(api, row)) == (403, "forbidden")


@pytest.mark.parametrize("row", OF_A_PEER, ids=name_of)
def test_a_call_for_a_peer_needs_the_token_of_that_peer(server: Api, peer1: Api, row: Row) -> None:
    fields = EXAMPLES[row.path].fields | {"peer_id": "peer1"}
    for other in (join(server, "peer2"), server.showing(ENROLMENT)):
        reply = other.send(row.method, row.path, json=fields)
        assert code(reply) == (403, "forbidden")
        assert "peer1" in reply.body["message"]
    assert code(peer1.send(row.method, row.path, json=fields)) == (200, "")


def test_topics_that_are_created_together_belong_to_their_creator(server: Api) -> None:
    creator, other = (join(server, peer_id) for peer_id in ("creator", "other"))
    few, many = ([f"{kind}-{number}" for number in range(size)] for kind, size in (("few", 3), ("many", 1300)))
    for topics in (few, many):
        assert creator.post("/create_topics", topics=topics).body["created"] == len(topics)
        assert other.post("/create_topics", topics=topics).body["existed"] == topics
        assert code(other.post("/create_topics", topics=topics, peer_id="creator")) == (403, "forbidden")
        assert code(other.delete("/delete_topic", topic=topics[-1])) == (403, "forbidden")
        assert code(creator.delete("/delete_topic", topic=topics[-1])) == (200, "")


def test_a_group_is_ended_by_its_members_the_creator_of_the_topic_and_admins(server: Api) -> None:
    creator, member, other = (join(server, peer_id) for peer_id in ("creator", "member", "other"))
    creator.post("/create_topic", topic="jobs", peer_id="creator")
    end = {"topic": "jobs", "group": "g", "end": True}
    for api, allowed in (
        (other, False),
        (server.showing(ENROLMENT), False),
        (member, True),
        (creator, True),
        (server.showing(ADMIN), True),
    ):
        assert member.post("/subscribe", peer_id="member", topic="jobs", group="g").status == 200
        assert code(api.post("/unsubscribe", **end)) == ((200, "") if allowed else (403, "forbidden"))
    assert code(other.post("/unsubscribe", peer_id="member", topic="jobs")) == (403, "forbidden")


def test_health_is_for_everybody(server: Api) -> None:
    assert [server.get(path).status for path in ("/livez", "/readyz")] == [200, 200]


def test_a_large_body_is_not_read_of_who_is_asked_for_no_token(server: Api) -> None:
    body = b" " * (1 << 17) + b"{}"
    for path in ("/livez", "/readyz"):
        assert code(server.send("GET", path, data=body, headers=JSON)) == (413, "too_large")


def test_a_peer_gets_a_token_of_its_own_and_renews_its_lease_with_it(server: Api) -> None:
    answer = register(server, ENROLMENT, "a.b").body
    assert re.fullmatch(r"a\.b\.[\w-]{43}", answer["token"])
    again = register(server, answer["token"], "a.b", lease_seconds=9)
    assert (again.status, again.body["created"], "token" in again.body) == (200, False, False)
    assert register(server, ENROLMENT, "b").body["token"] != answer["token"]


def test_a_peer_may_bring_its_token_and_come_back_with_it(server: Api) -> None:
    token = "a." + "s" * 40
    for created in (True, False):
        assert register(server, ENROLMENT, "a", token=token).body["created"] is created
    assert server.showing(token).post("/unregister_peer_node", peer_id="a").status == 200
    assert code(server.showing(token).get("/topics")) == (401, "unauthorized")
    assert register(server, ENROLMENT, "a", token=token).body["token"] == token


@pytest.mark.parametrize("token", ["b." + "s" * 40, "s" * 40, "a" * 32])
def test_a_token_that_does_not_name_its_peer_is_refused(server: Api, token: str) -> None:
    assert code(register(server, ENROLMENT, "a", token=token)) == (403, "forbidden")
    assert code(register(server, ENROLMENT, "a", token=token[:10])) == (400, "bad_request")


def test_nobody_takes_a_peer_over(server: Api, peer1: Api) -> None:
    stranger = join(server, "peer2")
    for token in (ENROLMENT, str(stranger.session.headers["Authorization"])[7:]):
        assert code(register(server, token, "peer1")) == (403, "forbidden")
    assert code(register(server, ENROLMENT, "peer1", token="peer1." + "s" * 40)) == (403, "forbidden")
    assert register(server, ADMIN, "peer1").body["created"] is False
    assert peer1.post("/pull_messages", peer_id="peer1", topic="news").status == 200


def begin_anew(server: Api, peer_id: str) -> Api:
    """A peer is put out, and its id and its subscription to `news` go to another."""
    assert server.showing(ADMIN).post("/unregister_peer_node", peer_id=peer_id).status == 200
    other = join(server, peer_id)
    assert other.post("/subscribe", peer_id=peer_id, topic="news").status == 200
    return other


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/pull_messages", b'{"peer_id": "peer1", "topic": "news"}'),
        ("/register_peer_node", b'{"peer_id": "peer1"}'),
        ("/create_topic", b'{"topic": "mine"}'),
    ],
)
def test_a_token_that_ends_before_a_body_has_come_is_not_good_for_it(
    server: Api, peer1: Api, path: str, body: bytes
) -> None:
    with Connection(server.url) as slow:
        headers = {**JSON, **authorization(peer1), "Expect": "100-continue"}
        slow.send(request("POST", path, b"", headers, length=len(body)))
        assert slow.head().startswith(b"HTTP/1.1 100 "), "the head was let in"
        other = begin_anew(server, "peer1")
        assert other.post("/publish", topic="news", message="another's").status == 200
        slow.send(body)
        reply = slow.reply()
    assert (reply.status, reply.json()["code"]) == (401, "unauthorized")
    assert other.post("/pull_messages", peer_id="peer1", topic="news").body["messages"] == ["another's"]


def test_a_stream_takes_nothing_of_who_has_its_peers_id_now(server: Api, peer1: Api) -> None:
    with Reader(peer1, headers=authorization(peer1), peer_id="peer1", topic="news") as slow:
        for first in range(0, 400, 50):
            messages = [[number, "x" * 100_000] for number in range(first, first + 50)]
            assert peer1.post("/publish", topic="news", messages=messages).status == 200
        other = begin_anew(server, "peer1")
        assert other.post("/publish", topic="news", message="another's").status == 200
        events = [slow.next()]
        while events[-1].name != "end" and events[-1].data != "another's":
            events.append(slow.next())
    assert (events[-1].name, events[-1].data["code"]) == ("end", "unauthorized")
    assert other.post("/pull_messages", peer_id="peer1", topic="news").body["messages"] == ["another's"]


FOLLOWED: dict[str, Any] = {"peer_id": "peer1", "topic": "news"}


def test_a_ticket_replaces_the_token_of_one_stream(server: Api, peer1: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "peerbus")
    peer1.post("/publish", topic="news", message="one")
    ticket = peer1.post("/stream_ticket", **FOLLOWED).body["ticket"]
    assert code(server.get("/stream", **FOLLOWED)) == (401, "unauthorized")
    with Reader(server, **FOLLOWED, ticket=ticket) as reader:
        assert reader.messages(1) == ["one"]
    again = peer1.get("/stream", **FOLLOWED, ticket=ticket)
    assert code(again) == (401, "unauthorized"), "the ticket counts, not the token"
    assert again.headers["www-authenticate"] == "Bearer"
    assert again.body["message"].startswith("The ticket was used before")
    assert "This ticket is good for one stream" in caplog.text
    assert ticket not in caplog.text


def test_a_ticket_is_issued_to_who_may_follow(server: Api, peer1: Api) -> None:
    assert code(server.post("/stream_ticket", **FOLLOWED)) == (401, "unauthorized")
    for other in (server.showing(ENROLMENT), join(server, "peer2")):
        assert code(other.post("/stream_ticket", **FOLLOWED)) == (403, "forbidden")
    other = join(server, "peer3")
    ticket = other.post("/stream_ticket", peer_id="peer3", topic="news").body["ticket"]
    assert code(server.get("/stream", **FOLLOWED, ticket=ticket)) == (403, "forbidden")
    for allowed in (peer1, server.showing(ADMIN)):
        ticket = allowed.post("/stream_ticket", **FOLLOWED).body["ticket"]
        with Reader(server, **FOLLOWED, ticket=ticket) as reader:
            assert reader.next().name == PING


@pytest.mark.parametrize("issuer", ["the peer", "an admin"])
def test_a_stream_by_ticket_ends_with_the_token_of_its_peer(server: Api, peer1: Api, issuer: str) -> None:
    by = peer1 if issuer == "the peer" else server.showing(ADMIN)
    used, unused = (by.post("/stream_ticket", **FOLLOWED).body["ticket"] for _ in range(2))
    with Reader(server, **FOLLOWED, ticket=used) as reader:
        assert reader.next().name == PING
        other = begin_anew(server, "peer1")
        assert other.post("/publish", topic="news", message="another's").status == 200
        assert reader.end() in ("unauthorized", "peer_not_found")
    assert code(server.get("/stream", **FOLLOWED, ticket=unused)) == (401, "unauthorized")
    assert other.post("/pull_messages", **FOLLOWED).body["messages"] == ["another's"]


def test_what_names_no_peer_is_done_in_the_name_of_the_caller(server: Api, peer1: Api) -> None:
    assert peer1.post("/create_topic", topic="mine").status == 200
    other = join(server, "peer2")
    refused = other.delete("/delete_topic", topic="mine")
    assert code(refused) == (403, "forbidden")
    assert "the peer that created it" in refused.body["message"]
    assert code(other.delete("/delete_topic", topic="nobodys")) == (404, "topic_not_found")
    assert peer1.delete("/delete_topic", topic="mine").status == 200


def test_who_may_register_may_do_what_names_no_peer(server: Api, peer1: Api) -> None:
    newcomer = server.showing(ENROLMENT)
    assert newcomer.post("/publish", topic="news", message=1).status == 200
    assert newcomer.get("/query_peers", topic="news").status == 200
    assert newcomer.post("/create_topic", topic="anyones").status == 200
    assert code(newcomer.delete("/delete_topic", topic="anyones")) == (403, "forbidden")
    assert code(peer1.delete("/delete_topic", topic="anyones")) == (403, "forbidden")
    assert server.showing(ADMIN).delete("/delete_topic", topic="anyones").status == 200


def test_without_an_admin_token_nobody_is_an_admin() -> None:
    with start_index(tokens=Tokens(ENROLMENT)) as server:
        assert code(server.showing(ENROLMENT).get("/stats")) == (403, "forbidden")
        assert code(server.showing("").get("/stats")) == (401, "unauthorized")


def test_tokens_are_kept_as_hashes_and_outlive_a_restart(tmp_path: Path) -> None:
    def start() -> Iterator[Api]:
        journal = GroupCommit(Storage(tmp_path), 0)
        listener = bind("127.0.0.1", 0)
        yield from serving(IndexingServer(listener, ServerOptions(tokens=TOKENS), journal))

    for server in start():
        token = register(server, ENROLMENT, "a").body["token"]
        assert server.showing(token).post("/create_topic", topic="mine").status == 200
    for server in start():
        assert code(register(server, ENROLMENT, "a")) == (403, "forbidden")
        assert server.showing(token).delete("/delete_topic", topic="mine").status == 200
        kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (token, token.partition(".")[2], ENROLMENT, ADMIN, METRICS):
        assert secret.encode() not in kept


def test_tokens_are_not_logged(server: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        token = register(server, ENROLMENT, "a").body["token"]
        server.showing(token).post("/create_topic", topic="news")
        server.showing("an unknown token").get("/topics")
        server.showing(token).get("/stats")
        register(server, ENROLMENT, "a", token="b." + "s" * 40)
    assert "is registered" in caplog.text
    for secret in (token, ENROLMENT, "an unknown token", "s" * 40):
        assert secret not in caplog.text


@pytest.mark.parametrize("path", ["/metrics", "/stats"])
def test_metrics_are_for_admins_and_for_the_metrics_token(server: Api, peer1: Api, path: str) -> None:
    def read(api: Api) -> requests.Response:
        return api.session.get(f"{server.url}{path}", timeout=DEADLINE)

    assert [read(server.showing(token)).status_code for token in ("unknown", ADMIN, METRICS)] == [401, 200, 200]
    for api in (peer1, server.showing(ENROLMENT)):
        refused = read(api)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert "the metrics token or the admin token" in refused.json()["message"]


@pytest.mark.parametrize("row", [row for row in GUARDED if row.access is not Access.METRICS], ids=name_of)
def test_the_metrics_token_permits_no_other_call(server: Api, peer1: Api, row: Row) -> None:
    assert peer1
    refused = example(server.showing(METRICS), row)
    assert code(refused) == (403, "forbidden")
    assert "GET /metrics and GET /stats" in refused.body["message"]


def test_the_metrics_token_opens_no_stream(server: Api, peer1: Api) -> None:
    assert peer1
    assert code(server.showing(METRICS).get("/stream", peer_id="peer1", topic="news")) == (403, "forbidden")


def test_without_a_metrics_token_no_token_is_for_metrics() -> None:
    with start_index(tokens=Tokens(ENROLMENT, ADMIN)) as server:
        for token, expected in ((METRICS, 401), ("", 401), (ENROLMENT, 403), (ADMIN, 200)):
            assert server.showing(token).get("/stats").status == expected


def test_a_peer_sees_its_own_subscriptions_and_an_admin_those_of_all(server: Api, peer1: Api) -> None:
    other = join(server, "peer2")
    assert other.post("/subscribe", topic="news", peer_id="peer2").status == 200

    def queues(api: Api) -> list[str]:
        return [view["queue"] for view in api.get("/subscriptions", topic="news").body["subscriptions"]]

    assert (queues(peer1), queues(other)) == (["peer1"], ["peer2"])
    assert queues(server.showing(ADMIN)) == ["peer1", "peer2"]
    assert code(peer1.get("/subscriptions", topic="news", peer_id="peer2")) == (403, "forbidden")
    assert code(server.showing(ENROLMENT).get("/subscriptions", topic="news")) == (403, "forbidden")


def test_a_peer_sees_what_is_in_flight_in_its_own_queue(server: Api, peer1: Api) -> None:
    other = join(server, "peer2")
    assert other.post("/subscribe", topic="news", peer_id="peer2", group="g").status == 200
    assert peer1.get("/in_flight", topic="news").body["in_flight"] == []
    assert code(peer1.get("/in_flight", topic="news", peer_id="peer2")) == (403, "forbidden")
    assert code(peer1.get("/in_flight", topic="news", group="g")) == (404, "not_subscribed")
    assert other.get("/in_flight", topic="news", group="g").status == 200
    assert server.showing(ADMIN).get("/in_flight", topic="news", group="g").status == 200
    assert code(server.showing(ENROLMENT).get("/in_flight", topic="news", group="g")) == (403, "forbidden")
