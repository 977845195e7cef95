"""Whether cost stays flat: `python -m benchmarks.flatness --help`."""

import random
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import click
from tqdm import tqdm

from benchmarks import command
from benchmarks.load import (
    MESSAGE,
    OK,
    TIMEOUT_SECONDS,
    Connection,
    ConnectionBroken,
    Request,
    SetupFailed,
    create_topic,
    create_topics,
    fill,
    is_good,
    join,
    make_all,
    names,
    prepare,
    stat,
    subscribe,
    unsubscribe,
)
from benchmarks.processes import POLL_SECONDS, indexing_server, resident_mib
from benchmarks.stats import Rate, Summary, rates, summarise, write_table
from benchmarks.wrk import System, by_turns
from peerbus.cli import options
from peerbus.http.listener import allow_sockets

TOPIC, AWAITED = "bench", "awaited"
SUBSCRIBER = "subscriber"
ROOM = ("--max-messages", str(100_000_000), "--max-bytes", str(16 << 30))
"""Options with which no measurement reaches a limit of messages."""
REQUESTS = 100_000
"""Prepared for wrk where its requests differ, and where they are compared with those."""
WAIT_SECONDS = 60
"""The longest wait that a server allows a pull."""
QUEUED = 1_000_000
WOKEN = 1000
QUICK_PART = 20
"""With `--quick`, everything is divided by it."""
MIB = 1 << 20

Condition = Callable[[int], AbstractContextManager[System]]
"""A server that holds a number of something, ready for publishing."""


@contextmanager
def subscribers(count: int) -> Iterator[System]:
    """A topic with `count` subscribers that pull nothing."""
    with indexing_server(*ROOM) as server:
        create_topic(server.url, TOPIC)
        join(server.url, TOPIC, names(SUBSCRIBER, count))
        yield _publisher(f"subscribers: {count:,}", server.url)


@contextmanager
def queued(count: int) -> Iterator[System]:
    """A topic with one subscriber, whose queue holds `count` messages at the start of a round.

    Before each round, the next subscriber begins at that many messages, and the one before it leaves.
    """
    with indexing_server(*ROOM) as server:
        create_topic(server.url, TOPIC)
        join(server.url, TOPIC, [SUBSCRIBER])
        fill(server.url, TOPIC, count)
        make_all(server.url, [prepare("register_peer_node", {"peer_id": "successor"})])
        now, later = SUBSCRIBER, "successor"

        @contextmanager
        def restored() -> Iterator[None]:
            nonlocal now, later
            subscribe(server.url, TOPIC, [later], stat(server.url, "published") - count)
            unsubscribe(server.url, TOPIC, [now])
            now, later = later, now
            yield

        yield _publisher(f"messages queued: {count:,}", server.url, restored)


@contextmanager
def topics(count: int) -> Iterator[System]:
    """`count` topics, each with one subscriber and a first message; wrk publishes to all of them in random order.

    Every request has a message of its own, so that wrk has equally many different requests for any number of topics.
    """
    with indexing_server(*ROOM) as server:
        every = names("topic", count)
        create_topics(server.url, every)
        make_all(server.url, [prepare("register_peer_node", {"peer_id": SUBSCRIBER})])
        make_all(server.url, [prepare("subscribe", {"peer_id": SUBSCRIBER, "topic": topic}) for topic in every])
        make_all(server.url, [_publish(topic) for topic in every])
        requests = [_publish(every[number % count], f"{number:0{len(MESSAGE)}}") for number in range(REQUESTS)]
        random.shuffle(requests)
        yield System(f"topics: {count:,}", "publish", server.url, requests, total=lambda: stat(server.url, "published"))


@contextmanager
def waiting(count: int) -> Iterator[System]:
    """A topic with one subscriber, and `count` pulls that wait for messages of another topic."""
    with indexing_server(*ROOM) as server, waiting_pulls(server.url, count) as pulls:
        create_topic(server.url, TOPIC)
        join(server.url, TOPIC, [SUBSCRIBER])

        @contextmanager
        def awaited() -> Iterator[None]:
            pulls.begin()
            yield
            pulls.wake()

        yield _publisher(f"pulls waiting: {count:,}", server.url, awaited)


def _publisher(name: str, url: str, during: Callable[[], AbstractContextManager[None]] = nullcontext) -> System:
    return System(name, "publish", url, [_publish(TOPIC)], total=lambda: stat(url, "published"), during=during)


def _publish(topic: str, message: str = MESSAGE) -> Request:
    return prepare("publish", {"topic": topic, "message": message}, expected=OK)


@contextmanager
def waiting_pulls(url: str, count: int) -> Iterator["WaitingPulls"]:
    """Connections for `count` pulls, which do not wait yet; no other pull may wait at the server."""
    peers = names("waiter", count)
    create_topic(url, AWAITED)
    join(url, AWAITED, peers)
    with ExitStack() as stack:
        connections = {peer: stack.enter_context(closing(Connection(url))) for peer in peers}
        publisher = stack.enter_context(closing(Connection(url)))
        yield WaitingPulls(url, connections, publisher, stack.enter_context(select.epoll()))


