"""What comes on a connection, as requests."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

import httptools

from peerbus.http.known_heads import END, KnownHeads
from peerbus.http.timeouts import LARGEST_HEAD
from peerbus.http.types import Environ

if TYPE_CHECKING:
    from peerbus.http.connection import Line

NOT_HTTP = "400 Bad Request"
TOO_LARGE = "431 Request Header Fields Too Large"
UNSAID = {"HTTP_TRANSFER_ENCODING", "HTTP_EXPECT"}
"""What a head must not say, for it and its body to be all of a request."""
OFFER = re.compile(rb"\r\nupgrade[ \t]*:[^\r\n]*", re.IGNORECASE)
LONGEST_KEPT = 64
"""Bytes of the longest header name that is remembered."""


class Request(NamedTuple):
    """What a head says: the request but for its connection, and how many bytes of body follow."""

    environ: Environ
    length: int


class Unreadable(Exception):
    """What comes is no request, or asks for another protocol; its text is the status that says so."""


class Reader:
    """Reads requests by httptools' parser (llhttp, in C), and tells its line of each as it comes."""

    def __init__(self, line: Line, heads: KnownHeads[Request], common: Environ) -> None:
        """`heads` are those of all lines of a server; `common` is what all requests of this one have."""
        self._line = line
        self._heads = heads
        self._common = common
        self._pieces: list[bytes] = []
        """What came of a body, and its line was not told of yet."""
        self.on_body = self._pieces.append
        self._parser = httptools.HttpRequestParser(self)
        self._environ: Environ = {}
        self._target = b""
        self._between = True
        """Whether nothing of the next request came."""
        self._in_head = True
        self._came = 0
        """Bytes that came since anything of a request was complete: its head, a piece of its body, all of it."""
        self._begun = 0
        """Requests that the parser saw begin."""
        self._keep = False
        """Whether another request may come after this one."""

    def read(self, data: bytes) -> None:
        """Take in what came; a whole request whose head came before needs no parser. Raises `Unreadable`."""
        if self._between:
            head, end, body = data.partition(END)
            known = self._heads.get(head) if end else None
            if known is not None and len(body) == known.length:
                self._line.came(known.environ | self._common, body)
                return
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        first, begun = self._between, self._begun
        self._came += len(data)
        try:
            self._parser.feed_data(_without_offers(data) if first else data)
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except (httptools.HttpParserUpgrade, httptools.HttpParserError):
            raise Unreadable(NOT_HTTP) from None
        self._tell_of_body()
        if self._came > LARGEST_HEAD:
            raise Unreadable(TOO_LARGE)
        if first and self._between and self._begun == begun + 1 and self._keep:
            self._learn(*data.partition(END))

    def _learn(self, head: bytes, _: bytes, body: bytes) -> None:
        environ = self._environ
        if len(body) == int(environ.get("CONTENT_LENGTH", 0)) and environ.keys().isdisjoint(UNSAID):
            self._heads.learn(head, Request(environ.copy(), len(body)))

    def _tell_of_body(self) -> None:
        if self._pieces:
            self._came = 0
            self._line.take(b"".join(self._pieces))
            self._pieces.clear()

    # What the parser calls, beside `on_body`

    def on_message_begin(self) -> None:
        """A request begins."""
        self._between = False
        self._begun += 1
        self._environ = self._common.copy()
        self._target = b""

    def on_url(self, part: bytes) -> None:
        """A part of what is asked for came."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header came; those after the body are nobody's."""
        if self._in_head and (key := _key(name) if len(name) <= LONGEST_KEPT else _key.__wrapped__(name)):
            text = value.strip().decode("latin-1")
            self._environ[key] = f"{self._environ[key]},{text}" if key in self._environ else text

    def on_headers_complete(self) -> None:
        """The head is whole; raises `Unreadable` for one that is too large."""
        self._in_head = False
        environ, target = self._environ, self._target
        if self._came > LARGEST_HEAD and len(target) + sum(map(len, [*environ, *environ.values()])) > LARGEST_HEAD:
            raise Unreadable(TOO_LARGE)
        self._came = 0
        if "CONTENT_LENGTH" in environ:
            environ["CONTENT_LENGTH"] = environ["CONTENT_LENGTH"].lstrip("0") or "0"
        path, _, query = _path_of(target).partition(b"?")
        environ["REQUEST_METHOD"] = self._parser.get_method().decode("latin-1")
        environ["PATH_INFO"] = (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1")
        environ["QUERY_STRING"] = query.decode("latin-1")
        environ["SERVER_PROTOCOL"] = f"HTTP/{self._parser.get_http_version()}"
        environ.setdefault("HTTP_HOST", "")
        self._keep = self._parser.should_keep_alive()  # the parser knows it until the request is whole
        self._line.begin(environ, self._keep)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._tell_of_body()
        self._between = self._in_head = True
        self._came = 0
        self._line.end()


def _without_offers(data: bytes) -> bytes:
    """A head, and what follows it, without its offers to speak another protocol: the parser would take one up for us.

    A head that did not come at once keeps them, and is refused: the bytes of a body must not be taken for its.
    """
    head, end, rest = data.partition(END)
    return OFFER.sub(b"", head) + end + rest if end else data


@lru_cache(1024)
def _key(name: bytes) -> str:
    """What a header is called in WSGI; empty for one with an underscore, which could pass for another there."""
    if b"_" in name:
        return ""
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"


def _path_of(target: bytes) -> bytes:
    """What is asked for of this server, where that is called by its whole URL too."""
    if target.startswith(b"/") or b"://" not in target:
        return target
    _, slash, path = target.partition(b"://")[2].partition(b"/")
    return slash + path or b"/"
