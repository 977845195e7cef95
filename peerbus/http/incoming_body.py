"""The body of one request, gathered as it comes: of a declared length, or chunked."""

from typing import Any, cast

import httptools

from peerbus.errors import BadRequest, HeadTooLarge, TooLarge
from peerbus.http.known_heads import END
from peerbus.http.parser import MOST_LINES
from peerbus.http.types import Head

DECODED_AT_ONCE = 16 << 10
"""Bytes of a chunked body that are decoded in one callback of the event loop: chunks may be of one byte each."""
LONGEST_TRAILER = 4 << 10
"""Bytes after the last chunk of a body, or in the extension of a chunk."""
CHUNKED_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
"""A head that httptools has to read before it decodes a chunked body."""


class IncomingBody:
    """Gathers a body of a declared length, or a chunked one."""

    __slots__ = ("_decoder", "_gathered", "_length", "_limit", "is_complete", "size")

    def __init__(self, head: Head, limit: int) -> None:
        """`limit` is the size of the largest chunked body in bytes."""
        self._length = head.length
        self._decoder = _ChunkDecoder() if head.chunked else None
        self._limit = limit
        self._gathered = bytearray()
        """It grows where it is: nothing is joined in the end, which would take 10 ms for 16 MiB."""
        self.size = 0
        """Bytes that came so far."""
        self.is_complete = False

    def take(self, data: bytes, begin: int) -> int:
        """Take the bytes of the body from `data`, from `begin` on; return where the rest begins.

        Takes at most `DECODED_AT_ONCE` bytes of a chunked body. Raises `TooLarge`, `HeadTooLarge` and `BadRequest`.
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
        """The body, once it is complete. It must not be changed; it is no copy, which would take 10 ms for 16 MiB."""
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


class _Decoded:
    """Receives the parts of a chunked body from httptools. It refers to no parser: a cycle would keep the body."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.on_body = self.pieces.append
        self.lines = 0
        self.is_complete = False

    def on_header(self, _name: bytes, _value: bytes) -> None:
        """Ignore a trailer, if there are not too many."""
        self.lines += 1
        if self.lines > MOST_LINES:
            raise HeadTooLarge(f"The trailer of the body has more than {MOST_LINES} lines.")

    def on_message_complete(self) -> None:
        """The last chunk and the trailers came."""
        self.is_complete = True


class _ChunkDecoder:
    """Decodes a chunked body in the pieces in which it comes."""

    def __init__(self) -> None:
        self._decoded = _Decoded()
        self._parser: Any = httptools.HttpRequestParser(self._decoded)
        self._parser.feed_data(CHUNKED_HEAD)
        self._decoded.lines = 0
        self._undecoded = 0
        """Bytes without data since the last data came."""

    @property
    def is_complete(self) -> bool:
        """Whether the last chunk and the trailers came."""
        return self._decoded.is_complete

    def decode(self, data: bytes, begin: int, end: int) -> tuple[bytes, int]:
        """Decode `data` from `begin` to `end`; return the bytes of the body in it, and where decoding ended.

        It ends before `end` only behind a whole body. Raises `BadRequest` and `HeadTooLarge`.
        """
        at = begin
        while at < end and not self.is_complete:
            # A whole body ends with an empty line. Fed up to each of those, the parser never sees what follows; the
            # first bytes may be the end of one that began in the piece before.
            found = data.find(END, max(begin, at - len(END) + 1), end)
            cut = found + len(END) if found >= 0 else end
            if at - begin < len(END) - 1:
                cut = at + 1
            self._feed(data[at:cut])
            at = cut
        pieces = self._decoded.pieces
        body = b"".join(pieces)
        self._undecoded = 0 if pieces else self._undecoded + at - begin
        pieces.clear()
        if self._undecoded > LONGEST_TRAILER:
            raise BadRequest("The trailer of the body is too long, or the extension of a chunk.")
        return body, at

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except httptools.HttpParserError:
            raise BadRequest("The chunked body does not follow the grammar of HTTP/1.1.") from None


def too_large(limit: int) -> TooLarge:
    """The error for a body of more than `limit` bytes."""
    return TooLarge(f"The body is larger than {limit} bytes, the most this server takes.")