class WaitingPulls:
    """Pulls from one topic, each by a peer of its own on a connection of its own."""

    def __init__(
        self, url: str, connections: dict[str, Connection], publisher: Connection, poller: select.epoll
    ) -> None:
        self._url = url
        self._connections = connections
        self._publisher = publisher
        self._by_number = {connection.fileno(): connection for connection in connections.values()}
        self._poller = poller
        for number in self._by_number:
            poller.register(number, select.EPOLLIN)

    def begin(self) -> None:
        """Send all pulls, and return once all of them wait; raises `SetupFailed`."""
        for peer, connection in self._connections.items():
            connection.send(prepare("pull_messages", {"peer_id": peer, "topic": AWAITED, "wait": WAIT_SECONDS}).data)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while (found := stat(self._url, "waiting_pulls")) < len(self._connections):
            if time.monotonic() > deadline:
                raise SetupFailed(f"Only {found:,} of {len(self._connections):,} pulls wait at the server.")
            time.sleep(POLL_SECONDS)

    def wake(self) -> list[float]:
        """Publish one message; returns the seconds from sending it to reading each pull's answer.

        An answer that came before, or without the message, raises `SetupFailed`.
        """
        if self._poller.poll(0):
            raise SetupFailed("A pull was answered before there was a message.")
        latencies: list[float] = []
        start = time.perf_counter()
        self._publisher.send(prepare("publish", {"topic": AWAITED, "message": "wake up"}).data)
        while len(latencies) < len(self._connections):
            ready = self._poller.poll(TIMEOUT_SECONDS)
            now = time.perf_counter()
            if not ready:
                raise ConnectionBroken(f"{len(latencies):,} of {len(self._connections):,} pulls were answered.")
            for number, _ in ready:
                answer = self._by_number[number].receive()
                if answer is None:
                    continue
                if not is_good(answer, b'"messages":["wake up"]'):
                    raise SetupFailed(f"A pull was answered with {answer[:500].decode(errors='replace')}")
                latencies.append(now - start)
        while self._publisher.receive() is None:
            pass
        return latencies


@dataclass(frozen=True, slots=True)
class Waking(Summary):
    """The times from sending one publish to the answers of the pulls that waited for it, in one round."""

    pulls: int
    round: int

    def __str__(self) -> str:
        """One line for a person."""
        times = f"p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms, last {self.max_ms:.1f} ms"
        return f"{self.pulls:,} pulls woken by one publish, round {self.round}: {times}"


def wake(pulls: int, rounds: int) -> list[Waking]:
    """In each round, let the pulls wait on one topic of a fresh server, and publish one message."""
    rows = []
    with indexing_server() as server, waiting_pulls(server.url, pulls) as waiters:
        for number in tqdm(range(1, rounds + 1), unit="run", dynamic_ncols=True, leave=False, desc="waking"):
            waiters.begin()
            rows.append(Waking(**asdict(summarise(waiters.wake())), pulls=pulls, round=number))
    return rows


@dataclass(frozen=True, slots=True)
class Memory:
    """The resident memory of an indexing server without messages, and with messages in one subscriber's queue."""

    messages: int
    message_bytes: int
    empty_mib: float
    filled_mib: float
    bytes_per_message: float

    def __str__(self) -> str:
        """One line for a person."""
        what = f"{self.messages:,} messages of {self.message_bytes} bytes queued"
        each = f"{self.bytes_per_message:.0f} bytes a message"
        return f"{what}: {self.filled_mib:.0f} MiB resident, {self.empty_mib:.0f} MiB without; {each}"


def queue_memory(messages: int) -> Memory:
    """The memory of a fresh server before and after messages are published, 1,000 a request."""
    with indexing_server() as (url, process):
        create_topic(url, TOPIC)
        join(url, TOPIC, [SUBSCRIBER])
        empty = resident_mib(process.pid)
        fill(url, TOPIC, messages)
        filled = resident_mib(process.pid)
    return Memory(messages, len(MESSAGE), empty, filled, (filled - empty) * MIB / messages)


class Pair(NamedTuple):
    """A condition, and the two numbers that publishing is compared between."""

    condition: Condition
    little: int
    much: int


PAIRS = (
    Pair(subscribers, 1, 10_000),
    Pair(queued, 0, QUEUED),
    Pair(topics, 1, 100_000),
    Pair(waiting, 0, 2000),
)


def compare(pair: Pair, rounds: int, connections: int, seconds: int) -> list[Rate]:
    """The rates of publishing with both numbers of a pair, measured by turns."""
    with pair.condition(pair.little) as plain, pair.condition(pair.much) as loaded:
        return rates(by_turns([plain, replace(loaded, against=plain.name)], rounds, connections, seconds))


@options.command("PEERBUS_FLATNESS", "--rounds")
@command.ROUNDS
@command.SECONDS
@command.CONNECTIONS
@command.RESULTS
@click.option("--quick", is_flag=True, help=f"One in {QUICK_PART} of subscribers, messages, topics and pulls.")
def main(rounds: int, seconds: int, connections: int, results: Path, quick: bool) -> None:
    """Measure publishing to a server that holds little and to one that holds much, and the cost of holding it.

    \b
    Subscribers, queued messages, topics, waiting pulls: flatness.csv.
    The memory that queued messages take: memory.csv.
    The time until pulls that wait on one topic are answered: waking.csv.
    """  # noqa: D301  # click's mark for lines that stay as they are
    part = QUICK_PART if quick else 1
    notes = command.describe(
        programs=command.packages("wrk"),
        open_files=allow_sockets(),
        rounds=rounds,
        seconds=seconds,
        connections=connections,
    )
    with command.errors_in_one_line():
        pairs = [pair._replace(much=pair.much // part) for pair in PAIRS]
        measured: dict[str, Sequence[object]] = {
            "flatness": [row for pair in pairs for row in compare(pair, rounds, connections, seconds)],
            "memory": [queue_memory(QUEUED // part)],
            "waking": wake(WOKEN // part, rounds),
        }
    for name, rows in measured.items():
        write_table(results / f"{name}.csv", notes, rows)
        for row in rows:
            click.echo(row)


if __name__ == "__main__":
    options.run(main)
