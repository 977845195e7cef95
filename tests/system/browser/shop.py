"""A small shop: bicycles are ordered, painted and shipped, by real peers on a real server."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

from tests.support.harness import Api, in_background, start_index, start_node

TOPICS: dict[str, dict[str, Any]] = {
    "orders": {},
    "jobs/paint": {"max_messages": 500},
    "jobs/ship": {"max_messages": 400},
    "jobs/failed": {},
    "sensors/paint-shop": {"max_messages": 300, "overflow": "drop_oldest"},
    "news": {},
}
WORK = {"ack": "explicit", "ack_deadline": 120}
SUBSCRIPTIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("web-shop", "orders", {}),
    ("painter-1", "orders", {}),
    ("auditor", "orders", {}),
    ("laptop", "orders", {}),
    ("painter-1", "jobs/paint", {"group": "painters", **WORK, "max_attempts": 3, "dead_letter_topic": "jobs/failed"}),
    ("painter-2", "jobs/paint", {"group": "painters"}),
    ("shipper-1", "jobs/ship", WORK),
    ("shipper-1", "orders", {}),
    ("auditor", "jobs/failed", {}),
    ("auditor", "sensors/paint-shop", {}),
    ("auditor", "news", {}),
]
NODES = ("web-shop", "painter-1", "shipper-1", "auditor", "oven")


def order(api: Api, number: int) -> None:
    api.post("/publish", topic="orders", message={"order": number, "item": "bicycle", "to": "Oslo"})
    api.post("/publish", topic="jobs/paint", messages=[{"order": number, "part": part} for part in ("frame", "fork")])
    api.post("/publish", topic="jobs/ship", message={"order": number, "to": "Oslo"})


def paint(api: Api, _: int) -> None:
    """Paint what comes; one part in forty cannot be painted, however often it is tried."""
    offsets = api.post("/pull_messages", topic="jobs/paint", max_messages=12).body["offsets"]
    bad = [offset for offset in offsets if offset % 40 == 0]
    api.post("/ack_messages", topic="jobs/paint", offsets=[offset for offset in offsets if offset not in bad])
    api.post("/nack_messages", topic="jobs/paint", offsets=bad, delay=0.5)


def ship(api: Api, _: int) -> None:
    """Ship one order after the other, slower than they come; the first of them is stuck."""
    offsets = api.post("/pull_messages", topic="jobs/ship", max_messages=1).body["offsets"]
    api.post("/ack_messages", topic="jobs/ship", offsets=[offset for offset in offsets if offset])


def measure(api: Api, number: int) -> None:
    api.post("/publish", topic="sensors/paint-shop", message={"celsius": 180 + number * 7 % 11 / 10})


def pull(topic: str, count: int) -> Callable[[Api, int], object]:
    return lambda api, _: api.post("/pull_messages", topic=topic, max_messages=count)


ACTIVITIES: list[tuple[str, float, Callable[[Api, int], object]]] = [
    ("web-shop", 0.2, order),
    ("web-shop", 0.5, pull("orders", 100)),
    ("web-shop", 6.0, lambda api, _: api.post("/publish", topic="news", message="Blue is the colour this week.")),
    ("painter-1", 0.6, paint),
    ("painter-1", 0.7, pull("orders", 100)),
    ("shipper-1", 0.75, ship),
    ("shipper-1", 0.6, pull("orders", 3)),
    ("auditor", 1.1, pull("orders", 4)),
    ("auditor", 4.0, pull("sensors/paint-shop", 100)),
    ("oven", 0.1, measure),
]
"""Who does what, and every how many seconds, more or less."""


class Shop(NamedTuple):
    """The URLs of the server, and of the nodes by peer."""

    server: str
    nodes: dict[str, str]


@contextmanager
def nodes_of(index: Api) -> Iterator[dict[str, str]]:
    with ExitStack() as running:
        yield {name: running.enter_context(start_node(name, index.url)).url for name in NODES}


def open_shop(index: Api) -> None:
    """Make the topics and subscriptions; who has no node calls the server."""
    for topic, options in TOPICS.items():
        index.post("/create_topic", topic=topic, **options)
    index.post("/register_peer_node", peer_id="painter-2")
    index.post("/register_peer_node", peer_id="laptop", lease_seconds=90)
    for peer_id, topic, options in SUBSCRIPTIONS:
        assert index.post("/subscribe", peer_id=peer_id, topic=topic, **options).status == 200


def keep_doing(stop: threading.Event, url: str, seconds: float, work: Callable[[Api, int], object]) -> None:
    """Do something again and again, at irregular times, until told to stop."""
    api, chance, number = Api(url), random.Random(seconds), 0  # noqa: S311  # guards nothing
    while not stop.wait(chance.uniform(0.4, 1.6) * seconds):
        work(api, number)
        number += 1
    api.close()


@contextmanager
def shop() -> Iterator[Shop]:
    """A shop at work."""
    stop = threading.Event()
    with start_index() as index, nodes_of(index) as nodes:
        open_shop(index)
        at_work = [
            in_background(partial(keep_doing, stop, nodes[peer], seconds, work)) for peer, seconds, work in ACTIVITIES
        ]
        try:
            yield Shop(index.url, nodes)
        finally:
            stop.set()
            for each in at_work:
                each.result()
