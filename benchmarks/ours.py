"""peerbus in the comparison of brokers: what is measured of it, each with a server of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.processes import indexing_server, services
from benchmarks.request import prepare
from benchmarks.setup import MESSAGE, create_topic, fill, join, move, names, stat
from benchmarks.system import System

TOPIC = "bench"
NAIVE, NAIVE_PEER = "naive", "naive, through its peer"
"""What is compared with."""
KEPT = 1_000_000
"""Messages that every broker keeps; older ones it may drop."""
BATCH = 1000
PULLERS = names("puller", 64)
"""Subscribers by turns, so that 64 times as many messages can be pulled in a round as there are."""


@contextmanager
def publishing() -> Iterator[System]:
    """Single messages, published directly."""
    with indexing_server() as server:
        yield publisher("peerbus", NAIVE, server.url, server.url)


@contextmanager
def publishing_through_a_peer() -> Iterator[System]:
    """Single messages, published through a peer's node."""
    with services(1) as (server, (node,)):
        yield publisher("peerbus, through its peer", NAIVE_PEER, server, node)


@contextmanager
def publishing_batches() -> Iterator[System]:
    """1,000 messages a request, published directly."""
    with indexing_server() as server:
        yield publisher("peerbus, 1,000 a request", NAIVE, server.url, server.url, BATCH)


@contextmanager
def pulling() -> Iterator[System]:
    """One waiting message a request."""
    with indexing_server() as server:
        yield puller("peerbus", server.url, 1)


@contextmanager
def pulling_batches() -> Iterator[System]:
    """1,000 waiting messages a request."""
    with indexing_server() as server:
        yield puller("peerbus, 1,000 a request", server.url, BATCH)


def publisher(name: str, against: str, server: str, url: str, batch: int = 1) -> System:
    """Publishing to a topic with one subscriber, which pulls nothing: the topic keeps the latest messages."""
    create_topic(server, TOPIC, overflow="drop_oldest", max_messages=KEPT)
    join(server, TOPIC, ["subscriber"])
    what = {"message": MESSAGE} if batch == 1 else {"messages": [MESSAGE] * batch}
    request = prepare("publish", {"topic": TOPIC, **what}, expected=b'"count":%d,' % batch)
    return System(name, "publish", url, [request], against, batch, lambda: stat(server, "published"))


def puller(name: str, url: str, batch: int, messages: int = KEPT) -> System:
    """Pulling by turns for several subscribers, whose queues hold `messages` each when a round begins.

    One more subscriber pulls nothing, so that the messages stay for the next round.
    """
    create_topic(url, TOPIC)
    join(url, TOPIC, ["keeper", *PULLERS])
    fill(url, TOPIC, messages)
    start = b'"messages":["%s"' % MESSAGE.encode()
    requests = [
        prepare("pull_messages", {"peer_id": peer, "topic": TOPIC, "max_messages": batch}, expected=start)
        for peer in PULLERS
    ]

    @contextmanager
    def refilled() -> Iterator[None]:
        move(url, TOPIC, PULLERS, "earliest")
        yield

    return System(name, "pull_messages", url, requests, "", batch, lambda: stat(url, "pulled"), refilled)
