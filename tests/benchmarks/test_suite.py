"""The ceiling of the load generator."""

from benchmarks.suite import ceiling
from tests.support.harness import Api


def test_the_generator_is_measured_against_livez(index: Api) -> None:
    row = ceiling(index.url, 4, 40)
    assert (row.call, row.peers, row.requests, row.errors) == ("livez", 4, 40, 0)
