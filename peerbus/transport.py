"""HTTP calls to other peerbus processes, over connections that are kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import pycurl

SIZE_OF_KEPT_BODY = 1 << 16
"""A connection holds on to the body it sent last; a larger one is let go of."""


class Unreachable(Exception):
    """No connection, or it broke before an answer came."""


class TimedOut(Exception):
    """Connected, but no whole answer in time."""


class Received(NamedTuple):
    """An answer as it came: header names in lower case."""

    status: int
    body: bytes
    headers: dict[str, str]


class Transport:
    """Sends requests from any thread; as many at once as threads call, each on a connection of its own.

    libcurl carries them: it keeps connections, notices the ones the other side has closed, and lets go of
    the interpreter lock meanwhile. Proxies in the environment are not used: the other side is ours.
    """

    def __init__(self, connect_timeout: float) -> None:
        self._connect_timeout_ms = max(1, int(connect_timeout * 1000))
        self._idle: deque[pycurl.Curl] = deque()

    def send(self, method: str, url: str, body: bytes, headers: Sequence[str], timeout: float) -> Received:
        """Send one request and return its answer; `timeout` is in seconds, for all of it.

        Raises `Unreachable`, for a URL that cannot be one too, and `TimedOut`.
        """
        if "\0" in url:
            raise Unreachable("the URL has a null character in it")
        try:
            curl = self._idle.pop()
        except IndexError:
            curl = self._connect()
        received: list[bytes] = []
        header_lines: list[bytes] = []
        curl.setopt(pycurl.URL, url.encode())
        curl.setopt(pycurl.CUSTOMREQUEST, method)
        curl.setopt(pycurl.POSTFIELDS, body)
        curl.setopt(pycurl.HTTPHEADER, [*(header.encode() for header in headers), b"Expect:"])
        curl.setopt(pycurl.TIMEOUT_MS, max(1, int(timeout * 1000)))
        curl.setopt(pycurl.WRITEFUNCTION, received.append)
        curl.setopt(pycurl.HEADERFUNCTION, header_lines.append)
        try:
            curl.perform()
        except pycurl.error as error:
            code, reason = error.args
            asked = curl.getinfo(pycurl.REQUEST_SIZE) > 0
            curl.close()
            raise (TimedOut if code == pycurl.E_OPERATION_TIMEDOUT and asked else Unreachable)(reason) from None
        answer = Received(curl.getinfo(pycurl.RESPONSE_CODE), b"".join(received), _parsed(header_lines))
        received.clear()
        if len(body) > SIZE_OF_KEPT_BODY:
            curl.setopt(pycurl.POSTFIELDS, b"")
        self._idle.append(curl)
        return answer

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _connect(self) -> pycurl.Curl:
        curl = pycurl.Curl()
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.TCP_NODELAY, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, self._connect_timeout_ms)
        return curl


def _parsed(lines: list[bytes]) -> dict[str, str]:
    pairs = (line.decode("latin-1").partition(":") for line in lines if b":" in line)
    return {name.lower(): value.strip() for name, _, value in pairs}
