"""Tells peers what happened to their subscriptions, in the background."""

import heapq
import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import NamedTuple

import msgspec

from peerbus.protocol import Notice
from peerbus.transport import TimedOut, Transport, Unreachable

log = logging.getLogger(__name__)

WORKERS = 64
TIMEOUT_SECONDS = 2.0
RETRY_AFTER_SECONDS = (1.0, 5.0, 20.0)
"""Pauses before the second, third and last try."""
MAX_PENDING = 100_000
HEADERS = ["Content-Type: application/json"]


class _Delivery(NamedTuple):
    due: float
    number: int
    peer_id: str
    url: str
    body: bytes
    tries: int


class Notifier:
    """Posts notices to peer nodes, each with a few tries.

    A peer that does not answer holds one of `WORKERS` for `TIMEOUT_SECONDS` a try; what waits for a retry waits in a
    queue and not in a thread.
    """

    def __init__(self) -> None:
        self._transport = Transport(connect_timeout=TIMEOUT_SECONDS)
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="notifier")
        self._changed = threading.Condition()
        self._retries: list[_Delivery] = []
        self._pending = 0
        self._numbers = count()
        self._closing = False
        self._retrying = threading.Thread(target=self._retry, name="notifier-retries", daemon=True)
        self._retrying.start()

    def topic_deleted(self, topic: str, addresses: Mapping[str, str]) -> None:
        """Tell each peer at its address that `topic` is gone. Returns at once."""
        notice = Notice(event="topic_deleted", topic=topic, message=f"Topic '{topic}' was deleted.")
        with suppress(RuntimeError):  # closing: there is nobody left to be told by
            self._workers.submit(self._announce, msgspec.json.encode(notice), addresses)

    def _announce(self, body: bytes, addresses: Mapping[str, str]) -> None:
        for peer_id, address in addresses.items():
            self._take(_Delivery(0.0, next(self._numbers), peer_id, f"{address.rstrip('/')}/notify", body, 0))

    def close(self) -> None:
        """Give up what has not been sent."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._retrying.join()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _take(self, delivery: _Delivery) -> None:
        with self._changed:
            full = self._pending >= MAX_PENDING
            if not full and not self._closing:
                self._pending += 1
                self._workers.submit(self._try, delivery)
                return
        reason = "too many notices are waiting" if full else "the server is stopping"
        log.warning("Peer '%s' is not notified: %s.", delivery.peer_id, reason)

    def _try(self, delivery: _Delivery) -> None:
        try:
            status = self._transport.send("POST", delivery.url, delivery.body, HEADERS, TIMEOUT_SECONDS).status
            problem = None if status == 200 else f"status {status}"
        except (Unreachable, TimedOut) as error:
            problem = str(error)
        with self._changed:
            again = problem is not None and delivery.tries < len(RETRY_AFTER_SECONDS) and not self._closing
            if again:
                due = time.monotonic() + RETRY_AFTER_SECONDS[delivery.tries]
                heapq.heappush(self._retries, delivery._replace(due=due, tries=delivery.tries + 1))
                self._changed.notify()
            else:
                self._pending -= 1
        if problem is None:
            log.info("Peer '%s' is notified at %s.", delivery.peer_id, delivery.url)
        elif not again:
            log.warning("Peer '%s' could not be notified at %s: %s.", delivery.peer_id, delivery.url, problem)

    def _retry(self) -> None:
        while True:
            with self._changed:
                while not self._closing and (not self._retries or self._retries[0].due > time.monotonic()):
                    self._changed.wait(self._retries[0].due - time.monotonic() if self._retries else None)
                if self._closing:
                    return
                self._workers.submit(self._try, heapq.heappop(self._retries))
