"""What goes over one connection, and what odd or broken clients can do."""

from urllib.parse import urlencode

import pytest

from tests.support.connections import JSON, ODD_PATHS, Connection, call, request
from tests.support.endpoints import EXAMPLES, ROWS, Row, name_of, prepare
from tests.support.harness import Api
from tests.support.servers import serve


def test_a_connection_serves_one_request_after_the_other(api: Api) -> None:
    with Connection(api.url) as connection:
        created = [connection.call("POST", "/create_topic", b'{"topic": "news"}').json()["created"] for _ in range(3)]
        statuses = [
            connection.call("GET", "/topics").status,
            connection.call("GET", "/nothing").status,
            connection.call("POST", "/publish", b"[]").status,
            connection.call("HEAD", "/topics").status,
            connection.call("PUT", "/publish").status,
            connection.call("GET", "/livez").status,
        ]
    assert created == [True, False, False]
    assert statuses == [200, 404, 400, 200, 405, 200]


def test_a_request_may_come_in_pieces(api: Api) -> None:
    data = request("POST", "/create_topic", b'{"topic": "news"}')
    with Connection(api.url) as connection:
        for position in range(len(data)):
            connection.send(data[position : position + 1])
        assert connection.reply().json()["created"]


@pytest.mark.parametrize("row", [row for row in ROWS if row.method == "GET"], ids=name_of)
def test_head_answers_the_headers_of_get(api: Api, row: Row) -> None:
    prepare(api)
    path = f"{row.path}?{urlencode(EXAMPLES[row.path].fields)}"
    with Connection(api.url) as connection:
        head, get = connection.call("HEAD", path), connection.call("GET", path)
    assert (head.status, get.status) == (200, 200)
    assert (head.body, head.headers["content-type"]) == (b"", get.headers["content-type"])


@pytest.mark.parametrize(
    "body", [b"", b'{"topic": ', b'{"topic": "half"}'], ids=["nothing", "a part", "all that counts"]
)
def test_a_body_that_ends_before_its_declared_length_is_not_acted_on(api: Api, body: bytes) -> None:
    with Connection(api.url) as connection:
        connection.send(request("POST", "/create_topic", body, length=100))
        connection.end_sending()
        reply = connection.reply()
    assert (reply.status, reply.json()["code"]) == (400, "bad_request")
    assert f"{len(body)} of 100 bytes" in reply.json()["message"]
    assert api.get("/topics").body["topics"] == []


@pytest.mark.parametrize("ending", [b"", b"zz\r\n"], ids=["the end", "no chunk"])
def test_a_body_of_unknown_length_that_breaks_off_is_not_acted_on_by_the_loop(ending: bytes) -> None:
    head = request("POST", "/create_topic", b"", JSON | {"Transfer-Encoding": "chunked"})
    with serve("dispatch") as api, Connection(api.url) as connection:
        connection.send(head.replace(b"Content-Length: 0\r\n", b"") + b'11\r\n{"topic": "news"}\r\n' + ending)
        connection.end_sending()
        assert b" 200 " not in connection.received()
        assert api.get("/topics").body["topics"] == []


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /publ",
        request("POST", "/create_topic", b'{"topic": "half"}', length=100),
        b"\x16\x03\x01\x00\xff\r\n\r\n",
    ],
    ids=["nothing", "half a line", "half a body", "another protocol"],
)
def test_clients_that_go_away_harm_nobody(api: Api, sent: bytes) -> None:
    for _ in range(200):  # more than the server has threads
        with Connection(api.url) as connection:
            connection.send(sent)
    assert api.post("/create_topic", topic="news").status == 200
    assert [topic["topic"] for topic in api.get("/topics").body["topics"]] == ["news"]


@pytest.mark.parametrize("name", ODD_PATHS)
def test_an_odd_path_is_unknown(prepared: Api, name: str) -> None:
    reply = call(prepared, "GET", ODD_PATHS[name].decode("latin-1"))
    assert (reply.status, reply.headers["content-type"]) == (404, "application/json")
    assert reply.json()["code"] == "not_found"
