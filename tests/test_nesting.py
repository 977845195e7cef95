"""How deep JSON is nested, told without decoding it."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from peerbus.nesting import nested_deeper

TRICKY = st.text(alphabet='[]{}"\\n,:', max_size=6)
VALUES = st.recursive(
    TRICKY | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TRICKY, inner, max_size=3),
    max_leaves=30,
)


def depth(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    inside = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, inside), default=0)


@given(VALUES, st.integers(1, 6))
def test_it_is_the_depth_of_what_is_decoded(value: Any, levels: int) -> None:
    assert nested_deeper(json.dumps(value).encode(), levels) == (depth(value) > levels)
