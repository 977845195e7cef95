"""Who may call: the names a server is called by, and the pages that call it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from peerbus.http.listener import bind
from peerbus.http.middleware import Guards
from peerbus.server import IndexingServer, ServerOptions
from tests.support.connections import JSON, Connection, RawReply, call
from tests.support.harness import Api, eventually, serving, start_index, start_node

NEVER_PAGES = ["https://evil.example", "http://localhost", "null", "", "http://localhost:1", "file://"]
"""Origins of other pages than the server's own."""
SERVED = [
    "localhost",
    "LocalHost:5000",
    "localhost.",
    "localhost:",
    "bus.localhost",
    "127.0.0.1",
    "127.3.2.1:80",
    "[::1]",
    "[::1]:5000",
    "bus.example.com",
    "BUS.example.com.:5000",
    "[fd00::7]:5000",
]
"""Host headers of a server on loopback that is called bus.example.com and fd00::7 too."""
REFUSED = [
    "evil.example",
    "evil.example:5000",
    "localhost.evil.example",
    "notlocalhost",
    "127.0.0.1.evil.example",
    "0.0.0.0",  # noqa: S104  # what is tested
    "10.0.0.1",
    "[::]",
    "[fe80::1]",
    "127.0.0.1,evil.example",
    "example.com",
    "x.bus.example.com",
    "x" * 5000,
]
JUNK = [
    ":5000",
    "::1",
    "localhost:80:evil",
    "localhost@evil.example",
    "localhost/",
    "[localhost",
    "evil.example, localhost",
]
"""Host headers that are none by the grammar (RFC 9112, 3.2)."""
CREATE = b'{"topic": "news"}'


@contextmanager
def start(host: str = "127.0.0.1", **guards: Any) -> Iterator[Api]:
    """An indexing server with these guards."""
    server = IndexingServer(bind(host, 0), ServerOptions(guards=Guards(**guards)))
    yield from serving(server)


@contextmanager
def start_guarded_node(**guards: Any) -> Iterator[Api]:
    with start_index() as index, start_node("peer1", index.url, guards=Guards(**guards)) as node:
        yield node


STARTERS = {"indexing server": start, "peer node": start_guarded_node}


def named(api: Api, host: str, method: str = "GET", path: str = "/topics", body: bytes = b"") -> RawReply:
    return call(api, method, path, body, {"Host": host, **JSON})


def called_from(api: Api, origin: str, method: str = "GET", path: str = "/topics", **headers: str) -> RawReply:
    """A call of a page from there."""
    return call(api, method, path, b"", {"Host": api.url.removeprefix("http://"), "Origin": origin, **headers})


def code_of(reply: RawReply) -> str:
    return str(reply.json()["code"])


# Names


@pytest.fixture(scope="module", params=STARTERS)
def served(request: pytest.FixtureRequest) -> Iterator[Api]:
    with STARTERS[request.param](hosts=["Bus.Example.com", "fd00::7"]) as api:
        yield api


@pytest.mark.parametrize("host", SERVED)
def test_its_own_names_are_served_with_any_port(served: Api, host: str) -> None:
    assert named(served, host).status == 200


@pytest.mark.parametrize("host", REFUSED)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/topics"), ("POST", "/create_topic"), ("GET", "/"), ("PUT", "/nothing")]
)
def test_any_other_name_is_refused_whatever_is_called(served: Api, host: str, method: str, path: str) -> None:
    reply = named(served, host, method, path, CREATE if method == "POST" else b"")
    assert (reply.status, code_of(reply)) == (403, "host_not_allowed")
    assert "--allow-host" in reply.json()["message"]
    assert len(reply.body) < 500
    assert named(served, "localhost").json()["topics"] == []


@pytest.mark.parametrize("host", JUNK)
def test_what_is_no_name_is_refused_as_a_bad_request(served: Api, host: str) -> None:
    reply = named(served, host, "POST", "/create_topic", CREATE)
    assert (reply.status, code_of(reply), reply.headers["connection"]) == (400, "bad_request", "close")
    assert named(served, "localhost").json()["topics"] == []


def test_a_request_that_names_no_host_is_served(served: Api) -> None:
    with Connection(served.url) as connection:
        connection.send(b"GET /topics HTTP/1.0\r\n\r\n")
        assert connection.reply().status == 200


