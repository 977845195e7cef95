"""Conditions under which publishing should cost the same: each a server of its own, that has little or much to hold."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from benchmarks.line import GOOD
from benchmarks.processes import indexing_server
from benchmarks.request import Request, prepare
from benchmarks.setup import MESSAGE, create_topic, fill, join, make_all, move, names, stat
from benchmarks.system import System
from benchmarks.waiting import waiting_pulls

TOPIC = "bench"
SUBSCRIBER = "subscriber"
ROOM = ("--max-messages", str(100_000_000), "--max-bytes", str(16 << 30))
"""So that no limit is reached; the others are the server's own."""
REQUESTS = 100_000
"""Prepared for wrk where they differ, and where they are compared with those."""

Condition = Callable[[int], AbstractContextManager[System]]


@contextmanager
def subscribers(count: int) -> Iterator[System]:
    """A topic with `count` subscribers, which pull nothing."""
    with indexing_server(*ROOM) as server:
        create_topic(server.url, TOPIC)
        join(server.url, TOPIC, names("subscriber", count))
        yield _publisher(f"subscribers: {count:,}", server.url)


@contextmanager
def queued(count: int) -> Iterator[System]:
    """A topic whose one subscriber has `count` messages in its queue when a round begins."""
    with indexing_server(*ROOM) as server:
        _subscribed(server.url)
        fill(server.url, TOPIC, count)

        @contextmanager
        def restored() -> Iterator[None]:
            move(server.url, TOPIC, [SUBSCRIBER], stat(server.url, "published") - count)
            yield

        yield _publisher(f"messages queued: {count:,}", server.url, restored)


@contextmanager
def topics(count: int) -> Iterator[System]:
    """`count` topics, each with one subscriber and a first message; more go to one or another in no order.

    Each request has a message of its own, so that wrk has as many different requests to send however few the topics.
    """
    with indexing_server(*ROOM) as server:
        every = names("topic", count)
        make_all(server.url, [prepare("create_topic", {"topic": topic}) for topic in every])
        make_all(server.url, [prepare("register_peer_node", {"peer_id": SUBSCRIBER})])
        make_all(server.url, [prepare("subscribe", {"peer_id": SUBSCRIBER, "topic": topic}) for topic in every])
        make_all(server.url, [_publish(topic) for topic in every])
        requests = [_publish(every[number % count], f"{number:0{len(MESSAGE)}}") for number in range(REQUESTS)]
        random.shuffle(requests)
        yield System(f"topics: {count:,}", "publish", server.url, requests, total=lambda: stat(server.url, "published"))


@contextmanager
def waiting(count: int) -> Iterator[System]:
    """A topic with one subscriber, and `count` pulls that wait on another one."""
    with indexing_server(*ROOM) as server, waiting_pulls(server.url, count) as pulls:
        _subscribed(server.url)

        @contextmanager
        def awaited() -> Iterator[None]:
            pulls.begin()
            yield
            pulls.wake()

        yield _publisher(f"pulls waiting: {count:,}", server.url, awaited)


def _subscribed(url: str) -> None:
    create_topic(url, TOPIC)
    join(url, TOPIC, [SUBSCRIBER])


def _publisher(name: str, url: str, during: Callable[[], AbstractContextManager[None]] = nullcontext) -> System:
    return System(name, "publish", url, [_publish(TOPIC)], total=lambda: stat(url, "published"), during=during)


def _publish(topic: str, message: str = MESSAGE) -> Request:
    return prepare("publish", {"topic": topic, "message": message}, expected=GOOD)
