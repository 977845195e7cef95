"""A line: one kept connection that has one request under way at a time."""

import socket
import struct
from urllib.parse import urlsplit

PATIENCE_SECONDS = 30
"""How long an answer may take before the benchmark gives up."""
CHUNK_BYTES = 1 << 16
PATIENCE = struct.pack("ll", PATIENCE_SECONDS, 0)
END_OF_HEAD = b"\r\n\r\n"
GOOD = b"HTTP/1.1 200 "
LENGTH = b"content-length:"


class LineBroken(Exception):
    """The other side closed the connection, fell silent, or does not speak HTTP as expected."""


class Line:
    """A connection to one service, on which bytes are sent and whole answers received.

    The socket blocks, with a timeout kept by the system: Python's own would cost a system call more a request.
    """

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        try:
            self._socket = socket.create_connection((address.hostname, address.port or 80), PATIENCE_SECONDS)
        except OSError as error:
            raise LineBroken(f"{url} cannot be reached: {error}.") from None
        self._socket.setblocking(True)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, option, PATIENCE)
        self._url = url
        self._part = b""
        self._size = 0

    def fileno(self) -> int:
        """The number under which the connection can be polled."""
        return self._socket.fileno()

    def send(self, data: bytes) -> None:
        """Send a request; raises `LineBroken`."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise LineBroken(f"{self._url} takes no request: {error}.") from None

    def receive(self) -> bytes | None:
        """Read once: the answer, head and body, if it is whole by now; raises `LineBroken`."""
        try:
            data = self._socket.recv(CHUNK_BYTES)
        except OSError as error:
            raise LineBroken(f"{self._url} gives no answer: {error}.") from None
        if not data:
            raise LineBroken(f"{self._url} closed the connection.")
        if self._part:
            data = self._part + data
        if not self._size:
            self._size = size_of_answer(data)
        if not self._size or len(data) < self._size:
            self._part = data
            return None
        self._part, self._size = b"", 0
        return data

    def ask(self, data: bytes) -> bytes:
        """Send a request and wait for its answer."""
        self.send(data)
        while (answer := self.receive()) is None:
            pass
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def size_of_answer(data: bytes) -> int:
    """The bytes of head and body, by what the head says; 0 while the head is not whole."""
    end = data.find(END_OF_HEAD)
    if end < 0:
        return 0
    head = data[:end].lower()
    _, found, rest = head.partition(LENGTH)
    if not found:
        raise LineBroken("An answer does not say how long it is.")
    return end + len(END_OF_HEAD) + int(rest.partition(b"\r")[0])


def is_good(answer: bytes, expected: bytes) -> bool:
    """Whether an answer has status 200 and what was expected in it."""
    return answer.startswith(GOOD) and expected in answer
