"""Heads and chunked bodies, read by httptools' parser (llhttp, in C)."""

import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

import httptools

from peerbus.http.known_heads import END
from peerbus.http.types import Head

LARGEST_HEAD = 64 << 10
"""Bytes of the largest head that is taken."""
MOST_LINES = 100
"""Header lines of a head: each costs a call of a Python function."""
LONGEST_TRAILER = 4 << 10
"""Bytes after the last chunk of a body."""
LONGEST_KEPT = 64
"""Bytes of the longest header name that is remembered."""
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/([0-9])\.([0-9])")
"""RFC 9112, 3: method, target and version, with one space between them."""
OFFER = re.compile(rb"\r\nupgrade:[\t -~\x80-\xff]*(?=\r\n|\Z)", re.IGNORECASE)
SINGLE = ("host", "content-length", "transfer-encoding")
"""Headers that may not be repeated, for repeated ones have served to smuggle requests."""
CONTINUE = "100-continue"
DIGITS = re.compile(r"0*[0-9]{1,18}")


class Unreadable(Exception):
    """What came is not a request that this server reads; `status` is the status of the refusal."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class _HeadReader:
    """Takes what the parser finds in a head, and later in a chunked body."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.on_body = self.pieces.append
        self.is_complete = False
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header of the head; trailers are ignored."""
        if not self._in_head:
            return
        key = _key(name) if len(name) <= LONGEST_KEPT else _key.__wrapped__(name)
        if not key:
            return
        text = value.strip(b" \t").decode("latin-1")
        if key in self.headers:
            if key in SINGLE:
                raise Unreadable(f"The header {key} comes twice.")
            text = f"{self.headers[key]},{text}"
        self.headers[key] = text

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False

    def on_message_complete(self) -> None:
        """The body is whole."""
        self.is_complete = True


class ChunkedBody:
    """Decodes a chunked body in the pieces in which it comes."""

    def __init__(self, reader: _HeadReader, parser: Any) -> None:
        self._reader = reader
        self._parser = parser
        self._undecoded = 0

    @property
    def is_complete(self) -> bool:
        """Whether the last chunk and the trailers came."""
        return self._reader.is_complete

    def decode(self, data: bytes, begin: int, end: int) -> tuple[bytes, int]:
        """Decode `data` from `begin` to `end`; return what it holds of the body, and where decoding ended.

        It ends before `end` only behind a whole body. Raises `Unreadable`.
        """
        at = begin
        while at < end and not self.is_complete:
            # A whole body ends with an empty line. Fed up to each of those, the parser never sees what follows; the
            # first bytes may be the end of one that began in the piece before.
            found = data.find(END, max(begin, at - len(END) + 1), end)
            cut = found + len(END) if found >= 0 else end
            if at - begin < len(END) - 1:
                cut = at + 1
            _feed(self._parser, data[at:cut])
            at = cut
        body = b"".join(self._reader.pieces)
        self._undecoded = 0 if self._reader.pieces else self._undecoded + at - begin
        self._reader.pieces.clear()
        if self._undecoded > LONGEST_TRAILER:
            raise Unreadable("The trailer of the body is too long, or the extension of a chunk.")
        return body, at


def parse_head(data: bytes) -> tuple[Head, ChunkedBody | None]:
    """The head in `data`, which is without the empty line at its end, and what decodes the body if it is chunked.

    Raises `Unreadable`.
    """
    line, _, _ = data.partition(b"\r\n")
    match = REQUEST_LINE.fullmatch(line)
    if match is None:
        raise Unreadable("Expected a request line such as 'GET /topics HTTP/1.1'.")
    if match[3] != b"1":
        raise Unreadable("This server speaks HTTP/1.1.", 505)
    if data.count(b"\r\n") > MOST_LINES:
        raise Unreadable(f"The head has more than {MOST_LINES} header lines.", 431)
    reader = _HeadReader()
    parser = httptools.HttpRequestParser(reader)
    _feed(parser, OFFER.sub(b"", data) + END)
    headers, is_old = reader.headers, match[4] == b"0"
    _check(headers, is_old)
    path, _, query = _path_of(match[2]).partition(b"?")
    head = Head(
        match[1].decode(),
        (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"),
        query.decode("latin-1"),
        headers,
        is_old=is_old,
        keep_alive=_keeps_alive(headers.get("connection", "").lower(), is_old),
        chunked="transfer-encoding" in headers,
    )
    return head, ChunkedBody(reader, parser) if head.chunked else None


def _feed(parser: Any, data: bytes) -> None:
    try:
        parser.feed_data(data)
    except httptools.HttpParserCallbackError as error:
        raise error.__context__ or error from None
    except (httptools.HttpParserUpgrade, httptools.HttpParserError):
        raise Unreadable("The request does not follow the grammar of HTTP/1.1.") from None


def _check(headers: dict[str, str], is_old: bool) -> None:
    """Raise `Unreadable` for what RFC 9110 and 9112 forbid and the parser lets through."""
    if not (is_old or "host" in headers):
        raise Unreadable("A request of HTTP/1.1 has a Host header.")
    length = headers.get("content-length")
    if length is not None and not DIGITS.fullmatch(length):
        raise Unreadable("Content-Length is a number of bytes.")
    if length is not None:
        headers["content-length"] = length.lstrip("0") or "0"
    if not is_old and headers.get("expect", CONTINUE).lower() != CONTINUE:
        raise Unreadable(f"The only expectation that this server meets is {CONTINUE}.", 417)
    encoding = headers.get("transfer-encoding")
    if encoding is None:
        return
    if is_old or length is not None:
        raise Unreadable("Transfer-Encoding goes neither with HTTP/1.0 nor with Content-Length.")
    if encoding.lower() != "chunked":
        raise Unreadable("The only transfer encoding that this server reads is chunked.", 501)


def _keeps_alive(connection: str, is_old: bool) -> bool:
    options = {option.strip() for option in connection.split(",")}
    return "close" not in options and (not is_old or "keep-alive" in options)


@lru_cache(1024)
def _key(name: bytes) -> str:
    """A header name in lower case; empty for one with an underscore, which CGI and WSGI would take for another."""
    return "" if b"_" in name else name.decode("latin-1").lower()


def _path_of(target: bytes) -> bytes:
    """The path and query of a request target, also of one that is a whole URL."""
    if target.startswith(b"/") or b"://" not in target:
        return target
    _, slash, path = target.partition(b"://")[2].partition(b"/")
    return slash + path or b"/"
