"""Notifies peers at their addresses of deleted topics, in the background."""

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from peerbus.future import Future
from peerbus.http.event_loop import Loop
from peerbus.http.upstream.exchange import Response
from peerbus.http.upstream.pool import ConnectionPool
from peerbus.wire.protocol import Notice

log = logging.getLogger(__name__)

MAX_UNDER_WAY = 1000
"""Notices that were sent and are not answered yet."""
MAX_PENDING = 100_000
"""Notices that are under way, or wait for their next try."""
TIMEOUT_SECONDS = 2.0
RETRY_AFTER_SECONDS = (1.0, 5.0, 20.0)
"""Pauses before the second, third and last try."""
MAX_RESPONSE_BYTES = 1 << 16
"""Limit of an answer to a notice: peers choose the addresses, and an answer from there might never end."""
HEADERS = ("Content-Type: application/json", "Connection: close")
TAKEN_AT_ONCE = 200
SENT_AT_ONCE = 10
"""Notices prepared, and notices sent, in one slice: about a millisecond of work."""


class _Notice(NamedTuple):
    due: float
    number: int
    peer_id: str
    url: str
    body: bytes
    tries: int


class _Announcement(NamedTuple):
    """A notice for many peers; `addresses` are those that were not taken in yet."""

    body: bytes
    addresses: Iterator[tuple[str, str]]


class Notifier:
    """Posts notices to peer nodes, with up to four tries each; a peer that does not answer delays no other.

    All work is done in the loop, in small slices.
    """

    def __init__(self, loop: Loop, ca: Path | None = None) -> None:
        """The certificates of https peer nodes must be signed by one in `ca`; by default as the system trusts."""
        self._loop = loop
        self._pool = ConnectionPool(loop, TIMEOUT_SECONDS, ca, MAX_RESPONSE_BYTES)
        self._announced: deque[_Announcement] = deque()
        self._waiting: list[_Notice] = []
        """A heap: the notice whose try is due first is the first."""
        self._under_way = 0
        self._numbers = count()
        self._next_slice: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False

    def topic_deleted(self, topic: str, addresses: Iterable[tuple[str, str]]) -> None:
        """Notify peers, given with their addresses, that a topic was deleted. From any thread; returns at once.

        `addresses` is iterated over later, in the loop.
        """
        notice = Notice(event="topic_deleted", topic=topic, message=f"Topic '{topic}' was deleted.")
        self._loop.call(self._announce, _Announcement(msgspec.json.encode(notice), iter(addresses)))

    def close(self) -> None:
        """Give up all notices that are not delivered. From any other thread than the loop's."""
        self._loop.call(self._stop)
        self._pool.close()

    # Everything below runs in the loop

    def _announce(self, announcement: _Announcement) -> None:
        self._announced.append(announcement)
        self._schedule()

    def _stop(self) -> None:
        self._closing = True
        for handle in (self._next_slice, self._timer):
            if handle:
                handle.cancel()

    def _schedule(self) -> None:
        """Run the next slice as soon as there is work for it."""
        if self._closing or self._next_slice:
            return
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._announced or self._may_send():
            self._next_slice = self._loop.events.call_soon(self._run_slice)
        elif self._waiting and self._under_way < MAX_UNDER_WAY:
            self._timer = self._loop.events.call_at(self._waiting[0].due, self._schedule)

    def _run_slice(self) -> None:
        self._next_slice = None
        if self._announced:
            self._take(self._announced[0])
        for _ in range(SENT_AT_ONCE):
            if self._may_send():
                self._send(heapq.heappop(self._waiting))
        self._schedule()

    def _may_send(self) -> bool:
        if not self._waiting or self._under_way >= MAX_UNDER_WAY:
            return False
        return self._waiting[0].due <= self._loop.events.time()

    def _take(self, announcement: _Announcement) -> None:
        body, addresses = announcement
        taken = list(islice(addresses, TAKEN_AT_ONCE))
        if len(taken) < TAKEN_AT_ONCE:
            self._announced.popleft()
        now = self._loop.events.time()
        for peer_id, address in taken:
            if len(self._waiting) + self._under_way < MAX_PENDING:
                url = f"{address.rstrip('/')}/notify"
                heapq.heappush(self._waiting, _Notice(now, next(self._numbers), peer_id, url, body, 0))
            else:
                log.warning("Peer '%s' is not notified: too many notices are waiting.", peer_id)

    def _send(self, notice: _Notice) -> None:
        self._under_way += 1
        sent = self._pool.send("POST", notice.url, notice.body, HEADERS, TIMEOUT_SECONDS)
        sent.add_done_callback(lambda done: self._sent(notice, done))

    def _sent(self, notice: _Notice, sent: Future[Response]) -> None:
        self._under_way -= 1
        problem = _problem(sent)
        if problem is None:
            log.info("Peer '%s' is notified at %s.", notice.peer_id, notice.url)
        elif notice.tries < len(RETRY_AFTER_SECONDS) and not self._closing:
            due = self._loop.events.time() + RETRY_AFTER_SECONDS[notice.tries]
            heapq.heappush(self._waiting, notice._replace(due=due, tries=notice.tries + 1))
        else:
            log.warning("Peer '%s' could not be notified at %s: %s.", notice.peer_id, notice.url, problem)
        self._schedule()


def _problem(sent: Future[Response]) -> str | None:
    """Why the peer node did not take the notice; None if it did."""
    if error := sent.exception():
        return str(error)
    status = sent.result().status
    return None if status == 200 else f"status {status}"
