"""What a node's client of the indexing server makes of streams, and of what goes wrong on the way."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from peerbus.errors import IndexTimeout, IndexUnreachable, InternalError, NotReady, PeerbusError, PeerNotFound
from peerbus.http.event_loop import Loop
from peerbus.http.upstream.body_stream import BodyStream
from peerbus.http.upstream.errors import UpstreamError
from peerbus.node.server_client import ServerClient
from tests.support.fakes import HANG_UP, SILENCE, fake_server, http
from tests.support.harness import DEADLINE, Api, free_port

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def connected(url: str, timeout: float = DEADLINE) -> Iterator[ServerClient]:
    loop = Loop("client")
    client = ServerClient(loop, url, timeout, 10)
    yield client
    client.close()
    loop.close()


def opened(client: ServerClient, path: str = "/stream", silence: float = DEADLINE) -> BodyStream:
    return client.loop.wait_for(client.open(path, (), silence))


def failure(client: ServerClient, stream: BodyStream) -> PeerbusError:
    """What the next part of a stream fails with."""

    async def read() -> bytes:
        return await stream.__anext__()

    with pytest.raises(UpstreamError) as raised:
        client.loop.wait_for(read())
    return client.failure(raised.value)


def test_a_stream_of_the_indexing_server_is_read(index: Api) -> None:
    index.subscriber("peer1", "news")
    index.post("/publish", topic="news", message="one")

    async def read(stream: BodyStream) -> bytes:
        came = b""
        while b'data: "one"' not in came:
            came += await stream.__anext__()
        stream.close()
        return came

    with connected(index.url) as client:
        came = client.loop.wait_for(read(opened(client, "/stream?topic=news&peer_id=peer1")))
    assert b"id: 0\n" in came


def test_an_error_in_place_of_a_stream_is_raised_as_its_class(index: Api) -> None:
    with connected(index.url) as client, pytest.raises(PeerNotFound):
        opened(client, "/stream?topic=news&peer_id=absent")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (SILENCE, IndexTimeout),
        (HANG_UP, IndexUnreachable),
        (http(200), IndexUnreachable),
        (http(200, b"<html>", "text/html"), IndexUnreachable),
        (http(404, b"<html>", "text/html"), IndexUnreachable),
        (http(418), IndexUnreachable),
        (http(404), InternalError),
    ],
)
def test_anything_else_in_place_of_a_stream_is_an_error(answer: bytes | None, error: type[PeerbusError]) -> None:
    with fake_server(answer) as fake, connected(fake.url, timeout=0.1) as client, pytest.raises(error):
        opened(client)


@pytest.mark.parametrize(
    "given",
    ["text/event-stream", "text/event-stream; charset=utf-8", "text/event-stream;charset=UTF-8", "Text/Event-Stream"],
)
def test_a_stream_is_known_by_its_type_without_parameters(given: str) -> None:
    head = STREAM.replace(b"text/event-stream", given.encode())
    with fake_server(head + b"3\r\n:\n\n\r\n") as fake, connected(fake.url) as client:
        assert opened(client).headers[b"content-type"].decode() == given


@pytest.mark.parametrize(
    "given", ["application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON"]
)
def test_an_answer_in_json_is_known_by_its_type_without_parameters(given: str) -> None:
    answer = http(404, b'{"code": "peer_not_found", "message": "Absent."}', given)
    with fake_server(answer) as fake, connected(fake.url) as client, pytest.raises(PeerNotFound):
        opened(client)


def test_a_stream_from_a_server_that_is_not_there_is_unreachable() -> None:
    with connected(f"http://127.0.0.1:{free_port()}") as client, pytest.raises(IndexUnreachable):
        opened(client)


def test_a_silent_stream_is_a_timeout() -> None:
    with fake_server(STREAM) as fake, connected(fake.url) as client:
        error = failure(client, opened(client, silence=0.1))
        assert isinstance(error, IndexTimeout)
        assert str(error) == f"The indexing server at {fake.url} gave no sign of life in time."


def test_a_stream_that_breaks_off_is_unreachable() -> None:
    with fake_server(STREAM, hang_up_after_answer=True) as fake, connected(fake.url) as client:
        assert isinstance(failure(client, opened(client)), IndexUnreachable)


def test_a_stream_closed_by_the_node_says_that_the_node_stops() -> None:
    with fake_server(STREAM) as fake, connected(fake.url) as client:
        stream = opened(client)

        async def close() -> None:
            stream.close()

        client.loop.wait_for(close())
        assert isinstance(failure(client, stream), NotReady)
