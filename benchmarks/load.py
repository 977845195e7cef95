"""The load generator: many callers, each on one connection, each calling again as soon as it is answered.

One thread drives all of them over plain sockets with bytes prepared before: it polls until an answer arrives, takes
the time, checks the answer and sends the next request. A thread for each caller would add the interpreter's
switching between threads to every latency.

Two figures show whether the generator is the bottleneck. Each measurement has the share of a processor core that the
generator used: near 1, the generator itself is what was measured. And `benchmarks.suite` measures `/livez`, which
costs the server next to nothing, to find how many requests a second a whole core of the generator makes.

Requests are bytes, and connections plain sockets: no HTTP library's own work is in a latency. The calls that prepare a
server for a measurement are here too, for the generator makes them.
"""

import gc
import json
import select
import socket
import struct
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import msgspec
from tqdm import tqdm

from benchmarks.processes import StealTime

JSON = "application/json"
TIMEOUT_SECONDS = 30
"""How long an answer may take before the benchmark gives up."""
CHUNK_BYTES = 1 << 16
TIMEOUT = struct.pack("ll", TIMEOUT_SECONDS, 0)
END_OF_HEAD = b"\r\n\r\n"
OK = b"HTTP/1.1 200 "
LENGTH = b"content-length:"


class ConnectionBroken(Exception):
    """The service closed the connection, timed out, or does not speak HTTP as expected."""


class Request(NamedTuple):
    """The bytes of a request. An answer is good if its status is 200 and its bytes contain `expected`."""

    call: str
    data: bytes
    expected: bytes = b""


def prepare(
    call: str, fields: Mapping[str, object] | None = None, method: str = "POST", expected: bytes = b""
) -> Request:
    """The request for a call. A GET has `fields` in its query string, every other method as JSON in its body."""
    target = f"/{call}"
    body = b""
    if method != "GET":
        body = json.dumps(fields or {}, separators=(",", ":")).encode()
    elif fields:
        target += f"?{urlencode(fields)}"
    return Request(call, http(method, target, body, JSON), expected)


def http(method: str, target: str, body: bytes = b"", content_type: str = "") -> bytes:
    """The bytes of an HTTP request; without a body it has no content type."""
    head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body:
        head += f"Content-Type: {content_type}\r\n" if content_type else ""
        head += f"Content-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


class Connection:
    """A keep-alive connection to one service, with at most one request under way.

    The socket blocks, and the kernel keeps its timeout: Python's own would cost one more system call a request.
    """

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        try:
            self._socket = socket.create_connection((address.hostname, address.port or 80), TIMEOUT_SECONDS)
        except OSError as error:
            raise ConnectionBroken(f"{url} cannot be reached: {error}.") from None
        self._socket.setblocking(True)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, option, TIMEOUT)
        self._url = url
        self._part = b""
        self._size = 0

    def fileno(self) -> int:
        """The socket's file descriptor, to poll."""
        return self._socket.fileno()

    def send(self, data: bytes) -> None:
        """Send a request; raises `ConnectionBroken`."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ConnectionBroken(f"{self._url} takes no request: {error}.") from None

    def receive(self) -> bytes | None:
        """Read once, and return the answer, head and body, if it is complete now; raises `ConnectionBroken`."""
        try:
            data = self._socket.recv(CHUNK_BYTES)
        except OSError as error:
            raise ConnectionBroken(f"{self._url} gives no answer: {error}.") from None
        if not data:
            raise ConnectionBroken(f"{self._url} closed the connection.")
        if self._part:
            data = self._part + data
        if not self._size:
            self._size = size_of_answer(data)
        if not self._size or len(data) < self._size:
            self._part = data
            return None
        self._part, self._size = b"", 0
        return data

    def exchange(self, data: bytes) -> bytes:
        """Send a request and return its answer; raises `ConnectionBroken`."""
        self.send(data)
        while (answer := self.receive()) is None:
            pass
        return answer

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def size_of_answer(data: bytes) -> int:
    """The bytes of head and body according to the head's Content-Length; 0 while the head is incomplete."""
    end = data.find(END_OF_HEAD)
    if end < 0:
        return 0
    head = data[:end].lower()
    _, found, rest = head.partition(LENGTH)
    if not found:
        raise ConnectionBroken("An answer does not say how long it is.")
    return end + len(END_OF_HEAD) + int(rest.partition(b"\r")[0])


def is_good(answer: bytes, expected: bytes) -> bool:
    """Whether an answer has status 200 and contains the expected bytes."""
    return answer.startswith(OK) and expected in answer


MESSAGE = "x" * 100
BATCH = 1000
"""Messages of a request that has many."""
TOPICS_AT_ONCE = 10_000
"""Topics that one request creates."""
PREPARING_CONNECTIONS = 16


class SetupFailed(Exception):
    """A server did not give the expected answer to a call that a measurement needs."""


class Caller(NamedTuple):
    """A caller of one service, and its requests in order."""

    url: str
    requests: Sequence[Request]


@dataclass(slots=True)
class Load:
    """The result of a load: by call, the latencies of good answers and the number of others; times in seconds.

    `processor_seconds` is the processor time of the generator itself, `stolen` the steal time as a share of all
    processors' time.
    """

    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    processor_seconds: float = 0.0
    stolen: float = 0.0
    first_error: bytes = b""


