"""A request on a connection, and its one answer."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import closing
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from time import time
from typing import TYPE_CHECKING

from peerbus.future import Future
from peerbus.http.types import IN_PARTS, Environ, Headers, Parts

if TYPE_CHECKING:
    from peerbus.http.connection import Line
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
CLOSE = ("connection", "close")
KEEP_ALIVE = ("connection", "keep-alive")
CHUNKED = ("transfer-encoding", "chunked")
LAST_CHUNK = b"0\r\n\r\n"


class Turn:
    """One request, from its head on. Any thread may answer it, all else is done in the loop."""

    __slots__ = (
        *("_arriving", "_bodiless", "_late", "_line", "_old", "_pieces", "_size"),
        *("answered", "complete", "environ", "hesitates", "keep", "whole"),
    )

    def __init__(self, line: Line, environ: Environ, keep: bool, body: bytes | None = None) -> None:
        """`keep` says whether another request may come after this one; `body` is there if all of it came."""
        self.environ = environ
        self.keep = keep
        self.whole = body is not None
        """Whether all of its body came."""
        self.complete = self.whole
        """Whether no more of its body is waited for."""
        self._line = line
        self._bodiless = environ["REQUEST_METHOD"] == "HEAD"
        self._old = environ["SERVER_PROTOCOL"] == "HTTP/1.0"
        self.hesitates = "HTTP_EXPECT" in environ and environ["HTTP_EXPECT"].lower() == "100-continue" and not self._old
        """Whether the client waits to be told to send the body."""
        self._pieces = [body] if body else []
        self._size = 0
        self._late = False
        self._arriving: ArrivingBody | None = None
        self.answered = False
        """Whether its answer has begun, or is sent."""

    # The request

    def take(self, piece: bytes) -> bool:
        """A piece of the body came; returns whether there is room for more before somebody reads."""
        self._size += len(piece)
        if self._arriving:
            return self._arriving.bring(piece)
        self._pieces.append(piece)
        return self._size < MOST_UNREAD

    @property
    def missing(self) -> int:
        """Bytes of the body that are known to come."""
        return 0 if self.complete else int(self.environ.get("CONTENT_LENGTH", 0)) - self._size

    def end(self) -> None:
        """All of the body came."""
        self.whole = True
        self._complete()

    def break_off(self) -> None:
        """The rest of the body is not waited for, nor another request.

        A body that declared its length is seen to be short; another is taken away, lest it pass for a whole one.
        """
        self.keep = False
        if not self.complete and "CONTENT_LENGTH" not in self.environ:
            self._late = True
            self.environ.pop("wsgi.input", None)
        self._complete()

    def give_up(self) -> None:
        """The body comes too slowly: what is there of it is not read."""
        self._late = True
        self.break_off()

    def _complete(self) -> None:
        self.complete = True
        if self._arriving:
            self._arriving.end()

    def begin(self) -> Environ:
        """The request as an application takes it, with what there is of its body, and what comes later."""
        environ, body = self.environ, b"".join(self._pieces)
        environ[IN_PARTS] = self.respond_in_parts
        if self._late:
            return environ
        self._pieces = []
        if self.complete:
            environ["wsgi.input"] = BytesIO(body)
        else:
            self._arriving = environ["wsgi.input"] = ArrivingBody(self._line.ask_for_more)
            self._arriving.bring(body)
        return environ

    # The answer

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer (`peerbus.http.types.Respond`)."""
        if not self._line.loop.here:
            self._line.loop.call(self.respond, status, headers, body)
            return
        if self.answered:
            return
        self.answered = True
        try:
            head = self._head(status, headers, None if status in WITHOUT_BODY else len(body))
        except ValueError:
            log.exception("An answer with status %s has a head that cannot be sent", status)
            head, body = self._head(500, [], 0), b""
        self._line.send(head if self._bodiless or status in WITHOUT_BODY else head + body)
        self._line.answered(self)

    def respond_in_parts(self, status: int, headers: Headers, parts: Parts) -> None:
        """Answer with what a generator makes (`peerbus.http.types.RespondInParts`).

        In the loop's own thread, which must not wait, a part counts as taken if the connection is open.
        """
        with closing(parts):
            if self.answered:
                return
            sized = _says_length(headers)
            chunked = not (sized or self._old)
            self.keep = self.keep and (sized or chunked)
            unsent = self._head(status, [*headers, CHUNKED] if chunked else headers)
            keep, self.keep = self.keep, False
            try:
                for part in parts:
                    if not self._hand_over(unsent + (_chunk(part) if chunked else part)):
                        return
                    unsent = b""
                self.keep = self._hand_over(unsent + (LAST_CHUNK if chunked else b"")) and keep
            except Exception:
                if unsent:
                    self.respond(500, [], b"")
                raise
            finally:
                self._line.loop.call(self._line.answered, self)

    def _head(self, status: int, headers: Headers, length: int | None = None) -> bytes:
        """The head of the answer, which says its length; it is known now whether another request may follow."""
        self.keep = self.keep and self.complete and not self._line.is_last
        if not self.keep:
            headers = [*headers, CLOSE]
        elif self._old:
            headers = [*headers, KEEP_ALIVE]
        says_length, lines = _lines(status, tuple(headers))
        date = _date_line(int(time()))
        if says_length or length is None:
            return b"%b%b\r\n" % (lines, date)
        return b"%bcontent-length: %d\r\n%b\r\n" % (lines, length, date)

    def _hand_over(self, data: bytes) -> bool:
        """Send a part of the answer and wait until it is taken; false where it is not, for the client is gone."""
        loop = self._line.loop
        taken: Future[bool] = Future()
        if not loop.call(self._begin_to_hand_over, data, taken):
            return False
        return taken.result() if taken.done or not loop.here else True

    def _begin_to_hand_over(self, data: bytes, taken: Future[bool]) -> None:
        self.answered = True
        self._line.hand_over(data, taken)


