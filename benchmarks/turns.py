"""The longest turns of the server's event loop under its largest requests: `python -m benchmarks.turns --help`."""

import gc
import multiprocessing
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from statistics import median
from typing import NamedTuple

import click

from benchmarks import command
from benchmarks.flatness import AWAITED, WaitingPulls
from benchmarks.load import (
    JSON,
    OK,
    TIMEOUT_SECONDS,
    Connection,
    Request,
    SetupFailed,
    ask,
    http,
    prepare,
    size_of_answer,
    stat,
)
from benchmarks.stats import write_table
from peerbus.broker import Broker, Limits
from peerbus.cli import options
from peerbus.future import Future
from peerbus.http.listener import allow_sockets, bind
from peerbus.server import IndexingServer, ServerOptions

TOPIC = "bench"
PEER = "peer"
BODY = 16 << 20
"""Bytes of the largest body."""
MANY = 100_000
"""Messages of one request, and messages in flight."""
TOPICS = 1_000_000
SUBSCRIBERS = 50_000
QUEUED = 1_000_000
WAITING = 10_000
STREAMS = 5000
PIECE = 1 << 16
QUICK_PART = 20
SLOW_PIECE = 256 << 10
SLOW_SECONDS = 0.005
"""Pause of a slow reader or writer after each piece."""
LIMITS = Limits(
    max_topics=2 * TOPICS, max_bytes=8 << 30, max_messages=2 * QUEUED, max_waiting=2 * WAITING, subscription_expiry=0
)


Measuring = Callable[[], AbstractContextManager[None]]
"""Measures the turns while its context lasts."""


class Case(NamedTuple):
    """Requests to measure: `prepared` is done in the server's process, `drive` by a client of it."""

    name: str
    prepared: Callable[[Broker], object]
    drive: Callable[[str, Measuring], None]


# What is prepared in the process of the server


def nothing(_: Broker) -> None:
    """Prepare nothing."""


def subscribed(broker: Broker, messages: int = 0, size: int = 1, *, explicit: bool = False, in_flight: int = 0) -> None:
    """A peer that is subscribed to a topic with messages, some of them in flight."""
    broker.create_topic(TOPIC)
    broker.register_peer(PEER)
    broker.subscribe(PEER, TOPIC, explicit=explicit)
    value = b'"%s"' % (b"x" * (size - 2)) if size > 2 else b"1"
    for begin in range(0, messages, MANY):
        broker.publish(TOPIC, [bytes(bytearray(value)) for _ in range(min(MANY, messages - begin))])
    while in_flight > 0:
        in_flight -= len(broker.pull(PEER, TOPIC, in_flight).offsets)


def topics(broker: Broker, count: int) -> None:
    """Topics with a message each."""
    for number in range(count):
        broker.create_topic(f"topic{number}")
        broker.publish(f"topic{number}", [b"1"])


def subscribers(broker: Broker, count: int) -> None:
    """A topic with subscribers that have an address."""
    broker.create_topic(TOPIC)
    for number in range(count):
        broker.register_peer(f"peer{number}", f"http://127.0.0.1:9/{number}")
        broker.subscribe(f"peer{number}", TOPIC)


def subscriptions(broker: Broker, count: int, lease: float | None = None) -> None:
    """A peer that is subscribed to many topics."""
    broker.register_peer(PEER, lease_seconds=lease)
    for number in range(count):
        broker.create_topic(f"topic{number}")
        broker.subscribe(PEER, f"topic{number}")


def readers(broker: Broker, count: int, topic: str = TOPIC) -> None:
    """Subscribers of one topic, called as the waiting pulls of `WaitingPulls` are."""
    broker.create_topic(topic)
    for number in range(1, count + 1):
        broker.register_peer(f"waiter{number}")
        broker.subscribe(f"waiter{number}", topic)


# What a client does


def one(request: Request, url: str, measuring: Measuring) -> None:
    """Make one request, after a first one has loaded what the server loads late."""
    if b"GET /metrics" in request.data:
        ask(url, request)
    with closing(connected(url)) as line, measuring():
        line.sendall(request.data)
        received(line)