def test_who_tries_many_names_is_refused_each_time() -> None:
    with start() as api, Connection(api.url) as connection:
        for number in range(2000):
            reply = connection.call("GET", "/livez", headers={"Host": f"name{number}.localhost"})
            assert reply.status == 200
        for number in range(100):
            assert connection.call("GET", "/livez", headers={"Host": f"name{number}.example"}).status == 403


def test_off_loopback_any_name_is_served_unless_names_are_given() -> None:
    with start("0.0.0.0") as api:  # noqa: S104  # what is tested
        assert named(api, "evil.example").status == 200
    with start("0.0.0.0", hosts=["bus"]) as api:  # noqa: S104
        assert [named(api, host).status for host in ("bus:5000", "localhost", "evil.example")] == [200, 200, 403]


def test_a_node_is_served_under_the_name_it_tells_others(index: Api) -> None:
    with start_node("peer1", index.url, advertise="bus.example.com") as node:
        assert [named(node, host, path="/events").status for host in ("bus.example.com:1", "evil.example")] == [
            200,
            403,
        ]


# Pages


@pytest.mark.parametrize("origin", NEVER_PAGES)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_a_page_from_elsewhere_may_not_call(origin: str, method: str) -> None:
    with start() as api:
        reply = called_from(api, origin, method)
        assert (reply.status, code_of(reply)) == (403, "origin_not_allowed")
        assert "access-control-allow-origin" not in reply.headers


def test_a_page_from_elsewhere_cannot_stop_a_node() -> None:
    with start_guarded_node() as node:
        eventually(lambda: node.events() == ["registered"])
        assert code_of(called_from(node, "https://evil.example", "POST", "/exit_peer")) == "origin_not_allowed"
        assert node.get("/events").status == 200


@pytest.mark.parametrize("kind", STARTERS)
def test_the_servers_own_pages_may_call_and_need_no_leave_of_the_browser(kind: str) -> None:
    with STARTERS[kind]() as api:
        for host in (api.url.removeprefix("http://"), "localhost:5000"):
            reply = call(api, "POST", "/create_topic", CREATE, {"Host": host, "Origin": f"http://{host}", **JSON})
            assert reply.status == 200
            assert "access-control-allow-origin" not in reply.headers
        assert call(api, "GET", "/topics", headers={"Host": "localhost", "Origin": "https://localhost"}).status == 403


@pytest.mark.parametrize("kind", STARTERS)
def test_a_page_that_was_allowed_may_call_and_read_every_answer(kind: str) -> None:
    page = "https://pages.example"
    with STARTERS[kind](origins=["https://other.example", "https://Pages.example/"]) as api:
        for method, path, status in (("GET", "/topics", 200), ("POST", "/publish", 400), ("GET", "/nothing", 404)):
            reply = called_from(api, page, method, path)
            assert reply.status == status
            assert reply.headers["access-control-allow-origin"] == page
            assert reply.headers["vary"] == "Origin"
            assert reply.headers["access-control-expose-headers"] == "Retry-After"
        assert called_from(api, "https://pages.example.evil.example").status == 403
        assert "access-control-allow-origin" not in call(api, "GET", "/topics").headers


def test_all_pages_may_call_where_all_were_allowed() -> None:
    with start(origins=["*"]) as api:
        for origin in NEVER_PAGES:
            reply = called_from(api, origin)
            assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, "*")


def test_a_browser_that_asks_first_is_told_what_a_page_may_send() -> None:
    with start(origins=["https://pages.example"]) as api:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        reply = called_from(api, "https://pages.example", "OPTIONS", "/publish", **asked)
        assert (reply.status, reply.body) == (204, b"")
        assert reply.headers["access-control-allow-origin"] == "https://pages.example"
        assert reply.headers["access-control-allow-methods"] == "GET, POST, DELETE"
        assert (
            reply.headers["access-control-allow-headers"] == "Content-Type, Authorization, Last-Event-ID, Cache-Control"
        )
        assert reply.headers["access-control-max-age"] == "600"
        assert called_from(api, "https://evil.example", "OPTIONS", "/publish", **asked).status == 403
        assert called_from(api, "https://pages.example", "OPTIONS", "/publish").status == 405


def test_a_page_that_may_call_is_still_refused_under_a_wrong_name() -> None:
    with start(origins=["*"]) as api:
        reply = call(api, "GET", "/topics", headers={"Host": "evil.example", "Origin": "http://evil.example"})
        assert code_of(reply) == "host_not_allowed"
