"""Messages in hand stay in hand, and their peer stays alive, while the program works on them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from threading import Event, RLock, Thread, current_thread
from typing import Any, Protocol
from weakref import WeakSet

from peerbus.client.messages import Message, is_named
from peerbus.errors import PeerbusError

BEATS = 3
"""Beats in the time after which messages, or the peer, would be lost."""


class Extender(Protocol):
    """The client that a heartbeat calls, with a connection of its own."""

    def extend(self, *messages: Message, seconds: float) -> object:
        """Extend the deadline of messages, which also renews the lease of their peer; raises `PeerbusError`."""

    def close(self) -> None:
        """Close the connection."""


class Heartbeat:
    """The messages in hand of one loop, and the thread that extends their deadline.

    The thread begins with the first messages, and ends with `stop`. A beat that fails is made up for by the next one,
    over a new connection. A message that is stale was redelivered: the loop learns of it when it is settled.
    """

    def __init__(self, connect: Callable[[], Extender]) -> None:
        """`connect` gives a client that only the thread uses; it does not repeat calls."""
        self._connect = connect
        self._in_hand: dict[int, Message] = {}
        """By offset, in the order of delivery."""
        # Held during a beat, so that no beat names a message that is not in hand any more. A loop that is collected as
        # garbage ends in any thread, also in that of its heartbeat.
        self._lock = RLock()
        self._stopped = Event()
        self._thread: Thread | None = None
        _ALL.add(self)

    def forget(self) -> None:
        """Have nothing in hand, in a forked process: the messages are the parent's, and so was the thread."""
        self._lock = RLock()  # the parent's may have been held
        self._in_hand, self._thread = {}, None

    def hold(self, messages: Sequence[Message]) -> None:
        """Take messages in hand."""
        with self._lock:
            self._in_hand |= {message.offset: message for message in messages}

    def holds(self, message: Message) -> bool:
        """Whether a message is in hand: taken, and not released since."""
        return self._in_hand.get(message.offset) is message

    def release(self, claims: dict[str, Any]) -> None:
        """Let go of the messages named by the fields of a call, and wait for a beat that names them."""
        with self._lock:
            self._in_hand = {o: message for o, message in self._in_hand.items() if not is_named(message, claims)}

    def release_all(self) -> list[Message]:
        """Let go of all messages, and return them."""
        with self._lock:
            left, self._in_hand = list(self._in_hand.values()), {}
        return left

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._thread is not None

    def start(self, ack_deadline: float, lease_seconds: float | None) -> None:
        """Begin to beat, several times in each deadline, and in each lease; both are in seconds."""
        shorter = ack_deadline if lease_seconds is None else min(ack_deadline, lease_seconds)
        arguments = (ack_deadline, shorter / BEATS)
        self._thread = Thread(target=self._run, args=arguments, name="peerbus-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after the beat it is at."""
        self._stopped.set()
        if self._thread is not None and self._thread is not current_thread():
            self._thread.join()

    def _run(self, ack_deadline: float, pause: float) -> None:
        extender: Extender | None = None
        while not self._stopped.wait(pause):
            with self._lock:
                if not self._in_hand:
                    continue
                extender = extender or self._connect()
                try:
                    extender.extend(*self._in_hand.values(), seconds=ack_deadline)
                except PeerbusError:
                    extender.close()
                    extender = None
        if extender:
            extender.close()


_ALL: WeakSet[Heartbeat] = WeakSet()


def _forget_all() -> None:
    for heartbeat in list(_ALL):
        heartbeat.forget()


os.register_at_fork(after_in_child=_forget_all)
