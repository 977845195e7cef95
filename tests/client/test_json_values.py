"""What Python has and JSON has not is refused before it is sent, with its place."""

import dataclasses
import datetime
import decimal
import enum
import math
import uuid
from collections import OrderedDict, namedtuple
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerbus.client import Client
from peerbus.client.json_values import encode
from tests.support.harness import Api

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int = 1


Pair = namedtuple("Pair", "a b")
CHANGED: dict[str, tuple[Any, type[Exception], str]] = {
    "nan": (math.nan, ValueError, r"JSON has no nan: it would become None at \$\.$"),
    "nan inside": ({"a": [0, {"b": math.nan}]}, ValueError, r"at \$\.a\[1\]\.b"),
    "nan in a tuple": ((1, math.nan), ValueError, r"at \$\[1\]"),
    "infinity": ({"max": math.inf}, ValueError, r"JSON has no inf: it would become None at \$\.max"),
    "minus infinity": (-math.inf, ValueError, "JSON has no -inf"),
    "bytes": (b"raw", TypeError, r"JSON has no bytes: convert the value at \$ first"),
    "bytes inside": ([1, b"raw"], TypeError, r"at \$\[1\]"),
    "bytearray": (bytearray(b"raw"), TypeError, "JSON has no bytearray"),
    "set": ({1}, TypeError, "JSON has no set"),
    "decimal": (decimal.Decimal("1.5"), TypeError, "JSON has no Decimal"),
    "datetime": (datetime.datetime(2026, 1, 1), TypeError, "JSON has no datetime"),
    "date": (datetime.date(2026, 1, 1), TypeError, "JSON has no date"),
    "uuid": (uuid.UUID(int=1), TypeError, "JSON has no UUID"),
    "enum": (Colour.RED, TypeError, "JSON has no Colour"),
    "dataclass": (Point(), TypeError, "JSON has no Point"),
    "object": (object(), TypeError, "JSON has no object"),
    "a number as key": ({"a": {1: 2}}, TypeError, r"The key 1 at \$\.a is no string"),
    "None as key": ({None: 2}, TypeError, "The key None"),
    "a lone surrogate": ("\ud800", ValueError, r"The value at \$ cannot be written as JSON"),
    "a lone surrogate as key": ({"\ud800": 1}, ValueError, "cannot be written as JSON"),
}


@given(JSON)
def test_what_json_can_hold_is_the_same_when_it_is_read_again(value: Any) -> None:
    assert msgspec.json.decode(encode(value)) == value


@pytest.mark.parametrize(("value", "error", "said"), CHANGED.values(), ids=CHANGED)
def test_what_would_change_on_the_way_is_refused_with_its_place(value: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        encode(value)


def test_tuples_become_arrays_and_json_stays_as_it_is() -> None:
    value = OrderedDict(a=(1, Pair(2, [3])), b=msgspec.Raw(b"1e999"))
    assert encode(value) == b'{"a":[1,[2,[3]]],"b":1e999}'


@pytest.mark.parametrize("call", ["publish", "publish_batch"])
def test_nothing_is_published_of_a_value_that_would_change(index: Api, call: str) -> None:
    with Client(index.url, "a", patience=0.0) as client:
        client.register()
        client.create_topic("news")
        message = [1, math.nan] if call == "publish_batch" else math.nan
        with pytest.raises(ValueError, match="JSON has no nan"):
            getattr(client, call)("news", message)
        with pytest.raises(ValueError, match=r"JSON has no nan: it would become None at \$\.delay"):
            client.publish("news", 1, delay=math.nan)
        assert client.topics().topics[0].next_offset == 0
