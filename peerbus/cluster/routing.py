"""Passing calls on to the owner of a shard, and waiting for one while there is none."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import NamedTuple, TypeVar

from peerbus.cluster.call import FORWARDED, SECRET, ForwardedCall
from peerbus.cluster.handing_back import HandingBack
from peerbus.cluster.ownership import Ownership
from peerbus.errors import (
    IndexTimeout,
    IndexUnreachable,
    NotOwner,
    NotReady,
    PeerbusError,
    ShardUnavailable,
    error_in,
)
from peerbus.future import Future
from peerbus.future import pass_on as settle_by
from peerbus.http.event_loop import Loop
from peerbus.http.event_stream import CONTENT_TYPE
from peerbus.http.passing_on import (
    SILENCE_SECONDS,
    WaitingPlaces,
    failure,
    is_answer,
    media_type,
    reply_to,
)
from peerbus.http.types import Reply
from peerbus.http.upstream.body_stream import BodyStream
from peerbus.http.upstream.errors import NotConnected, UpstreamError
from peerbus.http.upstream.exchange import Exchange, Response
from peerbus.http.upstream.pool import ConnectionPool

T = TypeVar("T")

CONNECT_SECONDS = 2.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds before an owner that does not answer is asked again: at first, and at most."""
STOP_SECONDS = 2.0
"""For how long calls are held, when the server stops."""
MOST_HELD = 256 << 20
"""Bytes of bodies that are held at once."""
STOPPING = "The server is stopping."


class RoutingOptions(NamedTuple):
    """How calls are passed on; times are in seconds."""

    patience: float = 5.0
    """For how long a call is held while there is no owner."""
    timeout: float = 10.0
    """How long an answer may take, in addition to the wait of a pull."""
    max_waiting: int = 10_000
    """Pulls that wait at the owner at once."""
    ca: Path | None = None
    """A file with the authorities trusted for https servers of the cluster; None for the system's."""


class Failure(NamedTuple):
    """Why a call has no answer; it `may_be_done` all the same."""

    error: PeerbusError
    may_be_done: bool


