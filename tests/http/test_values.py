"""Message values come out byte for byte as they went in."""

import pytest

from tests.support.connections import call
from tests.support.harness import Api

VALUES = [
    b"null",
    b"true",
    b"false",
    b"0",
    b"-0",
    b"1",
    b"1.0",
    b"1e0",
    b"1E+2",
    b"-1.50",
    b"0.1000000000000000055511151231257827",
    b"123456789012345678901234567890",
    b"9007199254740993",
    b"1e400",
    b"-1e-400",
    b"7" * 5000,
    b'""',
    b'"text"',
    '"h\u00e9llo \u4e16\u754c \U0001f600\u2028"'.encode(),
    rb'"\u0000\b\f\n\r\t\"\\\/"',
    rb'"\u00e9\u00E9\ud83d\ude00"',
    b'"\x7f"',
    b"[]",
    b"{}",
    b'[1, [2, [3, {"four": [null, {}]}]]]',
    b'{ "spaces" :\t[ 1 ,2 ]\r\n}',
    b'{"twice": 1, "twice": 2}',
    b'{"b": 1, "a": 2, "": 3}',
    b"[" * 190 + b"]" * 190,
    b'"' + b"x" * (1 << 20) + b'"',
]


def pulled(api: Api, count: int = 100) -> bytes:
    """The messages of a pull, as the bytes of the answer have them."""
    reply = call(api, "POST", "/pull_messages", b'{"peer_id": "peer1", "topic": "news", "max_messages": %d}' % count)
    assert reply.status == 200
    return reply.body.partition(b'"messages":')[2].rpartition(b',"offsets":')[0]


def publish(api: Api, field: bytes, value: bytes) -> None:
    reply = call(api, "POST", "/publish", b'{"topic": "news", "%s": %s}' % (field, value))
    assert reply.status == 200, reply.body


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value[:24]))
def test_a_value_is_pulled_as_it_was_published(prepared: Api, value: bytes) -> None:
    publish(prepared, b"message", value)
    assert pulled(prepared) == b"[" + value + b"]"


def test_the_values_of_a_batch_are_pulled_as_they_were_published(prepared: Api) -> None:
    publish(prepared, b"messages", b"[" + b" , ".join(VALUES) + b"]")
    assert pulled(prepared) == b"[" + b",".join(VALUES) + b"]"


@pytest.mark.parametrize("length", [1, 3_000])
@pytest.mark.parametrize("large", [range(0), range(0, 1000, 13), range(1, 1000, 13), range(999, 1000)])
def test_many_values_are_pulled_as_they_were_published_however_their_sizes_are_mixed(
    prepared: Api, length: int, large: range
) -> None:
    values = b",".join(b"9" * (4_000 if number in large else length) for number in range(1000))
    publish(prepared, b"messages", b"[" + values + b"]")
    assert pulled(prepared, 1000) == b"[" + values + b"]"
