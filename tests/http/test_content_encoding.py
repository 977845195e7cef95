"""Bodies that are compressed, which neither an indexing server nor a peer node reads."""

import gzip
import json
from collections.abc import Iterator

import pytest

from tests.support.harness import Api, free_port, start_index, start_node

JSON = {"Content-Type": "application/json"}
GZIPPED = gzip.compress(json.dumps({"topic": "news", "message": 1}).encode())
PATHS = [("POST", "/publish"), ("POST", "/nothing"), ("GET", "/"), ("GET", "/stream"), ("GET", "/topics")]


@pytest.fixture(scope="module", params=["indexing server", "peer node", "peer node that is alone"])
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    if request.param == "peer node that is alone":
        with start_node("peer1", f"http://127.0.0.1:{free_port()}") as node:
            yield node
    else:
        with start_index() as index, start_node("peer1", index.url) as node:
            yield index if request.param == "indexing server" else node


@pytest.mark.parametrize(("method", "path"), [*PATHS, ("POST", "/notify"), ("POST", "/push"), ("POST", "/exit_peer")])
def test_a_compressed_body_is_refused_by_the_name_of_its_encoding(api: Api, method: str, path: str) -> None:
    reply = api.send(method, path, data=GZIPPED, headers=JSON | {"Content-Encoding": "gzip"})
    assert (reply.status, reply.body["code"]) == (415, "unsupported_media_type")
    assert "'gzip'" in reply.body["message"]
    assert "uncompressed" in reply.body["message"]
    assert reply.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("size", [2, 100_000])
def test_a_large_body_is_refused_before_it_comes(api: Api, size: int) -> None:
    headers = JSON | {"Content-Encoding": "br, gzip"}
    reply = api.send("POST", "/publish", data=(b"x" * size for _ in range(2)), headers=headers)
    assert (reply.status, "'br, gzip'" in reply.body["message"]) == (415, True)


def test_the_wrong_type_alone_says_nothing_of_encodings(api: Api) -> None:
    reply = api.send("POST", "/notify" if api.get("/node").status == 200 else "/create_topic", data=b"{}")
    assert (reply.status, reply.body["code"]) == (415, "unsupported_media_type")
    assert "Accept-Encoding" not in reply.headers
