"""The load generator: many callers, each on one connection, each calling again as soon as it is answered.

One thread drives all of them over plain sockets with bytes prepared before: it polls until an answer arrives, takes
the time, checks the answer and sends the next request. A thread for each caller would add the interpreter's
switching between threads to every latency.

Two figures show whether the generator is the bottleneck. Each measurement has the share of a processor core that the
generator used: near 1, the generator itself is what was measured. And `benchmarks.ceiling` measures `/livez`, which
costs the server next to nothing, to find how many requests a second a whole core of the generator makes.

The calls that prepare a server for a measurement are here too, for the generator makes them.
"""

import gc
import select
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from benchmarks.connection import (
    END_OF_HEAD,
    OK,
    TIMEOUT_SECONDS,
    Connection,
    ConnectionBroken,
    Request,
    is_good,
    prepare,
)
from benchmarks.environment import StealTime

MESSAGE = "x" * 100
BATCH = 1000
"""Messages of a request that has many."""
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
