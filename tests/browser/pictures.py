"""The pictures of the pages in `docs/images`, of a server with real peers: `python -m tests.browser.pictures`."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from tests.browser.chromium import Browser, chromium
from tests.support import ROOT, Api, in_background, start_index, start_node

IMAGES = ROOT / "docs" / "images"
SECONDS = 75.0
"""How long there is something to see before the picture is taken."""


def every(stop: threading.Event, seconds: float, work: Callable[[], object]) -> None:
    """Do something again and again, at irregular times."""
    chance = random.Random(seconds)  # noqa: S311  # guards nothing

    def go_on() -> None:
        while not stop.wait(chance.uniform(0.4, 1.6) * seconds):
            work()

    in_background(go_on)


def live(stop: threading.Event, index: Api, nodes: list[Api]) -> None:
    """A small shop: orders are painted and shipped, one shipper is slow, one painter drops what it paints."""
    web, painter, shipper, auditor, sensor = nodes
    for topic, options in (
        ("orders", {}),
        ("jobs/paint", {"max_messages": 500}),
        ("jobs/ship", {"max_messages": 400}),
        ("jobs/failed", {}),
        ("sensors/temperature", {"max_messages": 300, "overflow": "drop_oldest"}),
        ("news", {}),
    ):
        index.post("/create_topic", topic=topic, **options)
    painter.post(
        "/subscribe",
        topic="jobs/paint",
        group="painters",
        ack="explicit",
        ack_deadline=1,
        max_attempts=3,
        dead_letter_topic="jobs/failed",
    )
    shipper.post("/subscribe", topic="jobs/ship", group="shippers", ack="explicit", ack_deadline=300)
    for topic in ("orders", "jobs/failed", "news"):
        auditor.post("/subscribe", topic=topic)
    for node in (web, painter, shipper):
        node.post("/subscribe", topic="orders")
    auditor.post("/subscribe", topic="sensors/temperature", **{"from": "earliest"})
    index.post("/register_peer_node", peer_id="curl-on-a-laptop", lease_seconds=90)
    index.post("/subscribe", peer_id="curl-on-a-laptop", topic="orders")
    index.post("/register_peer_node", peer_id="archive")
    index.post("/subscribe", peer_id="archive", topic="news")

    numbers = iter(range(1_000_000))

    def order() -> None:
        number = next(numbers)
        web.post("/publish", topic="orders", message={"order": number, "item": "bicycle", "colour": "deep blue"})
        web.post(
            "/publish", topic="jobs/paint", messages=[{"order": number, "part": part} for part in ("frame", "fork")]
        )
        web.post("/publish", topic="jobs/ship", messages=[{"order": number, "to": "Lübeck"}] * 1)

    def paint() -> None:
        pulled = painter.post("/pull_messages", topic="jobs/paint", max_messages=12).body
        good = [offset for offset in pulled["offsets"] if offset % 23]
        if good:
            painter.post("/ack_messages", topic="jobs/paint", offsets=good)

    def ship() -> None:
        pulled = shipper.post("/pull_messages", topic="jobs/ship", max_messages=1).body
        shipper.post("/ack_messages", topic="jobs/ship", offsets=pulled["offsets"])

    every(stop, 0.18, order)
    every(stop, 0.5, paint)
    every(stop, 0.62, ship)
    every(stop, 0.4, lambda: [node.post("/pull_messages", topic="orders") for node in (web, painter, shipper)])
    every(stop, 1.1, lambda: auditor.post("/pull_messages", topic="orders", max_messages=5))
    every(stop, 0.1, lambda: sensor.post("/publish", topic="sensors/temperature", message=20 + next(numbers) % 7 / 10))
    every(stop, 3.0, lambda: auditor.post("/pull_messages", topic="sensors/temperature"))
    every(stop, 6.0, lambda: index.post("/publish", topic="news", message="The bicycles are blue this week."))
    every(stop, 7.0, lambda: auditor.post("/pull_messages", topic="news"))


@contextmanager
def shop() -> Iterator[tuple[str, str]]:
    """The URLs of a server and of the node of one of its peers, while they are busy."""
    stop = threading.Event()
    with ExitStack() as running:
        index = running.enter_context(start_index())
        names = ("web-shop", "painter-1", "shipper-1", "auditor", "sensor-hall-3")
        nodes = [running.enter_context(start_node(name, index.url)) for name in names]
        running.callback(stop.set)
        live(stop, index, nodes)
        yield index.url, nodes[2].url


def take(browser: Browser, name: str, scheme: str) -> None:
    """Keep what the window shows as a picture."""
    browser.prefers(scheme)
    browser.driver.save_screenshot(str(IMAGES / name))


def main() -> None:
    """Take all pictures."""
    pause = threading.Event().wait
    with shop() as (index, node), chromium() as browser, chromium() as other:
        for window, url in ((browser, index), (other, node)):
            window.size(1280, 800)
            window.open(url)
        pause(SECONDS)
        take(browser, "page.png", "light")
        take(browser, "page-dark.png", "dark")
        take(other, "node.png", "light")


if __name__ == "__main__":
    main()
