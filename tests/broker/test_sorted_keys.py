"""Keys in order against a sorted list."""

from hypothesis import given
from hypothesis import strategies as st

from peerbus.broker.structures import SortedKeys
from tests.support.costs import steps

STEPS = st.lists(st.tuples(st.sampled_from(["add", "add", "add", "discard"]), st.integers(0, 40)), max_size=100)


@given(STEPS, st.integers(1, 9))
def test_they_are_in_order_whatever_comes_and_goes(taken: list[tuple[str, int]], limit: int) -> None:
    keys: SortedKeys[str] = SortedKeys(longest_run=4)
    names = set[str]()
    for step, number in taken:
        name = f"{number:02}"
        if step == "add" and name not in names:
            keys.add(name)
            names.add(name)
        elif step == "discard":
            keys.discard(name)
            names.discard(name)
        assert keys.first() == min(names, default=None)
        for after in ("", name):
            assert keys.page(limit, after) == sorted(other for other in names if other > after)[:limit]


def test_a_page_costs_the_same_in_many_keys() -> None:
    taken = []
    for count in (3_000, 300_000):
        keys: SortedKeys[str] = SortedKeys()
        for number in range(count):
            keys.add(f"{number:07}")
        taken.append(steps(lambda: keys.page(10, "0002500")))  # noqa: B023
    assert taken[0] == taken[1]
