"""The body of a request, read by a thread while it still comes."""

import threading
from collections.abc import Callable

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
