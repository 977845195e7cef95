"""A HEAD is answered as its GET, without the body: at servers and at a peer node (RFC 9110, 9.3.2)."""

from collections.abc import Iterator

import pytest

from peerbus.wire.endpoints import ENDPOINTS, NODE_ENDPOINTS, SERVER_ENDPOINTS
from tests.support.cluster import start_passing_on
from tests.support.harness import Api, start_index, start_node

ROWS = {row.path for row in (*ENDPOINTS, *SERVER_ENDPOINTS, *NODE_ENDPOINTS) if row.method == "GET"}
QUERIES = ["", "?topic=news", "?topic=absent", "?topic=news&peer_id=peer1", "?topic=absent&peer_id=peer1", "?x=1"]
OTHERS = ["/", "/api", "/openapi.json", "/pages/style.css", "/metrics", "/nothing", "/publish", "//topics"]
CHANGING = {"date", "connection"}


@pytest.fixture(scope="module", params=["indexing server", "peer node", "server of a cluster"])
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    with start_index() as index, start_node("peer1", index.url) as node, start_passing_on(index.url) as member:
        node.post("/create_topic", topic="news")
        node.post("/subscribe", topic="news")
        yield {"indexing server": index, "peer node": node, "server of a cluster": member}[request.param]


@pytest.mark.parametrize("path", [*(f"{path}{query}" for path in sorted(ROWS) for query in QUERIES), *OTHERS])
def test_a_head_has_the_status_and_the_headers_of_its_get(api: Api, path: str) -> None:
    got, headed = (api.session.request(method, f"{api.url}{path}") for method in ("GET", "HEAD"))
    assert (headed.status_code, headed.content) == (got.status_code, b"")
    kept = {name.lower(): value for name, value in got.headers.items() if name.lower() not in CHANGING}
    shown = {name.lower(): value for name, value in headed.headers.items() if name.lower() not in CHANGING}
    if path.startswith(("/metrics", "/stats", "/node", "/peers", "/subscriptions")):  # their bodies grow
        del kept["content-length"], shown["content-length"]
    assert shown == kept
