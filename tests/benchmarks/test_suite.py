"""The ceiling of the load generator, and the numbers of topics."""

import pytest

from benchmarks.suite import ceiling, powers_up_to
from tests.support.harness import Api


def test_the_generator_is_measured_against_livez(index: Api) -> None:
    row = ceiling(index.url, 4, 40)
    assert (row.call, row.peers, row.requests, row.errors) == ("livez", 4, 40, 0)


@pytest.mark.parametrize(
    ("most", "numbers"),
    [
        (1, [1]),
        (999, [1, 999]),
        (1000, [1, 1000]),
        (25_000, [1, 1000, 10_000, 25_000]),
        (1_000_000, [1, 1000, 10_000, 100_000, 1_000_000]),
    ],
)
def test_the_numbers_of_topics_grow_tenfold(most: int, numbers: list[int]) -> None:
    assert powers_up_to(most) == numbers
