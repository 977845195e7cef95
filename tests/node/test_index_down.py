"""A peer node whose indexing server is not there, does not answer, or is something else."""

from collections.abc import Iterator

import pytest

from peerbus.http.event_loop import Loop
from peerbus.node.event_log import EventLog
from peerbus.node.membership import Membership
from peerbus.node.server_client import ServerClient
from peerbus.wire.endpoints import ENDPOINTS, Endpoint
from tests.support.fakes import HANG_UP, SILENCE, fake_server, http
from tests.support.harness import DEADLINE, Api, eventually, free_port, start_node
from tests.support.servers import Restartable

REGISTERED = b'{"message": "", "peer_id": "peer1", "created": true, "epoch": "e"}'
NESTED = b'{"code": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
by_name = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)


@pytest.fixture(scope="module")
def lost() -> Iterator[Api]:
    """A node whose indexing server is not running."""
    with start_node("peer1", f"http://127.0.0.1:{free_port()}") as node:
        yield node


@pytest.fixture(scope="module")
def stuck() -> Iterator[Api]:
    """A node whose indexing server takes requests and never answers."""
    with fake_server(SILENCE) as silent, start_node("peer1", silent.url, index_timeout=0.1) as node:
        yield node


@by_name
def test_without_a_server_a_call_is_answered_with_index_unreachable(lost: Api, endpoint: Endpoint) -> None:
    reply = lost.send(endpoint.method, endpoint.path, json={"topic": "news"})
    assert (reply.status, reply.body["code"], reply.headers["Retry-After"]) == (502, "index_unreachable", "1")


@by_name
def test_a_server_that_does_not_answer_is_an_index_timeout(stuck: Api, endpoint: Endpoint) -> None:
    reply = stuck.send(endpoint.method, endpoint.path, json={"topic": "news"})
    assert (reply.status, reply.body["code"], reply.headers["Retry-After"]) == (504, "index_timeout", "1")


def test_the_time_a_pull_waits_is_added_to_the_time_an_answer_may_take(stuck: Api) -> None:
    reply = stuck.post("/pull_messages", topic="news", wait=0.2)
    assert (reply.status, reply.body["message"].partition("within ")[2]) == (504, "0.3 seconds.")


@pytest.mark.parametrize("node", ["lost", "stuck"])
def test_a_node_without_a_server_answers_its_own_calls(node: str, request: pytest.FixtureRequest) -> None:
    api: Api = request.getfixturevalue(node)
    assert api.get("/livez").status == 200
    ready = api.get("/readyz")
    assert (ready.status, ready.body["code"]) == (503, "not_ready")
    assert api.events() == ["index_lost"]
    assert api.get("/nothing").status == 404


@pytest.mark.parametrize(
    "junk",
    [
        HANG_UP,
        b"SSH-2.0-OpenSSH_9.6\r\n",
        http(200, b"hello", "text/plain"),
        http(200, b"<html>", "text/html"),
        http(502, b"<html>Bad Gateway</html>", "text/html"),
        http(200, b"hello"),
        http(200, b"[1]"),
        http(200, b"{}"),
        http(204, b""),
        http(302, b"{}", "application/json", "Location: http://127.0.0.1:9/"),
        http(520, b"{}"),
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    ],
)
@pytest.mark.parametrize("path", ["/register_peer_node", "/subscribe"])
def test_what_is_no_indexing_server_counts_as_unreachable(junk: bytes, path: str) -> None:
    with fake_server(junk, hang_up_after_answer=True) as fake, start_node("peer1", fake.url) as node:
        reply = node.post(path, topic="news") if path != "/register_peer_node" else node.post(path)
        assert (reply.status, reply.body["code"]) == (502, "index_unreachable")
        assert node.get("/readyz").status == 503


def test_a_node_outlives_a_server_that_answers_junk_to_its_renewal() -> None:
    answers = [REGISTERED, b'{"epoch": 1}', REGISTERED.replace(b"true", b"false")]
    with (
        fake_server(*(http(200, body) for body in answers)) as fake,
        start_node("peer1", fake.url, lease_seconds=0.15) as node,
    ):
        eventually(lambda: node.events() == ["registered", "index_lost", "index_back"])


def test_an_error_that_is_not_in_the_catalogue_passes_unchanged() -> None:
    body = b'{"code": "from_the_future", "message": "Not known yet.", "more": 1}'
    with fake_server(http(200, REGISTERED), http(404, body)) as fake, start_node("peer1", fake.url) as node:
        reply = node.post("/pull_messages", topic="news")
    assert reply.status == 404
    assert reply.body == {"code": "from_the_future", "message": "Not known yet.", "more": 1}


@pytest.mark.parametrize("status", [200, 404])
def test_a_node_outlives_answers_that_are_nested_too_deeply(status: int) -> None:
    with (
        fake_server(http(status, NESTED)) as fake,
        start_node("peer1", fake.url, lease_seconds=0.15) as node,
    ):
        for _ in range(3):
            assert b"/register_peer_node" in fake.next_request()
        reply = node.session.post(f"{node.url}/pull_messages", json={"topic": "news"}, timeout=DEADLINE)
        assert (reply.status_code, reply.content) == (status, NESTED)


def test_a_publish_that_the_server_may_have_taken_is_not_made_again() -> None:
    with fake_server(http(200, REGISTERED), HANG_UP) as fake, start_node("peer1", fake.url) as node:
        fake.next_request()
        reply = node.post("/publish", topic="news", message="once")
        assert (reply.status, reply.body["code"]) == (502, "index_unreachable")
        assert b"once" in fake.next_request()
        assert fake.requests.empty()


def test_a_registration_that_keeps_the_first_renewal_waiting_ends_no_renewals(index: Api) -> None:
    loop = Loop("loop")
    client = ServerClient(loop, index.url, timeout=0.1, max_waiting=1)
    membership = Membership(client, "peer1", "http://127.0.0.1:1", 30.0, EventLog(), 3.0)
    with membership.unchanging():
        membership.start()
    assert eventually(lambda: membership.registered)
    membership.stop(keep=True)
    client.close()
    loop.close()


def test_a_node_started_before_its_server_registers_once_it_is_there(server: Restartable) -> None:
    with start_node("peer1", server.url, lease_seconds=0.3) as node:
        assert node.get("/readyz").status == 503
        index = server.start()
        eventually(lambda: node.get("/readyz").status == 200)
        assert [peer["peer_id"] for peer in index.get("/peers").body["peers"]] == ["peer1"]
        assert node.events() == ["index_lost", "registered", "index_back"]


def test_a_call_made_before_the_node_has_registered_registers_it(server: Restartable) -> None:
    with start_node("peer1", server.url) as node:
        server.start()
        assert node.post("/create_topic", topic="news").status == 200
        assert node.post("/subscribe", topic="news").status == 200
        assert node.get("/readyz").status == 200


def test_calls_work_again_once_the_server_is_back(server: Restartable) -> None:
    server.start()
    with start_node("peer1", server.url) as node:
        server.stop()
        assert node.get("/topics").status == 502
        server.start()
        assert node.get("/topics").status == 200
