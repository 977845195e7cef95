"""Peer nodes where the indexing server asks for tokens, and nodes that ask for one themselves."""

from collections.abc import Iterator

import pytest

from peerbus.server.access import Tokens
from tests.support.harness import Api, eventually, start_index, start_node
from tests.support.servers import Restartable
from tests.support.streams import PING, Reader

TOKENS = Tokens("the enrolment token", "the admin token")
OWN = "the node's own token"


@pytest.fixture
def index() -> Iterator[Api]:
    with start_index(tokens=TOKENS) as index:
        yield index


def test_a_node_carries_its_tokens_by_itself(index: Api) -> None:
    with start_node("a", index.url, index_token=TOKENS.enrolment) as a:
        assert a.get("/readyz").status == 200
        assert a.post("/create_topic", topic="news").status == 200
        assert a.post("/subscribe", topic="news").status == 200
        assert a.post("/publish", topic="news", message=1).status == 200
        assert a.post("/pull_messages", topic="news").body["messages"] == [1]
        assert a.post("/register_peer_node").body["created"] is False
        assert a.post("/publish", topic="news", message=2).status == 200
        with start_node("b", index.url, index_token=TOKENS.enrolment) as b:
            assert b.delete("/delete_topic", topic="news").body["code"] == "forbidden"
        assert a.delete("/delete_topic", topic="news").status == 200
        assert a.post("/unregister_peer_node").status == 200
        assert a.post("/register_peer_node").body["created"] is True
        assert a.get("/topics").status == 200
    assert index.showing("the admin token").get("/peers").body["peers"] == []


def test_what_a_node_may_not_do_its_callers_are_told_as_the_server_says_it(index: Api) -> None:
    with start_node("a", index.url, index_token=TOKENS.enrolment) as node:
        assert node.get("/stats").body["code"] == "forbidden"
    with start_node("a", index.url) as node:
        refused = node.post("/create_topic", topic="news")
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert node.get("/readyz").status == 503
        assert "index_lost" in node.events()


def test_an_application_may_name_the_token_of_its_peer(index: Api) -> None:
    with start_node("a", index.url, index_token=TOKENS.enrolment) as node:
        assert node.post("/unregister_peer_node").status == 200
        assert node.post("/register_peer_node", token="a." + "s" * 40).status == 200
        assert node.post("/create_topic", topic="news").status == 200
    with start_node("b", index.url, index_token=TOKENS.enrolment) as node:
        assert node.post("/register_peer_node", token="b." + "s" * 40).body["code"] == "forbidden"
        assert node.post("/create_topic", topic="more").status == 200


def test_a_node_registers_again_when_its_token_is_no_longer_known(server: Restartable) -> None:
    server.tokens = TOKENS
    server.start()
    with start_node("a", server.url, index_token=TOKENS.enrolment) as node:
        assert node.post("/create_topic", topic="news").status == 200
        server.restart()
        assert node.post("/create_topic", topic="news").body["created"] is True
        assert node.post("/subscribe", topic="news").status == 200
        eventually(lambda: node.get("/readyz").status == 200)


def test_a_node_asks_its_callers_for_its_token(index: Api) -> None:
    with start_node("a", index.url, index_token=TOKENS.enrolment, token=OWN) as node:
        for caller in (node, node.showing("another"), node.showing(TOKENS.enrolment)):
            for method, path in (
                ("POST", "/exit_peer"),
                ("GET", "/metrics"),
                ("GET", "/events"),
                ("GET", "/topics"),
                ("POST", "/publish"),
            ):
                refused = caller.send(method, path)
                assert (refused.status, refused.body["code"]) == (401, "unauthorized")
        assert node.get("/livez").status == 200
        assert node.post("/notify", event="topic_deleted", topic="t", message="m").status == 200
        assert node.post("/notify", event="topic_deleted", topic="t", message="m" * (1 << 17)).status == 413
        allowed = node.showing(OWN)
        assert allowed.post("/create_topic", topic="news").status == 200
        assert allowed.post("/exit_peer").status == 200


@pytest.mark.parametrize("token", [OWN, None], ids=["with a token", "without one"])
def test_a_node_issues_tickets_for_its_own_streams(index: Api, token: str | None) -> None:
    with start_node("a", index.url, index_token=TOKENS.enrolment, token=token) as node:
        allowed = node.showing(OWN) if token else node
        allowed.post("/create_topic", topic="news")
        allowed.post("/subscribe", topic="news")
        allowed.post("/publish", topic="news", message=1)
        for named in ({}, {"peer_id": "a"}):
            ticket = allowed.post("/stream_ticket", topic="news", **named).body["ticket"]
            with Reader(node, topic="news", ticket=ticket) as reader:
                assert reader.next().name == PING
            again = node.get("/stream", topic="news", ticket=ticket)
            assert (again.status, again.body["code"]) == (401, "unauthorized")
        ticket = allowed.post("/stream_ticket", topic="news").body["ticket"]
        refused = {
            "another peer": allowed.post("/stream_ticket", topic="news", peer_id="b"),
            "another topic": node.get("/stream", topic="other", ticket=ticket),
            "the server": index.get("/stream", topic="news", peer_id="a", ticket=ticket),
        }
        assert {name: (reply.status, reply.body["code"]) for name, reply in refused.items()} == {
            "another peer": (403, "peer_mismatch"),
            "another topic": (403, "forbidden"),
            "the server": (401, "unauthorized"),
        }
        assert node.post("/stream_ticket", topic="news").status == (401 if token else 200)
        assert allowed.post("/stream_ticket", topic="news", peer_id=None).status == 400
