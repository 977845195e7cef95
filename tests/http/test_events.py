"""The bytes of server-sent events."""

import json

import pytest

from peerbus.http.event_stream import event


@pytest.mark.parametrize(
    "data", [b'{"a":\n1}', b"[\r\n1,\r2]", b'"no line break"', '"\u2028 \u0085 are none"'.encode()]
)
def test_lines_come_together_as_the_same_json(data: bytes) -> None:
    *lines, end, rest = event(data, 7, "kind").split(b"\n")
    assert (end, rest) == (b"", b"")
    assert lines[:2] == [b"event: kind", b"id: 7"]
    assert all(line.startswith(b"data: ") and b"\r" not in line for line in lines[2:])
    assert json.loads(b"\n".join(line.removeprefix(b"data: ") for line in lines[2:])) == json.loads(data)