class _Calling:
    """A caller at work: its connection, the request under way and the time it was sent."""

    __slots__ = ("connection", "request", "rest", "sent")

    def __init__(self, caller: Caller, connection: Connection) -> None:
        self.connection = connection
        self.rest = iter(caller.requests)
        self.request: Request | None = None
        self.sent = 0.0

    def send_next(self) -> bool:
        """Send the next request; false if there is none."""
        self.request = request = next(self.rest, None)
        if request is None:
            return False
        self.sent = time.perf_counter()
        self.connection.send(request.data)
        return True


def generate(callers: Sequence[Caller]) -> Load:
    """Let all callers call at once until each has all its answers; raises `ConnectionBroken`.

    Every connection has been made and has carried one answer before the clock starts.
    """
    hello = prepare("livez", method="GET").data
    with ExitStack() as connections:
        calling: dict[int, _Calling] = {}
        for caller in callers:
            connection = connections.enter_context(closing(Connection(caller.url)))
            connection.exchange(hello)
            calling[connection.fileno()] = _Calling(caller, connection)
        gc.disable()
        try:
            return _drive(calling)
        finally:
            gc.enable()


def _drive(calling: dict[int, _Calling]) -> Load:
    load = Load()
    poller = select.poll()
    for number in calling:
        poller.register(number, select.POLLIN)
    steal = StealTime()
    processor_start, start = time.process_time(), time.perf_counter()
    under_way = sum(each.send_next() for each in calling.values())
    while under_way:
        ready = poller.poll(TIMEOUT_SECONDS * 1000)
        if not ready:
            raise ConnectionBroken(f"No answer came within {TIMEOUT_SECONDS} seconds.")
        for number, _ in ready:
            each = calling[number]
            answer = each.connection.receive()
            if answer is not None:
                _note(load, each, answer, time.perf_counter())
                under_way -= not each.send_next()
    load.seconds = time.perf_counter() - start
    load.processor_seconds = time.process_time() - processor_start
    load.stolen = steal.share()
    return load


def _note(load: Load, calling: _Calling, answer: bytes, now: float) -> None:
    call, _, expected = calling.request or Request("unasked", b"")
    if is_good(answer, expected):
        load.latencies[call].append(now - calling.sent)
    else:
        load.errors[call] += 1
        load.first_error = load.first_error or answer


def make(callers: Sequence[Caller]) -> None:
    """Make calls that must all succeed; raises `SetupFailed`."""
    load = generate(callers)
    if load.first_error:
        raise SetupFailed(f"A benchmark could not be set up: {load.first_error.decode(errors='replace')}")


def make_all(url: str, requests: Iterable[Request]) -> None:
    """Make calls that do not depend on each other, on several connections at once; raises `SetupFailed`."""
    every = list(requests)
    make([Caller(url, every[i::PREPARING_CONNECTIONS]) for i in range(min(PREPARING_CONNECTIONS, len(every)))])


def ask(url: str, request: Request) -> bytes:
    """The answer to one request on a new connection; raises `SetupFailed` unless it contains the expected bytes."""
    with closing(Connection(url)) as connection:
        answer = connection.exchange(request.data)
    if request.expected not in answer:
        raise SetupFailed(f"{url} gave another answer to {request.call}: {answer[:500].decode(errors='replace')}")
    return answer


def create_topic(url: str, topic: str, **options: object) -> None:
    """Create a topic."""
    ask(url, prepare("create_topic", {"topic": topic, **options}, expected=OK))


def create_topics(url: str, topics: Sequence[str]) -> None:
    """Create many topics, with a progress bar."""
    with tqdm(total=len(topics), unit="topic", unit_scale=True, leave=False, dynamic_ncols=True) as bar:
        bar.set_description("creating topics")
        for begin in range(0, len(topics), TOPICS_AT_ONCE):
            some = topics[begin : begin + TOPICS_AT_ONCE]
            ask(url, prepare("create_topics", {"topics": some}, expected=OK))
            bar.update(len(some))


def join(url: str, topic: str, peers: Sequence[str]) -> None:
    """Register peers and subscribe each to a topic."""
    make_all(url, [prepare("register_peer_node", {"peer_id": peer}) for peer in peers])
    subscribe(url, topic, peers)


def subscribe(url: str, topic: str, peers: Sequence[str], start: str | int = "latest") -> None:
    """Subscribe registered peers from an offset, or from the `earliest` or `latest` message."""
    make_all(url, [prepare("subscribe", {"peer_id": peer, "topic": topic, "from": start}) for peer in peers])


def unsubscribe(url: str, topic: str, peers: Sequence[str]) -> None:
    """End the subscriptions of peers."""
    make_all(url, [prepare("unsubscribe", {"peer_id": peer, "topic": topic}) for peer in peers])


def fill(url: str, topic: str, count: int) -> None:
    """Publish `count` messages of 100 bytes."""
    whole, rest = divmod(count, BATCH)
    batch, last = (prepare("publish", {"topic": topic, "messages": [MESSAGE] * size}) for size in (BATCH, rest))
    make([Caller(url, [batch] * whole + [last] * bool(rest))])


def stat(url: str, name: str) -> int:
    """One of the figures in `/stats`."""
    body = ask(url, prepare("stats", method="GET", expected=OK)).partition(END_OF_HEAD)[2]
    found: int = msgspec.json.decode(body)["stats"][name]
    return found


def names(stem: str, count: int) -> list[str]:
    """`count` names of peers or topics: `peer1`, `peer2`, ..."""
    return [f"{stem}{number}" for number in range(1, count + 1)]
