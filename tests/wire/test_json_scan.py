"""JSON measured without decoding it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerbus.errors import BadRequest
from peerbus.wire import json_scan
from peerbus.wire.fields import MOST_ENTRIES
from peerbus.wire.json_scan import is_deeper, longer_list
from peerbus.wire.protocol import ClaimRequest, NackRequest, PublishRequest, Request
from tests.support.costs import steps

TRICKY = st.text(alphabet='[]{}"\\n,:é', max_size=6) | st.sampled_from(
    ["messages", "message", '"messages"', "\\", '\\"']
)
VALUES = st.recursive(
    TRICKY | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TRICKY, inner, max_size=3),
    max_leaves=30,
)
INDENTS = st.sampled_from([None, 0, 1])


@contextmanager
def pieces(size: int) -> Iterator[None]:
    """JSON is scanned in pieces of about `size` bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_scan, "PIECE", size)
        patch.setattr(json_scan, "COUNTED", size)
        yield


def depth(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    inside = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, inside), default=0)


@given(VALUES, st.integers(1, 6), st.sampled_from([1, 2, 3, 1000]), INDENTS)
def test_the_depth_is_that_of_the_decoded_value(value: Any, levels: int, piece: int, indent: int | None) -> None:
    with pieces(piece):
        assert is_deeper(json.dumps(value, indent=indent).encode(), levels) == (depth(value) > levels)


def test_a_message_is_scanned_once_however_deep_it_is() -> None:
    deep = b"[" * 199 + b"]" * 199
    deep_ones, flat_ones = (b"[" + b",".join([each] * (100_000 // (len(each) + 1))) + b"]" for each in (deep, b"[]"))
    assert (steps(lambda: is_deeper(deep_ones, 200)), is_deeper(deep_ones, 199)) == (
        steps(lambda: is_deeper(flat_ones, 200)),
        True,
    )


PUBLISHES = st.fixed_dictionaries(
    {}, optional={"topic": TRICKY, "message": VALUES, "messages": st.lists(VALUES, max_size=9), "message_id": TRICKY}
)
CLAIMS = st.fixed_dictionaries(
    {}, optional={name: st.lists(st.integers(), max_size=9) for name in ("offsets", "attempts")} | {"topic": TRICKY}
)


@st.composite
def shuffled(draw: st.DrawFn, objects: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    return dict(draw(st.permutations(list(draw(objects).items()))))


@given(
    shuffled(PUBLISHES) | shuffled(CLAIMS), st.integers(1, 8), st.sampled_from([1, 2, 3, 50]), INDENTS, st.booleans()
)
def test_the_entries_are_those_of_the_decoded_array(
    request: dict[str, Any], most: int, piece: int, indent: int | None, ascii_only: bool
) -> None:
    lists = ("messages",) if {"messages", "message"} & set(request) else ("offsets", "attempts")
    body = json.dumps(request, indent=indent, ensure_ascii=ascii_only).encode()
    expected = next((name for name in request if name in lists and len(request[name]) > most), None)
    with pieces(piece):
        assert longer_list(body, lists, "message", most) == expected


@given(shuffled(PUBLISHES), st.integers(500, 600))
def test_the_entries_are_counted_across_and_within_pieces(request: dict[str, Any], entries: int) -> None:
    request["messages"] = request.get("messages", []) * 99 + [[1, {"a": [2, 3]}]] * entries
    with pieces(1000):
        found = longer_list(json.dumps(request).encode(), ("messages",), "message", 550)
    assert found == ("messages" if len(request["messages"]) > 550 else None)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"mess\\u0061ges": [1,1,1]}', "messages"),
        (b'{"messages": [1,1,1], "messages": [1]}', "messages"),
        (b'{"messages": [1], "messages": [1,1,1]}', "messages"),
        (b'{"messages": [1,1], "messages": [1]}', "messages"),
        (b'{"message": [1,1,1], "messages": [1]}', None),
        (b'{"message": {"messages": [1,1,1]}}', None),
        (b'{"messages": ["\\",\\",\\",\\"", "\\\\"]}', None),
        (b"[1,1,1]", None),
        (b"1,1,1]]]]]", None),
        (b'{"messages": "', None),
        (b"", None),
    ],
)
def test_odd_bodies(body: bytes, found: str | None) -> None:
    with pieces(2):
        assert longer_list(body, ("messages",), "message", 2) == found


@pytest.mark.parametrize(
    ("request_type", "name"),
    [(PublishRequest, "messages"), (ClaimRequest, "offsets"), (ClaimRequest, "attempts"), (NackRequest, "attempts")],
)
def test_a_request_names_the_array_that_is_too_long(request_type: type[Request], name: str) -> None:
    longest = {"topic": "news", "offsets": [0], name: [1] * MOST_ENTRIES}
    request_type.check_entries(json.dumps(longest).encode())
    with pytest.raises(BadRequest, match=rf"^Expected array of length <= 100000 - at \$\.{name}$"):
        request_type.check_entries(json.dumps(longest | {name: [1] * 3 * MOST_ENTRIES}).encode())


def test_an_array_that_is_too_long_is_not_read_to_its_end() -> None:
    def cost(entries: int) -> int:
        body = b'{"messages":[%b1]}' % (b"1," * entries)
        return steps(lambda: longer_list(body, ("messages",), "message", MOST_ENTRIES))

    assert cost(200_000) == cost(2_000_000)
