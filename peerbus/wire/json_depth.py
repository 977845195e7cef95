"""How deep JSON is nested.

What is published comes out again nested a little deeper, and must not be too deep for who decodes it then.
"""

from itertools import accumulate

MOST_LEVELS = 200
"""How deep a message may be nested."""
SHALLOW = 2 * MOST_LEVELS
"""Bytes of JSON that cannot be nested deeper than that: each level takes two, to open and to close it."""
PIECE = 64 << 10
"""Bytes looked at in one go, so that other threads have their turn."""
NEITHER_BRACKET_NOR_QUOTE = bytes(set(range(256)) - set(b'[]{}"'))
STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""What each bracket adds to the depth, as a signed byte."""


def is_deeper(value: bytes, levels: int) -> bool:
    """Whether JSON, which must be valid, is nested more than `levels` deep; it is not decoded for that."""
    if len(value) <= 2 * levels or value.count(b"[") + value.count(b"{") <= levels:
        return False
    unescaped = value.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = unescaped.translate(None, NEITHER_BRACKET_NOR_QUOTE)
    depth, in_string = 0, False
    for begin in range(0, len(marks), PIECE):
        parts = marks[begin : begin + PIECE].split(b'"')
        outside = b"".join(parts[in_string::2])
        in_string ^= len(parts) % 2 == 0
        steps = memoryview(outside.translate(STEPS)).cast("b")
        if depth + max(accumulate(steps), default=0) > levels:
            return True
        depth += sum(steps)
    return False