def slow_reader(request: Request, url: str, measuring: Measuring) -> None:
    """Make one request, and read its answer slowly."""
    with closing(connected(url)) as line, measuring():
        line.sendall(request.data)
        received(line, SLOW_SECONDS)


def slow_writer(request: Request, url: str, measuring: Measuring) -> None:
    """Make one request slowly."""
    with closing(connected(url)) as line, measuring():
        for begin in range(0, len(request.data), SLOW_PIECE):
            line.sendall(request.data[begin : begin + SLOW_PIECE])
            time.sleep(SLOW_SECONDS)
        received(line)


def expiry(url: str, measuring: Measuring) -> None:
    """Wait for the lease of the only peer to run out."""
    with measuring():
        while stat(url, "peers") or stat(url, "subscriptions"):
            time.sleep(0.1)


def deletion(url: str, measuring: Measuring) -> None:
    """Delete a topic, and wait until all of it is gone."""
    with measuring():
        ask(url, prepare("delete_topic", {"topic": TOPIC}, "DELETE", OK))
        time.sleep(2)


def woken(count: int, url: str, measuring: Measuring) -> None:
    """Wake pulls that wait."""
    with ExitStack() as stack:
        lines = {f"waiter{number}": stack.enter_context(closing(Connection(url))) for number in range(1, count + 1)}
        publisher = stack.enter_context(closing(Connection(url)))
        pulls = WaitingPulls(url, lines, publisher, stack.enter_context(select.epoll()))
        pulls.begin()
        with measuring():
            pulls.wake()


def streamed(count: int, publish: Request, url: str, measuring: Measuring) -> None:
    """Publish a message to the readers of streams."""
    with ExitStack() as stack:
        lines = [stack.enter_context(closing(connected(url))) for _ in range(count)]
        follow(lines)
        with measuring():
            ask(url, publish)
            for line in lines:
                wait_for(line, publish.data[-10:-2])


def follow(lines: Sequence[socket.socket]) -> None:
    """Open a stream on each connection, of a reader of its own."""
    for number, line in enumerate(lines, 1):
        line.sendall(http("GET", f"/stream?peer_id=waiter{number}&topic={TOPIC}"))
    for line in lines:
        wait_for(line, b": ping")


def connected(url: str) -> socket.socket:
    """A connection to a server."""
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), TIMEOUT_SECONDS)


def received(line: socket.socket, pause: float = 0.0) -> None:
    """Read an answer, with a pause after each piece; raises `SetupFailed` for one that is no success."""
    data = bytearray()
    size = 0
    while not size or len(data) < size:
        piece = line.recv(SLOW_PIECE)
        if not piece:
            raise SetupFailed("The server closed the connection.")
        data += piece
        size = size or size_of_answer(bytes(data[:4096]))
        time.sleep(pause)
    if data.startswith(OK) or b"length <=" in data:
        return
    raise SetupFailed(f"The server answered {bytes(data[:300]).decode(errors='replace')}")


def wait_for(line: socket.socket, expected: bytes) -> None:
    """Read until something came."""
    data = b""
    while expected not in data or not data.endswith(b"\n\n\r\n"):
        data = data[-PIECE:] + line.recv(PIECE)


def get(call: str, **fields: object) -> Request:
    """A request with its fields in the query string."""
    return prepare(call, fields, "GET")


def post(call: str, **fields: object) -> Request:
    """A request of the peer about the topic."""
    return prepare(call, {"peer_id": PEER, "topic": TOPIC, **fields})


