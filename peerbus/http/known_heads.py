"""Parsed message heads, kept by their bytes: heads repeat, and parsing one costs as much as forwarding its message."""

from typing import Generic, TypeVar

Parsed = TypeVar("Parsed")

END = b"\r\n\r\n"
"""The empty line between a head and its body."""
MAX_HEADS = 256
MAX_HEAD_BYTES = 1024
"""Longer heads are not kept."""


class KnownHeads(Generic[Parsed]):
    """A bounded cache of parsed heads.

    A head may be learned only where its body had the announced length and nothing followed it: the same bytes are then
    parsed the same way every time.
    """

    def __init__(self) -> None:
        self._parsed: dict[bytes, Parsed] = {}
        self.get = self._parsed.get
        """The parsed form of a head given without its empty line, or None."""

    def learn(self, head: bytes, parsed: Parsed) -> None:
        """Keep the parsed form of a head given without its empty line; a full cache is emptied first."""
        if len(head) <= MAX_HEAD_BYTES:
            if len(self._parsed) >= MAX_HEADS:
                self._parsed.clear()
            self._parsed[head] = parsed
