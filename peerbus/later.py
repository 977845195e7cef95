"""Values that come later, from another thread."""

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
U = TypeVar("U")

log = logging.getLogger(__name__)

_lock = threading.Lock()
"""One for all: it is held for a few assignments only, and a lock for each would cost more than those."""


class Later(Generic[T]):
    """A value that another thread brings, or the error that there is instead of it.

    What `concurrent.futures.Future` is without cancelling and waiting for several, at a third of its cost, which
    every forwarded call and every call that is kept on disk pays.
    """

    __slots__ = ("__weakref__", "_callbacks", "_error", "_value")

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Later[T]], None]] | None = []
        """None when the value is there."""
        self._value: Any = None
        self._error: Exception | None = None

    @property
    def done(self) -> bool:
        """Whether the value, or the error, is there."""
        return self._callbacks is None

    def bring(self, value: T) -> None:
        """The value is there; called once, or else `fail`."""
        self._value = value
        with _lock:
            callbacks, self._callbacks = self._callbacks or [], None
        for callback in callbacks:
            try:
                callback(self)
            except Exception:
                log.exception("What was to follow a value that came later failed")

    def fail(self, error: Exception) -> None:
        """There will be no value."""
        self._error = error
        self.bring(cast(T, None))

    def when_done(self, callback: "Callable[[Later[T]], None]") -> None:
        """Call back, now or in the thread that brings the value; a callback must not block."""
        with _lock:
            if self._callbacks is not None:
                self._callbacks.append(callback)
                return
        callback(self)

    def result(self, timeout: float | None = None) -> T:
        """The value, waited for; raises the error there is instead, or `TimeoutError` after `timeout` seconds."""
        if self._callbacks is not None:
            come = threading.Event()
            self.when_done(lambda _: come.set())
            if not come.wait(timeout):
                raise TimeoutError
        if self._error is not None:
            raise self._error
        value: T = self._value
        return value

    def then(self, change: "Callable[[T], U | Later[U]]") -> "Later[U]":
        """`change` applied to the value in the thread that brings it; errors are passed on.

        What `change` makes of it may come later still.
        """
        return self.follow(lambda done: change(done.result()))

    def follow(self, make: "Callable[[Later[T]], U | Later[U]]") -> "Later[U]":
        """What is made of this when it is done, in the thread that brings it, be it a value or an error."""
        made: Later[U] = Later()
        self.when_done(partial(settle, made, make))
        return made


def then(value: T | Later[T], change: Callable[[T], U | Later[U]]) -> U | Later[U]:
    """`change` applied to a value, now or when it is there."""
    return value.then(change) if isinstance(value, Later) else change(value)


def settle(later: Later[T], make: Callable[..., T | Later[T]], *arguments: Any) -> None:
    """Bring what `make` returns for its arguments, now or later, or fail with what it raises."""
    try:
        made = make(*arguments)
    except Exception as error:  # noqa: BLE001  # whoever takes the value meets it
        later.fail(error)
        return
    if isinstance(made, Later):
        made.when_done(lambda done: settle(later, done.result))
    else:
        later.bring(made)