def _says_length(headers: Iterable[tuple[str, str]]) -> bool:
    return any(name.lower() == "content-length" for name, _ in headers)


def _chunk(part: bytes) -> bytes:
    """A part in a body of unknown length; an empty one would end that."""
    return b"%x\r\n%b\r\n" % (len(part), part) if part else b""


@lru_cache
def _lines(status: int, headers: tuple[tuple[str, str], ...]) -> tuple[bool, bytes]:
    """Whether headers say how long a body is, and the first lines of an answer's head with them."""
    fields = "".join([f"{name.lower()}: {value}\r\n" for name, value in headers])
    lines = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{fields}"
    return _says_length(headers), lines.encode("latin-1")


@lru_cache(1)
def _date_line(now: int) -> bytes:
    return f"date: {formatdate(now, usegmt=True)}\r\n".encode()


MOST_UNREAD = 256 << 10
"""Bytes of a body that may come before those in front of them are read."""


class ArrivingBody:
    """Bytes that one thread brings and another one waits for."""

    def __init__(self, wanted: Callable[[], None]) -> None:
        """`wanted` is called when somebody waits for more; it must not block."""
        self._wanted = wanted
        self._changed = threading.Condition()
        self._parts: list[bytes] = []
        self._unread = 0
        self._ended = False

    def bring(self, part: bytes) -> bool:
        """Some of it came; returns whether there is room for more before somebody reads."""
        with self._changed:
            self._parts.append(part)
            self._unread += len(part)
            self._changed.notify()
            return self._unread < MOST_UNREAD

    def end(self) -> None:
        """No more of it comes."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def read(self, size: int) -> bytes:
        """`size` bytes, waited for, or as many as come before its end."""
        read = bytearray()
        while len(read) < size:
            with self._changed:
                if not self._parts and self._ended:
                    break
                came = b"".join(self._parts)
                part, rest = came[: size - len(read)], came[size - len(read) :]
                self._parts = [rest] if rest else []
                self._unread = len(rest)
            read += part
            if len(read) < size:
                self._wanted()
                with self._changed:
                    self._changed.wait_for(lambda: self._parts or self._ended)
        return bytes(read)
