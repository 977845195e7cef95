"""Keeping one of a server's threads free while others wait."""

import select
import socket
import threading
from contextlib import ExitStack, suppress

REQUEST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
TRIES = 50
PAUSE_SECONDS = 0.002


class SpareThread:
    """Sees to it that a request which comes while others wait is served at once.

    granian 2.8 starts a thread for a request that finds none idle, but not two within a fraction of a millisecond.
    A request that comes just then stays queued until the next one comes or a thread gets free: behind pulls that
    wait a minute, for a minute. So whoever is about to wait says so, and then a request of our own is sent, and
    another, until one is answered. Requests are taken in turn, so whatever was queued before has been taken too.
    """

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._closing = False
        self._address: tuple[str, int] = ("", 0)
        self._thread = threading.Thread(target=self._run, name="spare", daemon=True)

    def start(self, host: str, port: int) -> None:
        """Begin to look after the server that listens there, on this machine."""
        self._address = host, port
        self._thread.start()

    def about_to_wait(self) -> None:
        """Note that a request is going to hold its thread. Returns at once."""
        self._wanted.set()

    def close(self) -> None:
        """Stop looking."""
        self._closing = True
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._closing:
                return
            with suppress(OSError):
                self._ask_until_answered()

    def _ask_until_answered(self) -> None:
        """Send requests until one is answered; when all threads there may be are held, none is."""
        with ExitStack() as connections:
            asked: list[socket.socket] = []
            while len(asked) < TRIES and not self._closing:
                connection = connections.enter_context(socket.create_connection(self._address))
                connection.sendall(REQUEST)
                asked.append(connection)
                if select.select(asked, [], [], PAUSE_SECONDS * len(asked))[0]:
                    return
