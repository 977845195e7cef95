"""What a server that does not own the shard answers: the same as the owner."""

from tests.support.cluster import start_cluster
from tests.support.endpoints import EIGHT_CALLS


def test_the_eight_calls_go_through_any_server() -> None:
    with start_cluster() as cluster:
        other = cluster.members[1].api
        for method, path, fields, expected in EIGHT_CALLS:
            reply = other.send(method, path, json=fields)
            assert reply.status == 200, reply
            assert reply.body.items() >= expected.items()
