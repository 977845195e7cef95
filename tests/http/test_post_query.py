"""A POST takes its fields from its body alone, also where it needs none."""

from peerbus.wire.endpoints import Endpoint
from peerbus.wire.protocol import Answer, EmptyRequest
from tests.support.connections import call
from tests.support.endpoints import Row
from tests.support.servers import serve

NEEDS_NOTHING: Row = Endpoint("POST", "/needs_nothing", EmptyRequest, "Do nothing.")


def test_a_query_string_that_nobody_reads_is_refused(own_way: str) -> None:
    with serve(own_way, {NEEDS_NOTHING: lambda _: Answer(message="Done.")}) as api:
        assert call(api, "POST", "/needs_nothing").status == 200
        reply = call(api, "POST", "/needs_nothing?colour=red")
    assert (reply.status, reply.json()["code"]) == (400, "bad_request")
    assert "query string" in reply.json()["message"]
