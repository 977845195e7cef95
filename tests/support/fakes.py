"""Servers that are not peerbus: they answer what a test tells them to, and note what came."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue

from tests.support.harness import DEADLINE

SILENCE = None
"""An answer that never comes."""
HANG_UP = b""
"""No answer: the connection is closed."""


def http(status: int, body: bytes = b"{}", content_type: str = "application/json", *headers: str) -> bytes:
    """An answer as it goes over the wire; the connection stays open."""
    lines = [
        f"HTTP/1.1 {status} Fake",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class FakeServer(socketserver.ThreadingTCPServer):
    """Answers each request with the next of `answers`, the last one again and again."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, answers: tuple[bytes | None, ...], hang_up_after_answer: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.requests: Queue[bytes] = Queue()
        self.hang_ups: Queue[None] = Queue()
        self.connections = 0
        self.closing = threading.Event()
        self.hang_up_after_answer = hang_up_after_answer
        self._answers = list(answers)

    def next_request(self) -> bytes:
        """The next request that came, head and body."""
        return self.requests.get(timeout=DEADLINE)

    def next_answer(self) -> bytes | None:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class _Handler(socketserver.StreamRequestHandler):
    server: FakeServer

    def handle(self) -> None:
        self.server.connections += 1
        while request := self._read():
            self.server.requests.put(request)
            answer = self.server.next_answer()
            if answer is SILENCE:
                self.server.closing.wait()
                return
            self.wfile.write(answer)
            if answer == HANG_UP or self.server.hang_up_after_answer:
                return

    def finish(self) -> None:
        super().finish()
        self.request.close()
        self.server.hang_ups.put(None)

    def _read(self) -> bytes:
        head = b""
        while line := self.rfile.readline():
            head += line
            if line == b"\r\n":
                break
        length = [int(line[15:]) for line in head.lower().splitlines() if line.startswith(b"content-length:")]
        return head + (self.rfile.read(length[0]) if length else b"")


@contextmanager
def fake_server(*answers: bytes | None, hang_up_after_answer: bool = False) -> Iterator[FakeServer]:
    """A server that gives `answers`, in this process."""
    with FakeServer(answers, hang_up_after_answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.closing.set()
        server.shutdown()
