"""Tells peers what happened to their subscriptions, in the background."""

import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec

from peerbus.future import Future
from peerbus.http.event_loop import Loop
from peerbus.http.upstream.errors import TimedOut, Unreachable
from peerbus.http.upstream.exchange import Response
from peerbus.http.upstream.pool import ConnectionPool
from peerbus.wire.protocol import Notice

log = logging.getLogger(__name__)

UNDER_WAY = 1000
"""Notices sent and not yet answered."""
TIMEOUT_SECONDS = 2.0
RETRY_AFTER_SECONDS = (1.0, 5.0, 20.0)
"""Pauses before the second, third and last try."""
MAX_PENDING = 100_000
MOST_ANSWERED = 1 << 16
"""Bytes of the largest answer to a notice that is taken: who is told says where, and may answer without end."""
HEADERS = ("Content-Type: application/json", "Connection: close")


class _Notice(NamedTuple):
    due: float
    number: int
    peer_id: str
    url: str
    body: bytes
    tries: int


class Notifier:
    """Posts notices to peer nodes, each with a few tries; a peer that does not answer holds no thread."""

    def __init__(self, ca: Path | None = None) -> None:
        """`ca` is a file with the certificates that https peer nodes must have one by; by default the system's."""
        self._loop = Loop("notices")
        self._transport = ConnectionPool(self._loop, TIMEOUT_SECONDS, ca, MOST_ANSWERED)
        self._changed = threading.Condition()
        self._announced: deque[tuple[bytes, Mapping[str, str]]] = deque()
        self._due: list[_Notice] = []
        self._under_way = 0
        self._numbers = count()
        self._closing = False
        self._sending = threading.Thread(target=self._send_what_is_due, name="notifier", daemon=True)
        self._sending.start()

    def topic_deleted(self, topic: str, addresses: Mapping[str, str]) -> None:
        """Tell each peer at its address that `topic` is gone. Returns at once."""
        notice = Notice(event="topic_deleted", topic=topic, message=f"Topic '{topic}' was deleted.")
        with self._changed:
            self._announced.append((msgspec.json.encode(notice), addresses))
            self._changed.notify()

    def close(self) -> None:
        """Give up what has not been sent."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._sending.join()
        self._transport.close()
        self._loop.close()

    def _send_what_is_due(self) -> None:
        while True:
            with self._changed:
                while not self._closing and not self._announced and not self._may_send():
                    self._changed.wait(self._due[0].due - time.monotonic() if self._due and not self._full() else None)
                if self._closing:
                    return
                while self._announced:
                    self._take(*self._announced.popleft())
                notices = []
                while self._may_send():
                    notices.append(heapq.heappop(self._due))
                    self._under_way += 1
            for notice in notices:
                self._send(notice)

    def _full(self) -> bool:
        return self._under_way >= UNDER_WAY

    def _may_send(self) -> bool:
        return bool(self._due) and not self._full() and self._due[0].due <= time.monotonic()

    def _take(self, body: bytes, addresses: Mapping[str, str]) -> None:
        for peer_id, address in addresses.items():
            if len(self._due) + self._under_way < MAX_PENDING:
                url = f"{address.rstrip('/')}/notify"
                heapq.heappush(self._due, _Notice(time.monotonic(), next(self._numbers), peer_id, url, body, 0))
            else:
                log.warning("Peer '%s' is not notified: too many notices are waiting.", peer_id)

    def _send(self, notice: _Notice) -> None:
        sent = self._transport.send("POST", notice.url, notice.body, HEADERS, TIMEOUT_SECONDS)
        sent.add_done_callback(lambda done: self._sent(notice, done))

    def _sent(self, notice: _Notice, sent: Future[Response]) -> None:
        try:
            status = sent.result().status
            problem = None if status == 200 else f"status {status}"
        except (Unreachable, TimedOut) as error:
            problem = str(error)
        with self._changed:
            again = problem is not None and notice.tries < len(RETRY_AFTER_SECONDS) and not self._closing
            if again:
                due = time.monotonic() + RETRY_AFTER_SECONDS[notice.tries]
                heapq.heappush(self._due, notice._replace(due=due, tries=notice.tries + 1))
            self._under_way -= 1
            self._changed.notify()
        if problem is None:
            log.info("Peer '%s' is notified at %s.", notice.peer_id, notice.url)
        elif not again:
            log.warning("Peer '%s' could not be notified at %s: %s.", notice.peer_id, notice.url, problem)
