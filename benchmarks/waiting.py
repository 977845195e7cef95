"""Pulls that wait for one message, which all of them get."""

import select
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from benchmarks.line import PATIENCE_SECONDS, Line, LineBroken, is_good
from benchmarks.processes import LOOK_SECONDS
from benchmarks.request import prepare
from benchmarks.setup import SetupFailed, create_topic, join, names, stat

TOPIC = "awaited"
WAIT_SECONDS = 60
"""What a pull may wait at most."""


@contextmanager
def waiting_pulls(url: str, count: int) -> Iterator["WaitingPulls"]:
    """Connections for `count` pulls, none of which waits yet; nothing else may wait at the server."""
    peers = names("waiter", count)
    create_topic(url, TOPIC)
    join(url, TOPIC, peers)
    with ExitStack() as stack:
        lines = {peer: stack.enter_context(closing(Line(url))) for peer in peers}
        publisher = stack.enter_context(closing(Line(url)))
        yield WaitingPulls(url, lines, publisher, stack.enter_context(select.epoll()))


class WaitingPulls:
    """Pulls of one topic, each of a peer of its own on a connection of its own."""

    def __init__(self, url: str, lines: dict[str, Line], publisher: Line, poller: select.epoll) -> None:
        self._url = url
        self._lines = lines
        self._publisher = publisher
        self._by_number = {line.fileno(): line for line in lines.values()}
        self._poller = poller
        for number in self._by_number:
            poller.register(number, select.EPOLLIN)

    def begin(self) -> None:
        """Ask for the pulls; returns once all of them wait. Raises `SetupFailed`."""
        for peer, line in self._lines.items():
            line.send(prepare("pull_messages", {"peer_id": peer, "topic": TOPIC, "wait": WAIT_SECONDS}).data)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := stat(self._url, "waiting_pulls")) < len(self._lines):
            if time.monotonic() > deadline:
                raise SetupFailed(f"Only {found:,} of {len(self._lines):,} pulls wait at the server.")
            time.sleep(LOOK_SECONDS)

    def wake(self) -> list[float]:
        """Publish one message; how long after that was sent each pull was answered, in seconds.

        An answer that came before, or without the message, raises `SetupFailed`.
        """
        if self._poller.poll(0):
            raise SetupFailed("A pull was answered before there was a message.")
        latencies: list[float] = []
        start = time.perf_counter()
        self._publisher.send(prepare("publish", {"topic": TOPIC, "message": "wake up"}).data)
        while len(latencies) < len(self._lines):
            ready = self._poller.poll(PATIENCE_SECONDS)
            now = time.perf_counter()
            if not ready:
                raise LineBroken(f"{len(latencies):,} of {len(self._lines):,} pulls were answered, and no more.")
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
