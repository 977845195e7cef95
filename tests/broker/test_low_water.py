"""The low-water mark against the plain minimum."""

from hypothesis import given
from hypothesis import strategies as st

from peerbus.broker.structures import LowWaterMark

STEPS = st.lists(st.tuples(st.sampled_from(["add", "remove", "move"]), st.integers(0, 99), st.integers(0, 200)))


@given(STEPS)
def test_it_is_the_minimum_of_all_positions(steps: list[tuple[str, int, int]]) -> None:
    mark = LowWaterMark()
    positions: list[int] = []
    for step, reader, position in steps:
        if step == "add":
            mark.add(position)
            positions.append(position)
        elif positions:
            old = positions.pop(reader % len(positions))
            if step == "remove":
                mark.remove(old)
            else:
                mark.move(old, position)
                positions.append(position)
        assert mark.lowest == min(positions, default=None)