class Routing:
    """Passes calls on, each to the owner of the moment, and again to the next one where that may be."""

    def __init__(self, loop: Loop, ownership: Ownership, options: RoutingOptions) -> None:
        """Answers come in the thread of `loop`, which the caller closes after this."""
        self.loop = loop
        self.sender = (f"{FORWARDED}: {ownership.url}", f"{SECRET}: {ownership.secret}")
        """The headers by which servers know each other."""
        self._ownership = ownership
        self._options = options
        self._pool = ConnectionPool(loop, CONNECT_SECONDS, options.ca)
        self._waiting = WaitingPlaces(options.max_waiting, "server")
        self._under_way: dict[ForwardedCall, str] = {}
        """Calls that are passed on, each with the owner that has it."""
        self._streams: dict[BodyStream, str] = {}
        self._held_bytes = 0
        self._moved = asyncio.Event()
        """Set, and replaced by another one, when calls may have to go elsewhere."""
        self._is_serving = False
        self._stops_at = float("inf")
        """Until when calls are held, by `monotonic`."""
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch for changes of the owner."""
        self.loop.call(self._watch)

    @property
    def is_stopping(self) -> bool:
        """Whether the server is to stop."""
        return self._stops_at < float("inf")

    def serves(self, *, is_serving: bool) -> None:
        """Let the server itself serve the shard from now on, or no longer. Called in the loop."""
        self._is_serving = is_serving
        self._move()

    def check_is_ours(self) -> None:
        """Raise `NotOwner` unless this server owns the shard, or is about to: then it serves what others pass on."""
        if self._ownership.owner != self._ownership.url:
            raise NotOwner(f"{self._ownership.url} does not own shard {self._ownership.shard}.")

    def pass_on(self, call: ForwardedCall, failed: Failure | None = None) -> Future[Reply]:
        """The owner's reply to a call, which `failed` before; from any thread. Raises `TooManyWaiting`.

        The future has `ShardUnavailable` if there is no owner for too long, and `IndexUnreachable` or `IndexTimeout`
        if the call may have been carried out and cannot be repeated.
        """
        replied: Future[Reply] = Future()
        if call.wait:
            self._waiting.take()
            replied.add_done_callback(lambda _: self._waiting.free())
        if not self.loop.call(self._begin, call, replied, failed):
            replied.set_exception(NotReady(STOPPING))
        return replied

    def ask(self, call: ForwardedCall, seconds: float) -> Future[Reply]:
        """The owner's reply to a call that is made once and not held; the future has `NotReady` if there is none."""
        owner = self._owner(call)
        if owner is None:
            raise NotReady(self._no_owner)
        return self._send(owner, call, seconds).follow(partial(self._asked, call))

    async def open(self, call: ForwardedCall) -> BodyStream:
        """The stream that the owner opens; held as calls are. Await in the loop.

        Raises the error that the owner refuses it with, and those of `pass_on`.
        """
        return await self._persist(call, None, partial(self._open, call))

    def failure(self, error: UpstreamError) -> PeerbusError:
        """The error of the catalogue for a stream that broke off."""
        return failure(error, f"The owner of shard {self._ownership.shard}", STOPPING)

    def ended(self, stream: BodyStream) -> None:
        """A stream ended, from either side."""
        self._streams.pop(stream, None)
        stream.close()

    def stop(self) -> None:
        """End waiting pulls and streams, and hold other calls for a short time only. From any thread."""
        self.loop.call(self._stop)

    def close(self) -> None:
        """Close the connections to other servers, and hold nothing more. From any other thread than the loop's."""
        self.loop.call(self._end)
        self._pool.close()

    # Everything below runs in the loop

    def _begin(self, call: ForwardedCall, replied: Future[Reply], failed: Failure | None) -> None:
        try:
            owner = None if failed else self._owner(call)
        except NotOwner as error:
            replied.set_exception(error)
            return
        if owner is None:
            self._go_on(call, replied, failed)
        else:
            sent = self._send(owner, call, self._options.timeout + call.wait)
            sent.add_done_callback(partial(self._answered, call, replied))

    def _answered(self, call: ForwardedCall, replied: Future[Reply], sent: Future[Response]) -> None:
        outcome = self._outcome(call, sent)
        if isinstance(outcome, Reply):
            replied.set_result(outcome)
        else:
            self._go_on(call, replied, outcome)

    def _go_on(self, call: ForwardedCall, replied: Future[Reply], failed: Failure | None) -> None:
        """Hold a call, and make it again where that may be."""
        size = len(call.body)
        if self._held_bytes + size > MOST_HELD:
            replied.set_exception(failed.error if failed else ShardUnavailable(self._no_owner))
            return
        self._held_bytes += size
        made = self.loop.run(self._persist(call, failed, partial(self._make, call)))
        made.add_done_callback(partial(self._went_on, size, replied))

    def _went_on(self, size: int, replied: Future[Reply], made: Future[Reply]) -> None:
        self._held_bytes -= size
        settle_by(replied, made)

    async def _persist(
        self, call: ForwardedCall, failed: Failure | None, attempt: Callable[[str], Awaitable[T | Failure]]
    ) -> T:
        """The result of an attempt at an owner; after a failure another one follows, if the call may be repeated."""
        until, pause = monotonic() + self._options.patience, 0.0
        while True:
            moved = self._moved
            if failed:
                self._check_goes_on(call)
                if failed.may_be_done and not call.is_repeatable:
                    raise failed.error
                if failed.may_be_done and call.rest:  # until now it was served
                    until = monotonic() + self._options.patience
                await self._pause(failed, moved, pause, until)
                pause = min(max(FIRST_PAUSE, 2 * pause), LONGEST_PAUSE)
            outcome = await attempt(await self._next_owner(call, until))
            if not isinstance(outcome, Failure):
                return outcome
            failed = outcome

    async def _pause(self, failed: Failure, moved: asyncio.Event, pause: float, until: float) -> None:
        """Wait before the next attempt. Raises `ShardUnavailable` if it may not be held any longer."""
        left = self._left(until)
        if isinstance(failed.error, NotOwner) and not pause:
            refreshed = self.loop.result_of(self._ownership.refresh())
            await self._wait(refreshed, left)
        else:
            await self._wait(moved.wait(), min(pause, left))
        if self._left(until) <= 0:
            raise ShardUnavailable(f"{self._no_owner} {failed.error}")

    async def _next_owner(self, call: ForwardedCall, until: float) -> str:
        """The owner, when there is one. Raises `ShardUnavailable`, and the error of `_check_goes_on`."""
        while True:
            moved = self._moved
            self._check_goes_on(call)
            owner = self._owner(call)
            if owner is not None:
                return owner
            if self._left(until) <= 0:
                raise ShardUnavailable(self._no_owner)
            await self._wait(moved.wait(), self._left(until))

    def _check_goes_on(self, call: ForwardedCall) -> None:
        """Raise `NotReady` for a call that waits no longer: its caller is gone, or the server stops."""
        if call.is_given_up or (call.wait and self.is_stopping):
            raise NotReady(STOPPING)

    def _left(self, until: float) -> float:
        return min(until, self._stops_at) - monotonic()

    async def _wait(self, event: Awaitable[object], seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(event, max(0.0, seconds))

    def _owner(self, call: ForwardedCall) -> str | None:
        """The URL to pass a call on to now, None if there is none. Raises `NotOwner` for one that goes no further."""
        if call.is_forwarded:
            self.check_is_ours()
        owner = self._ownership.owner
        return None if owner == self._ownership.url and not self._is_serving else owner

    @property
    def _no_owner(self) -> str:
        return f"No server serves shard {self._ownership.shard} now: another one is about to. Make the call again."

    def _send(self, owner: str, call: ForwardedCall, seconds: float) -> Exchange:
        endpoint = call.endpoint
        sent = self._pool.send(
            endpoint.method, owner + call.path, call.body, call.headers, seconds, endpoint.repeatable
        )
        self._under_way[call] = owner
        call.sent(sent)
        return sent

    async def _make(self, call: ForwardedCall, owner: str) -> Reply | Failure:
        call.shorten()
        sent = self._send(owner, call, self._options.timeout + call.rest)
        await self.loop.result_of(sent.follow(lambda _: None))
        return self._outcome(call, sent)

    def _outcome(self, call: ForwardedCall, sent: Future[Response]) -> Reply | Failure:
        owner = self._under_way.pop(call)
        error = sent.exception()
        if isinstance(error, UpstreamError):
            return self._broken(owner, error)
        response = sent.result()
        failed = self._refusal(owner, response)
        if failed:
            return failed
        return reply_to(response, partial(self._hand_back, call, response.body) if call.wait else None)

    def _hand_back(self, call: ForwardedCall, answer: bytes) -> None:
        """Hand back what came for a waiting pull whose caller is gone."""
        handing_back = HandingBack.of(call, answer)
        if handing_back:
            self.pass_on(handing_back.call).add_done_callback(handing_back.done)

    def _broken(self, owner: str, error: UpstreamError) -> Failure:
        server = f"The owner of shard {self._ownership.shard}, {owner},"
        return Failure(failure(error, server, STOPPING), may_be_done=not isinstance(error, NotConnected))

    def _refusal(self, owner: str, response: Response) -> Failure | None:
        """Why a response does not answer a call; None if it does."""
        if not is_answer(response):
            return Failure(IndexUnreachable(f"What answers at {owner} is not a peerbus indexing server."), True)
        if response.status < NotOwner.status:
            return None
        error = error_in(response.status, response.body)
        if isinstance(error, (NotOwner, ShardUnavailable)):
            return Failure(error, may_be_done=False)
        return Failure(error, may_be_done=True) if isinstance(error, (IndexUnreachable, IndexTimeout)) else None

    def _asked(self, call: ForwardedCall, sent: Future[Response]) -> Reply:
        outcome = self._outcome(call, sent)
        if isinstance(outcome, Failure):
            raise NotReady(f"Calls are held. {outcome.error}")
        return outcome

    async def _open(self, call: ForwardedCall, owner: str) -> BodyStream | Failure:
        try:
            opened = await self._pool.open(owner + call.path, call.headers, self._options.timeout, SILENCE_SECONDS)
        except UpstreamError as error:
            return self._broken(owner, error)
        if isinstance(opened, Response):
            failed = self._refusal(owner, opened)
            if failed:
                return failed
            raise error_in(opened.status, opened.body)
        if media_type(opened) != CONTENT_TYPE or self.is_stopping:
            opened.close()
            raise NotReady(STOPPING) if self.is_stopping else error_in(200, b"")
        self._streams[opened] = owner
        return opened

    def _watch(self) -> None:
        self._watching = self.loop.events.create_task(self._follow())

    async def _follow(self) -> None:
        while True:
            changed = self._ownership.changed()
            self._move()
            await self.loop.result_of(changed)

    def _move(self) -> None:
        """Have calls and streams that a former owner has made again at the owner, and those that are held go on."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        owner = self._ownership.owner
        if owner is None:
            return
        for call, passed_to in list(self._under_way.items()):
            if passed_to != owner and call.is_repeatable:
                call.move()
        for stream, passed_to in list(self._streams.items()):
            if passed_to != owner:
                stream.close()

    def _stop(self) -> None:
        self._stops_at = monotonic() + STOP_SECONDS
        for call in list(self._under_way):
            if call.wait:
                call.give_up()
        for stream in list(self._streams):
            stream.close()
        self._move()

    def _end(self) -> None:
        self._stops_at = 0.0
        self._move()
        if self._watching:
            self._watching.cancel()