def raw(call: str, head: bytes, entries: bytes, tail: bytes, size: int) -> Request:
    """A request with as many entries as fit into a body of a size."""
    return _raw(call, head + entries * ((size - len(head) - len(tail)) // len(entries)) + tail)


def _raw(call: str, body: bytes) -> Request:
    head = f"POST /{call} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {JSON}\r\nContent-Length: {len(body)}\r\n\r\n"
    return Request(call, head.encode() + body)


def cases(part: int) -> list[Case]:
    """All cases, with one in `part` of what each has most of."""
    many, in_flight = MANY // part, partial(subscribed, messages=MANY // part, explicit=True, in_flight=MANY // part)
    sized = partial(subscribed, messages=10_000, size=1600 // part + 3)
    pull, peek = post("pull_messages", max_messages=10_000), get("messages", topic=TOPIC, limit=1000, max_bytes=BODY)
    names = [f"new{number}" for number in range(many)]
    tail = b"1]}"
    publish = b'{"topic": "bench", "messages": ['
    claims = b'{"peer_id": "peer", "topic": "bench", "offsets": ['
    large = partial(subscribed, messages=1000, size=BODY // part // 1000 - 10)
    body = _raw("publish", b'{"topic": "bench", "message": "' + b"x" * (BODY // part - 64) + b'"}')
    some_topics = partial(topics, count=TOPICS // part)
    some_subscribers = partial(subscribers, count=SUBSCRIBERS // part)
    many_subscribed = partial(subscriptions, count=SUBSCRIBERS // part)
    return [
        Case("livez", nothing, partial(one, get("livez"))),
        Case("publish one message of 16 MiB", subscribed, partial(one, body)),
        Case("publish one message of 16 MiB, sent slowly", subscribed, partial(slow_writer, body)),
        Case("publish 100,000 messages", subscribed, partial(one, post("publish", messages=[1] * many))),
        Case(
            "publish 100,000 messages of 160 bytes",
            subscribed,
            partial(one, post("publish", messages=["x" * 158] * many)),
        ),
        Case("16 MiB of 1, as messages", subscribed, partial(one, raw("publish", publish, b"1,", tail, BODY // part))),
        Case(
            "16 MiB of 1, as offsets", subscribed, partial(one, raw("ack_messages", claims, b"1,", tail, BODY // part))
        ),
        Case("pull 10,000 messages of 1,600 bytes", sized, partial(one, pull)),
        Case("pull the same, read slowly", sized, partial(slow_reader, pull)),
        Case("look at 1,000 messages of 16 kB", large, partial(one, peek)),
        Case("acknowledge 100,000 up to an offset", in_flight, partial(one, post("ack_messages", up_to=many))),
        Case("reject them with a delay", in_flight, partial(one, post("nack_messages", up_to=many, delay=60))),
        Case("reject them", in_flight, partial(one, post("nack_messages", up_to=many))),
        Case("extend them", in_flight, partial(one, post("extend_messages", up_to=many, seconds=60))),
        Case("acknowledge 100,000 named", in_flight, partial(one, post("ack_messages", offsets=[*range(many)]))),
        Case("create 100,000 topics", some_topics, partial(one, prepare("create_topics", {"topics": names}))),
        Case("list topics matching", some_topics, partial(one, get("topics", matching="none"))),
        Case("list topics by backlog", some_topics, partial(one, get("topics", order="unread"))),
        Case("/metrics, 1,000,000 topics", some_topics, partial(one, get("metrics"))),
        Case("/metrics, 50,000 queues of one topic", some_subscribers, partial(one, get("metrics"))),
        Case("/metrics, 50,000 topics with a queue each", many_subscribed, partial(one, get("metrics"))),
        Case("/", some_topics, partial(one, get(""))),
        Case("queues by name", some_subscribers, partial(one, get("subscriptions", topic=TOPIC))),
        Case("queues by backlog", some_subscribers, partial(one, get("subscriptions", topic=TOPIC, order="unread"))),
        Case("query 50,000 peers", some_subscribers, partial(one, get("query_peers", topic=TOPIC))),
        Case("delete a topic of 1,000,000", partial(subscribed, messages=QUEUED // part), deletion),
        Case("delete a topic of 50,000 subscribers", some_subscribers, deletion),
        Case(
            "unregister a peer of 50,000 topics",
            many_subscribed,
            partial(one, prepare("unregister_peer_node", {"peer_id": PEER})),
        ),
        Case("lease of a peer of 50,000 topics", partial(subscriptions, count=SUBSCRIBERS // part, lease=2.0), expiry),
        Case(
            "wake 10,000 pulls",
            partial(readers, count=WAITING // part, topic=AWAITED),
            partial(woken, WAITING // part),
        ),
        Case("stream a message of 16 MiB", partial(readers, count=1), partial(streamed, 1, body)),
        Case(
            "publish to 5,000 streams",
            partial(readers, count=STREAMS // part),
            partial(streamed, STREAMS // part, post("publish", peer_id="waiter1", message="last one")),
        ),
    ]


# How long the turns are


@dataclass(frozen=True)
class Row:
    """The longest turn of the loop in a case, in milliseconds.

    `cpu_ms` is what the loop's thread computed itself in its longest turn; the rest of `turn_ms` it waited for the
    interpreter, or for a processor.
    """

    case: str
    turn_ms: float
    cpu_ms: float
    rounds: int


class Probe:
    """Measures each turn of a loop, by a callback in each of them."""

    def __init__(self, server: IndexingServer) -> None:
        self._server = server
        self._events = server.loop.events
        self._longest = self._longest_cpu = 0.0
        self._last: tuple[float, float] | None = None
        server.loop.call_soon(self._turn)

    def begin(self) -> tuple[float, float]:
        """Begin anew; returns the longest turn until now, and the longest of the processor's time."""
        done: Future[tuple[float, float]] = Future()
        self._server.loop.call_soon(self._begin, done)
        return done.result()

    def _begin(self, done: Future[tuple[float, float]]) -> None:
        found = self._longest, self._longest_cpu
        self._longest = self._longest_cpu = 0.0
        done.set_result(found)

    def _turn(self) -> None:
        now, cpu = time.perf_counter(), time.thread_time()
        if self._last:
            self._longest = max(self._longest, now - self._last[0])
            self._longest_cpu = max(self._longest_cpu, cpu - self._last[1])
        self._last = now, cpu
        self._events.call_soon(self._turn)


def serve(pipe: Pipe, prepared: Callable[[Broker], object]) -> None:
    """Run a server in this process; each message of the pipe ends one measurement and begins the next."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    allow_sockets()
    server = IndexingServer(bind("127.0.0.1", 0), ServerOptions(LIMITS, max_streams=2 * STREAMS))
    server.start()
    prepared(server.broker)
    gc.freeze()
    probe = Probe(server)
    pipe.send(server.url)
    while pipe.recv():
        pipe.send(probe.begin())
    server.stop()
    server.wait()


@contextmanager
def probed(prepared: Callable[[Broker], object]) -> Iterator[tuple[str, Callable[[], tuple[float, float]], int]]:
    """A server in a process of its own: its URL, what gives its longest turn since it was last called, and its id.

    The turn is in seconds; with it comes the longest of the processor's time.
    """
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(target=serve, args=(theirs, prepared))
    process.start()
    theirs.close()

    def take() -> tuple[float, float]:
        ours.send(True)
        taken: tuple[float, float] = ours.recv()
        return taken

    try:
        yield ours.recv(), take, process.pid or 0
        ours.send(False)
    except EOFError:
        raise SetupFailed("The server ended before it served.") from None
    finally:
        process.join(TIMEOUT_SECONDS)
        process.kill()


def measure(case: Case) -> tuple[float, float]:
    """The longest turn in one run of a case, in seconds, and the longest of the thread's own time."""
    with probed(case.prepared) as (url, take, _):
        found = 0.0, 0.0

        @contextmanager
        def measuring() -> Iterator[None]:
            nonlocal found
            take()
            yield
            ask(url, prepare("livez", method="GET", expected=OK))
            found = take()

        case.drive(url, measuring)
    return found


@options.command("PEERBUS_TURNS", "--rounds")
@command.ROUNDS
@command.RESULTS
@click.option("--quick", is_flag=True, help=f"One in {QUICK_PART} of everything.")
@click.option("--only", default="", help="The cases with this in their names.")
def main(rounds: int, results: Path, quick: bool, only: str) -> None:
    """Measure the longest turns of the indexing server's event loop under its largest requests: turns.csv."""
    notes = command.describe(rounds=rounds, open_files=allow_sockets())
    rows = []
    with command.errors_in_one_line():
        for case in cases(QUICK_PART if quick else 1):
            if only not in case.name:
                continue
            turns, cpu = zip(*(measure(case) for _ in range(rounds)), strict=True)
            rows.append(Row(case.name, median(turns) * 1000, median(cpu) * 1000, rounds))
            click.echo(f"{case.name:45} {rows[-1].turn_ms:8.1f} ms, {rows[-1].cpu_ms:8.1f} ms of them computing")
    write_table(results / "turns.csv", notes, rows)


if __name__ == "__main__":
    options.run(main)
