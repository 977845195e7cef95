"""What tests start and speak to."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import requests

from peerbus.broker import Broker, Limits
from peerbus.future import Future
from peerbus.http.listener import bind
from peerbus.http.server import Server
from peerbus.node import NodeOptions, PeerNode
from peerbus.server import IndexingServer, ServerOptions
from peerbus.server.access import Tokens

ROOT = Path(__file__).parent.parent.parent
DEADLINE = 20.0
"""Seconds after which what has not happened is taken not to happen."""
MAX_BODY = 16 << 20


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Reply(NamedTuple):
    status: int
    body: dict[str, Any]
    headers: Any


class Api:
    """Calls a server or a peer node as a client does, over one kept connection."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False

    def send(self, method: str, path: str, **options: Any) -> Reply:
        response = self.session.request(method, self.url + path, timeout=DEADLINE, **options)
        return Reply(response.status_code, response.json(), response.headers)

    def post(self, path: str, **fields: Any) -> Reply:
        return self.send("POST", path, json=fields)

    def get(self, path: str, **query: Any) -> Reply:
        return self.send("GET", path, params=query)

    def delete(self, path: str, **fields: Any) -> Reply:
        return self.send("DELETE", path, json=fields)

    def subscriber(self, peer_id: str, topic: str) -> None:
        """Register a peer and subscribe it to a topic, created if need be."""
        for path, fields in (
            ("/register_peer_node", {"peer_id": peer_id}),
            ("/create_topic", {"topic": topic}),
            ("/subscribe", {"peer_id": peer_id, "topic": topic}),
        ):
            assert self.post(path, **fields).status == 200

    def events(self) -> list[str]:
        """What a peer node noted, by name."""
        return [event["event"] for event in self.get("/events").body["events"]]

    def in_background(self, method: str, path: str, **fields: Any) -> "ThreadFuture[Reply]":
        """Make a call from another thread, on a connection of its own."""
        return in_background(lambda: Api(self.url).send(method, path, json=fields))

    def showing(self, token: str) -> "Api":
        """The same server, asked with a token."""
        other = Api(self.url)
        other.session.headers["Authorization"] = f"Bearer {token}"
        return other

    def close(self) -> None:
        self.session.close()


def free_port() -> int:
    """A port that nothing listens on, nor will: not one of those that connections get from the system."""
    while True:
        port = random.randint(10_000, 30_000)  # noqa: S311  # guards nothing
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def error_of(later: Future[Any]) -> Exception | None:
    """What there is instead of a value, waited for."""
    try:
        later.result(DEADLINE)
    except Exception as error:  # noqa: BLE001  # any error is an answer
        return error
    return None


def in_background(work: Callable[[], Any]) -> "ThreadFuture[Any]":
    executor = ThreadPoolExecutor(1)
    future = executor.submit(work)
    executor.shutdown(wait=False)
    return future


def eventually(condition: Callable[[], Any]) -> Any:
    """What `condition` returns once it is true; fails after `DEADLINE`.

    For what a server does in the background and offers no call to wait for.
    """
    pause = threading.Event()
    for _ in range(int(DEADLINE / 0.02)):
        result = condition()
        if result:
            return result
        pause.wait(0.02)
    raise AssertionError(f"did not happen within {DEADLINE} seconds: {condition}")


@contextmanager
def tended(broker: Broker) -> Iterator[None]:
    """A thread does the broker's due work, as an indexing server does; the broker is closed in the end."""
    due = threading.Event()
    broker.on_due = due.set

    def run_due() -> None:
        while not broker.closing:
            due.clear()
            due.wait(min(broker.run_due().next_in, 10 * DEADLINE))

    tending = in_background(run_due)
    try:
        yield
    finally:
        broker.close()
        due.set()
        tending.result(DEADLINE)


@contextmanager
def start_index(port: int = 0, tokens: Tokens | None = None, **limits: Any) -> Iterator[Api]:
    """An indexing server in this process."""
    server = IndexingServer(bind("127.0.0.1", port), ServerOptions(Limits(**limits), tokens=tokens))
    yield from serving(server)


@contextmanager
def start_node(peer_id: str, index_url: str, **options: Any) -> Iterator[Api]:
    """A peer node in this process."""
    node = PeerNode(peer_id, bind("127.0.0.1", 0), NodeOptions(index_url=index_url, **options))
    yield from serving(node)


def serving(server: IndexingServer | PeerNode | Server | Server) -> Iterator[Api]:
    server.start()
    api = Api(server.url)
    try:
        yield api
    finally:
        api.close()
        server.stop()
        assert server.wait(), "the server did not stop in time"


class Process:
    """A command line of the project, running as a process of its own."""

    def __init__(self, script: str, *arguments: str, **environment: str) -> None:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PEERBUS_")}
        self._process = subprocess.Popen(
            [sys.executable, ROOT / script, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=inherited | environment,
        )

    def urls(self, count: int = 1) -> list[str]:
        """The URLs of the `count` services it starts, once they serve, in the order of their ports."""
        assert self._process.stdout
        found: list[str] = []
        too_late = threading.Timer(DEADLINE, os.killpg, (self.pid, signal.SIGKILL))
        too_late.start()
        try:
            while len(found) < count:
                line = self._process.stdout.readline()
                if not line:
                    raise AssertionError(f"ended before it served: {self.finish()}")
                found += re.findall(r"https?://(?:[0-9.]+|\[[0-9a-f:]+\]):[0-9]+", line)[:1]
        finally:
            too_late.cancel()
        return sorted(found, key=lambda url: int(url.rsplit(":", 1)[1]))

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def interrupt_group(self) -> None:
        """What Ctrl-C does in a terminal: every process of the group gets it."""
        os.killpg(self._process.pid, signal.SIGINT)

    def finish(self) -> tuple[int, str, str]:
        """The exit code, standard output and standard error, once it ended; fails after `DEADLINE`."""
        out, err = self._process.communicate(timeout=DEADLINE)
        return self._process.returncode, out, err

    def refusal(self, expected: int = 2) -> str:
        """The one line on standard error that a command line ends with where it cannot be followed."""
        code, out, err = self.finish()
        assert (code, out) == (expected, ""), err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err

    def line(self) -> str:
        """The next line on standard output."""
        assert self._process.stdout
        return self._process.stdout.readline()

    def error_line(self) -> str:
        """The next line on standard error."""
        assert self._process.stderr
        return self._process.stderr.readline()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def children(self) -> list[int]:
        """The process ids of the processes it started."""
        pairs = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout  # noqa: S607
        return [int(pid) for pid, parent in map(str.split, pairs.splitlines()) if int(parent) == self.pid]

    @property
    def left_running(self) -> bool:
        """Whether it, or a process that it started, still exists."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """End it and all its children, whatever they do."""
        if self._process.poll() is None or self.left_running:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


@contextmanager
def processes(log_dir: Path) -> Iterator[Callable[..., Process]]:
    """Starts command lines of the project as processes of their own, which are killed at the end."""
    started: list[Process] = []

    def start(script: str, *arguments: str, **environment: str) -> Process:
        defaults = {"PEERBUS_LOG_DIR": str(log_dir), "PEERBUS_NODE_LOG_DIR": str(log_dir)}
        process = Process(script, *arguments, **defaults | environment)
        started.append(process)
        return process

    try:
        yield start
    finally:
        for process in started:
            process.kill()
