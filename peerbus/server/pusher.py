"""Posts messages to push targets."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import SystemRandom
from time import time
from typing import NamedTuple

import msgspec
from msgspec import Raw

from peerbus.broker import Broker
from peerbus.broker.push_target import Push, PushKey, PushProblem
from peerbus.errors import NotSubscribed
from peerbus.future import Future
from peerbus.http.event_loop import Loop
from peerbus.http.upstream.exchange import Response
from peerbus.http.upstream.pool import ConnectionPool
from peerbus.server.push_answer import problem_in, retry_after
from peerbus.storage.group_commit import InMemory
from peerbus.wire.protocol import PushedMessage, PushRequest
from peerbus.wire.signature import HEADER, sign

log = logging.getLogger(__name__)

MAX_UNDER_WAY = 1000
"""Requests that were sent and are not answered yet, and connections that are kept."""
MAX_BYTES = 256 << 20
"""Bytes of messages in all requests under way, beyond which none is begun."""
SHARE_OF_FAILING = 0.5
"""The part of both that requests to targets whose last push failed may have: the others find room beside them."""
CONNECT_SECONDS = 5.0
TIMEOUT_SECONDS = 30.0
SHARE_OF_DEADLINE = 0.9
"""The part of the `ack_deadline` that a request may take: it is settled before its messages are redelivered."""
MAX_RESPONSE_BYTES = 1 << 16
"""Limit of an answer to a push: peers choose the addresses, and an answer from there might never end."""
PUSHED_AT_ONCE = 10
"""Pushes begun in one slice: about a millisecond of work."""
LARGE = 1 << 18
"""Bytes of messages from which on a request is made and signed in a thread."""


class Pauses(NamedTuple):
    """The seconds for which a target pauses."""

    after_failures: Sequence[float] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
    """After the first failure, the second, and so on; after each further one the last."""
    least: float = 1.0
    most: float = 600.0
    """The bounds of what a receiver may ask for by `Retry-After`."""
    jitter: Callable[[], float] = partial(SystemRandom().uniform, 0.75, 1.25)
    """A factor for each pause after a failure, so that targets that failed together are not tried together."""


class _Target:
    """A target with requests under way, or whose last push failed."""

    __slots__ = ("failures", "paused_until", "under_way")

    def __init__(self) -> None:
        self.under_way = 0
        self.failures = 0
        """Failures since the last push that was taken."""
        self.paused_until: float | None = None


class _Load:
    """Requests under way, and the bytes of their messages, up to a share of the limits."""

    __slots__ = ("_bytes", "_requests", "_share")

    def __init__(self, share: float = 1.0) -> None:
        self._share = share
        self._requests = self._bytes = 0

    @property
    def has_room(self) -> bool:
        """Whether another request may begin."""
        return self._requests < self._share * MAX_UNDER_WAY and self._bytes < self._share * MAX_BYTES

    def add(self, requests: int, size: int) -> None:
        """Count requests that begin, or ones that end by negative numbers."""
        self._requests += requests
        self._bytes += size


class _UnderWay(NamedTuple):
    """A push that is under way; `is_retry` if the one before it failed."""

    push: Push
    target: _Target
    size: int
    is_retry: bool


class Pusher:
    """Pushes messages to their targets: in the loop, in small slices, and to each target at its own pace.

    After a failure, nothing is pushed to a target until its pause is over, and then one request at a time until one is
    taken. Idle targets wait in the broker, and cost nothing here.
    """

    def __init__(
        self, broker: Broker, journal: InMemory, loop: Loop, ca: Path | None = None, pauses: Pauses | None = None
    ) -> None:
        """The certificates of https receivers must be signed by one in `ca`; by default as the system trusts."""
        self._broker = broker
        self._journal = journal
        self._loop = loop
        self._pauses = pauses or Pauses()
        self._pool = ConnectionPool(loop, CONNECT_SECONDS, ca, MAX_RESPONSE_BYTES, max_idle=MAX_UNDER_WAY)
        self._targets: dict[PushKey, _Target] = {}
        self._ready: OrderedDict[PushKey, None] = OrderedDict()
        """Targets that may have something to push."""
        self._retries: OrderedDict[PushKey, None] = OrderedDict()
        """Those of them whose last push failed."""
        self._load = _Load()
        self._retrying = _Load(SHARE_OF_FAILING)
        """Requests under way to targets whose last push failed."""
        self._next_slice: asyncio.Handle | None = None
        self._closing = False
        self.outcomes = {"taken": 0, "busy": 0, "failed": 0}
        """Pushes since the server started, by how they ended."""
        broker.on_push = self._named

    def close(self) -> None:
        """End all pushes; the messages of those under way are handed back. From any other thread than the loop's."""
        self._loop.call(self._stop)
        self._pool.close()

    def _named(self, key: PushKey) -> None:
        self._loop.call(self._make_ready, key)

    # Everything below runs in the loop

    def _stop(self) -> None:
        self._closing = True
        if self._next_slice:
            self._next_slice.cancel()

    def _make_ready(self, key: PushKey) -> None:
        target = self._targets.get(key)
        if target is None or not target.failures:
            self._ready[key] = None
        elif target.paused_until is None:
            self._retries[key] = None
        self._schedule()

    def _schedule(self) -> None:
        """Run the next slice as soon as there is work for it."""
        if self._next_slice is None and not self._closing and self._may_push():
            self._next_slice = self._loop.events.call_soon(self._run_slice)

    def _may_push(self) -> bool:
        return self._load.has_room and bool(self._ready or self._may_retry)

    @property
    def _may_retry(self) -> bool:
        return bool(self._retries) and self._retrying.has_room

    def _run_slice(self) -> None:
        self._next_slice = None
        for _ in range(PUSHED_AT_ONCE):
            if self._may_push():
                key, _ = (self._retries if self._may_retry else self._ready).popitem(last=False)
                self._push_next(key)
        self._schedule()

    def _push_next(self, key: PushKey) -> None:
        """Push the next messages of a target, if there are any, and it may get them now."""
        target = self._targets.setdefault(key, _Target())
        if target.paused_until is not None or (target.failures and target.under_way):
            return
        try:
            push = self._broker.next_push(key, target.under_way)
        except NotSubscribed:
            push, target.failures = None, 0
        if push is None:
            if not (target.under_way or target.failures):
                del self._targets[key]
            return
        begun = _UnderWay(push, target, sum(map(len, push.pulled.values)), bool(target.failures))
        self._count(begun, 1)
        if not begun.is_retry:
            self._ready[key] = None
        kept = self._journal.after_commit(push)
        if isinstance(kept, Future):
            kept.add_done_callback(lambda _: self._kept(begun))
        else:
            self._make(begun)

    def _kept(self, begun: _UnderWay) -> None:
        self._loop.call(self._make, begun)

    def _count(self, begun: _UnderWay, requests: int) -> None:
        begun.target.under_way += requests
        self._load.add(requests, requests * begun.size)
        if begun.is_retry:
            self._retrying.add(requests, requests * begun.size)

    def _make(self, begun: _UnderWay) -> None:
        """Make the request, a large one in a thread, and send it."""
        if begun.size < LARGE:
            self._send(begun, *_request(begun.push))
            return
        made = self._loop.events.run_in_executor(None, _request, begun.push)
        made.add_done_callback(lambda made: self._send(begun, *made.result()))

    def _send(self, begun: _UnderWay, body: bytes, headers: tuple[str, ...]) -> None:
        push = begun.push
        timeout = min(TIMEOUT_SECONDS, SHARE_OF_DEADLINE * push.ack_deadline)
        sent = self._pool.send("POST", push.options.url, body, headers, timeout, repeatable=True)
        sent.add_done_callback(lambda done: self._answered(begun, done))

    def _answered(self, begun: _UnderWay, sent: Future[Response]) -> None:
        push, target = begun.push, begun.target
        self._count(begun, -1)
        if self._closing:
            self._broker.settle_push(push, PushProblem("the server is stopping", 0.0, attempted=False))
            return
        reason = problem_in(sent)
        if reason is None:
            self._broker.settle_push(push)
            self._taken(push, target)
        else:
            wait = None if sent.exception() else retry_after(sent.result(), time())
            pause = self._pause(push, target, reason, wait)
            self._broker.settle_push(push, PushProblem(reason, pause, attempted=wait is None))
        if target.paused_until is None:
            self._make_ready(push.key)
        self._schedule()

    def _taken(self, push: Push, target: _Target) -> None:
        self.outcomes["taken"] += 1
        if target.failures and target.paused_until is None:
            target.failures = 0
            log.info("Messages of topic '%s' are pushed to peer '%s' again.", push.key.topic, push.key.peer_id)

    def _pause(self, push: Push, target: _Target, reason: str, wait: float | None) -> float:
        """Let a target pause, if it does not yet; returns the seconds until its next try.

        `wait` is for how long the receiver asks to wait, if it does.
        """
        self.outcomes["failed" if wait is None else "busy"] += 1
        events, pauses = self._loop.events, self._pauses
        if target.paused_until is not None:
            return max(0.0, target.paused_until - events.time())
        if wait is None:
            pause = pauses.after_failures[min(target.failures, len(pauses.after_failures) - 1)] * pauses.jitter()
            if not target.failures:
                log.warning(
                    "Messages of topic '%s' cannot be pushed to peer '%s' at %s: %s. It is tried again.",
                    push.key.topic,
                    push.key.peer_id,
                    push.options.url.partition("?")[0],
                    reason,
                )
            target.failures += 1
        else:
            pause = min(max(wait, pauses.least), pauses.most)
        target.paused_until = events.time() + pause
        events.call_later(pause, self._resume, push.key, target)
        return pause

    def _resume(self, key: PushKey, target: _Target) -> None:
        target.paused_until = None
        self._make_ready(key)


def _request(push: Push) -> tuple[bytes, tuple[str, ...]]:
    """The body of a push, and its headers."""
    pulled = push.pulled
    details = pulled.details or ((), ())
    columns = (pulled.offsets, map(Raw, pulled.values), pulled.attempts or (), *details)
    messages = [PushedMessage(*each) for each in zip(*columns, strict=True)]
    body = msgspec.json.encode(PushRequest(topic=push.key.topic, messages=messages, missed=push.missed))
    secret = push.options.secret
    signature = (f"{HEADER}: {sign(body, secret, time())}",) if secret else ()
    return body, ("Content-Type: application/json", *signature)
