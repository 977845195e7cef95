"""The body of one request, gathered as it comes."""

from typing import cast

from peerbus.errors import TooLarge
from peerbus.http.parser import ChunkedBody

DECODED_AT_ONCE = 16 << 10
"""Bytes of a chunked body that are decoded in one turn of the event loop: chunks may be of one byte each."""


class IncomingBody:
    """Gathers a body of a declared length, or a chunked one."""

    __slots__ = ("_decoder", "_gathered", "_length", "_limit", "is_complete", "size")

    def __init__(self, length: int, decoder: ChunkedBody | None, limit: int) -> None:
        """`length` is the declared length; `decoder` decodes a chunked body, of up to `limit` bytes."""
        self._length = length
        self._decoder = decoder
        self._limit = limit
        self._gathered = bytearray()
        """It grows where it is: nothing is joined in the end, which would take 10 ms for 16 MiB."""
        self.size = 0
        """Bytes that came so far."""
        self.is_complete = False

    def take(self, data: bytes, begin: int) -> int:
        """Take what belongs to the body from `data`, from `begin` on; return where the rest begins.

        Takes only a part of a chunked body that came in a large piece. Raises `TooLarge`, and `Unreadable`.
        """
        if self._decoder is None:
            end = min(len(data), begin + self._length - self.size)
            self._add(data[begin:end])
            self.is_complete = self.size == self._length
            return end
        piece, end = self._decoder.decode(data, begin, min(len(data), begin + DECODED_AT_ONCE))
        self._add(piece)
        self.is_complete = self._decoder.is_complete
        if self.size > self._limit:
            raise too_large(self._limit)
        return end

    def whole(self) -> bytes:
        """The body, once it is complete, of which nobody may change anything: a copy would take 10 ms for 16 MiB."""
        return cast(bytes, self._gathered)

    def shortage(self) -> str:
        """A sentence about a body that ended too early."""
        if self._decoder is None:
            return f"The body ended after {self.size} of {self._length} bytes."
        return "The body ended before its last chunk."

    def _add(self, piece: bytes) -> None:
        if piece:
            self._gathered += piece
            self.size += len(piece)


def too_large(limit: int) -> TooLarge:
    """The error for a body of more than `limit` bytes."""
    return TooLarge(f"The body is larger than {limit} bytes, the most this server takes.")
