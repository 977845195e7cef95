"""How deep JSON is nested, told without decoding it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerbus.wire import json_depth as nesting
from peerbus.wire.json_depth import is_deeper
from tests.support.costs import steps

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


@given(VALUES, st.integers(1, 6), st.sampled_from([1, 2, 3, 1000]))
def test_it_is_the_depth_of_what_is_decoded(value: Any, levels: int, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nesting, "PIECE", piece)
        assert is_deeper(json.dumps(value).encode(), levels) == (depth(value) > levels)


def test_a_message_is_looked_at_once_however_deep_it_is() -> None:
    deep = b"[" * 199 + b"]" * 199
    deep_ones, flat_ones = (b"[" + b",".join([each] * (100_000 // len(each))) + b"]" for each in (deep, b"[]"))
    assert (steps(lambda: is_deeper(deep_ones, 200)), is_deeper(deep_ones, 199)) == (
        steps(lambda: is_deeper(flat_ones, 200)),
        True,
    )
