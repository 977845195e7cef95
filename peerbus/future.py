"""Values that come future, from another thread."""

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


class Future(Generic[T]):
    """A value that another thread brings, or the error that there is instead of it.

    What `concurrent.futures.Future` is without cancelling and waiting for several, at a third of its cost, which
    every forwarded call and every call that is kept on disk pays.
    """

    __slots__ = ("__weakref__", "_callbacks", "_error", "_value")

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Future[T]], None]] | None = []
        """None when the value is there."""
        self._value: Any = None
        self._error: Exception | None = None

    @property
    def done(self) -> bool:
        """Whether the value, or the error, is there."""
        return self._callbacks is None

    def set_result(self, value: T) -> None:
        """The value is there; called once, or else `set_exception`."""
        self._value = value
        with _lock:
            callbacks, self._callbacks = self._callbacks or [], None
        for callback in callbacks:
            try:
                callback(self)
            except Exception:
                log.exception("What was to follow a value that came later failed")

    def set_exception(self, error: Exception) -> None:
        """There will be no value."""
        self._error = error
        self.set_result(cast(T, None))

    def add_done_callback(self, callback: "Callable[[Future[T]], None]") -> None:
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
            self.add_done_callback(lambda _: come.set())
            if not come.wait(timeout):
                raise TimeoutError
        if self._error is not None:
            raise self._error
        value: T = self._value
        return value

    def then(self, change: "Callable[[T], U | Future[U]]") -> "Future[U]":
        """`change` applied to the value in the thread that brings it; errors are passed on.

        What `change` makes of it may come later still.
        """
        return self.follow(lambda done: change(done.result()))

    def follow(self, make: "Callable[[Future[T]], U | Future[U]]") -> "Future[U]":
        """What is made of this when it is done, in the thread that brings it, be it a value or an error."""
        made: Future[U] = Future()
        self.add_done_callback(partial(settle, made, make))
        return made


def then(value: T | Future[T], change: Callable[[T], U | Future[U]]) -> U | Future[U]:
    """`change` applied to a value, now or when it is there."""
    return value.then(change) if isinstance(value, Future) else change(value)


def settle(future: Future[T], make: Callable[..., T | Future[T]], *arguments: Any) -> None:
    """Bring what `make` returns for its arguments, now or future, or fail with what it raises."""
    try:
        made = make(*arguments)
    except Exception as error:  # noqa: BLE001  # whoever takes the value meets it
        future.set_exception(error)
        return
    if isinstance(made, Future):
        made.add_done_callback(lambda done: settle(future, done.result))
    else:
        future.set_result(made)
