"""Receivers of pushed messages: applications that answer as a test tells them to, and note what came."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any, NamedTuple

from tests.support.harness import DEADLINE


class Answer(NamedTuple):
    """An answer to a push; `waits` for the event before it is given, if there is one."""

    status: int
    headers: Mapping[str, str] = {}
    waits: threading.Event | None = None
    body: bytes = b""


OK = Answer(204)


class Came(NamedTuple):
    """A push that came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def values(self) -> list[Any]:
        return [message["message"] for message in self.json()["messages"]]

    @property
    def attempts(self) -> list[int]:
        return [message["attempt"] for message in self.json()["messages"]]


class Receiver(ThreadingHTTPServer):
    """Gives each push the next of its answers, and the last one again and again."""

    block_on_close = False
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answers: tuple[Answer, ...], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.port = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self.pushes: Queue[Came] = Queue()
        self._answers = list(answers)
        self._lock = threading.Lock()

    def next(self) -> Came:
        """The next push that came."""
        return self.pushes.get(timeout=DEADLINE)

    def take(self, came: Came) -> Answer:
        with self._lock:
            self.pushes.put(came)
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:  # the name that `http.server` looks for
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.take(Came(self.path, dict(self.headers.items()), body))
        if answer.waits:
            answer.waits.wait(DEADLINE)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(answer.body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def receiver(*answers: Answer, port: int = 0) -> Iterator[Receiver]:
    """A receiver in this process, at `/hook`; by default it takes everything."""
    with Receiver(answers or (OK,), port) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()
