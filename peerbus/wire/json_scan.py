"""Measures JSON without decoding it: how deep it is nested, and how many entries its arrays have.

Work is done in pieces, so that other threads can run in between.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate

MOST_LEVELS = 200
"""How deep a message may be nested. In the answer to a pull it is nested a little deeper."""
SHALLOW = 2 * MOST_LEVELS
"""Bytes of JSON that cannot be nested deeper than that: each level takes two, to open and to close it."""
PIECE = 64 << 10
"""Bytes scanned in one go, at least up to the next comma."""
COUNTED = 1 << 20
"""Bytes in which commas are counted in one go."""
MARKERS = range(0x80, 0x100)
"""Bytes that stand for the names of fields: valid JSON has none of them outside its strings."""
OPENING, CLOSING = b"[{", b"]}"
STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""The change of depth by each bracket, as a signed byte."""
NO_BRACKETS = bytes(set(range(256)) - set(OPENING + CLOSING))
INNERMOST = re.compile(rb"[\[{][^\[\]{}]*[\]}]")
RUN = re.compile(rb",+|[\[{]+|[\]}]+|[^\[\]{},]")


def is_deeper(value: bytes, levels: int) -> bool:
    """Whether JSON, which must be valid, is nested more than `levels` deep."""
    if len(value) <= 2 * levels or value.count(b"[") + value.count(b"{") <= levels:
        return False
    depth = 0
    for marks in _outside_strings(value, OPENING + CLOSING):
        steps = _steps(marks)
        if depth + max(accumulate(steps), default=0) > levels:
            return True
        depth += sum(steps)
    return False


def has_commas(body: bytes, number: int) -> bool:
    """Whether there are at least `number` commas, in strings or outside."""
    found = 0
    if len(body) >= number:
        for begin in range(0, len(body), COUNTED):
            found += body.count(b",", begin, begin + COUNTED)
            if found >= number:
                return True
    return False


def longer_list(body: bytes, lists: Sequence[str], free: str, most: int) -> str | None:
    """The first field of a JSON object that is an array of more than `most` entries, or None.

    `lists` are the fields that hold arrays; an array in an unknown field, or in one whose name is written with
    escapes, counts as the first of them. If a field is repeated, its entries add up. The field `free` may have any
    number of entries. The result means nothing unless `body` is valid JSON.
    """
    names = {f'"{name}"'.encode(): bytes([marker]) for name, marker in zip((free, *lists), MARKERS, strict=False)}
    fields = dict(zip(names.values(), (free, *lists), strict=True))
    entries = dict.fromkeys(fields.values(), 0)
    field, depth, in_list = lists[0], 0, False
    for marks in _outside_strings(body, OPENING + CLOSING + b"," + bytes(MARKERS), names):
        for run in RUN.findall(_without_innermost(marks, depth)):
            if run[0] in OPENING:
                if depth < 2 <= depth + len(run):
                    in_list = field != free and run[1 - depth] in b"["
                    entries[field] += in_list
                depth += len(run)
            elif run[0] in CLOSING:
                depth -= len(run)
            elif depth == 1:
                field = fields.get(run, lists[0])
            elif depth == 2 and in_list and run[0] in b",":
                entries[field] += len(run)
            if entries[field] > most:
                return field
    return None


def _without_innermost(marks: bytes, depth: int) -> bytes:
    """`marks` that begin at a depth, without most of the arrays and objects in the entries of an array.

    Nothing is left out of `marks` in which the array itself begins or ends.
    """
    if depth < 2:
        return marks
    fewer, struck = marks, len(marks)
    while struck > len(fewer) >> 3:
        fewer, struck = INNERMOST.subn(b"", fewer)
    return fewer if depth + min(accumulate(_steps(fewer)), default=0) >= 2 else marks


def _steps(marks: bytes) -> Sequence[int]:
    return memoryview(marks.translate(STEPS, NO_BRACKETS)).cast("b")


def _outside_strings(value: bytes, kept: bytes, names: dict[bytes, bytes] | None = None) -> Iterator[bytes]:
    """The bytes of JSON outside its strings that are among `kept`, piece by piece.

    The `names` of fields, with their quotes, are replaced by their markers before.
    """
    dropped = bytes(set(range(256)) - set(kept))
    in_string = False
    begin = 0
    while begin < len(value):
        end = _end_of_piece(value, begin)
        piece = value[begin:end].replace(b"\\\\", b"").replace(b'\\"', b"")
        for name, marker in (names or {}).items():
            piece = piece.replace(name, marker)
        parts = piece.split(b'"')
        yield b"".join(parts[in_string::2]).translate(None, dropped)
        in_string ^= len(parts) % 2 == 0
        begin = end


def _end_of_piece(value: bytes, begin: int) -> int:
    """The end of the piece from `begin` on: after a comma, which splits neither an escape nor a name."""
    end = value.rfind(b",", begin, begin + PIECE) + 1 or value.find(b",", begin + PIECE) + 1
    return end or len(value)
