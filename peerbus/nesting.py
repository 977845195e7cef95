"""How deep JSON is nested.

What is published comes out again nested a little deeper, and must not be too deep for who decodes it then.
"""

import re

MOST_LEVELS = 200
"""How deep a message may be nested."""
SHALLOW = 2 * MOST_LEVELS
"""Bytes of JSON that cannot be nested deeper than that: each level takes two, to open and to close it."""
STRING = re.compile(rb'"[^"]*"')
INNERMOST = re.compile(rb"\[\]|\{\}")
NEITHER_BRACKET_NOR_QUOTE = bytes(set(range(256)) - set(b'[]{}"'))


def nested_deeper(value: bytes, levels: int) -> bool:
    """Whether JSON, which must be valid, is nested more than `levels` deep; it is not decoded for that."""
    if len(value) <= 2 * levels or value.count(b"[") + value.count(b"{") <= levels:
        return False
    unescaped = value.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = STRING.sub(b"", unescaped.translate(None, NEITHER_BRACKET_NOR_QUOTE).replace(b'""', b""))
    for _ in range(levels):
        inner = INNERMOST.sub(b"", brackets)
        if not inner or inner == brackets:
            return False
        brackets = inner
    return True
