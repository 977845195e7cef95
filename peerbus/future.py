"""Values that another thread will provide."""

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar, cast

from peerbus.errors import PeerbusError

T = TypeVar("T")
U = TypeVar("U")

log = logging.getLogger(__name__)

_lock = threading.Lock()
"""Shared by all futures: it is held for a few assignments, which cost less than a lock for each future."""


class Future(Generic[T]):
    """A value, or an error, that another thread will provide.

    Like `concurrent.futures.Future` without cancellation and multi-wait, at a third of the cost: there is one for
    each forwarded call, and for each call whose changes are persisted.
    """

    __slots__ = ("__weakref__", "_callbacks", "_error", "_value")

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Future[T]], None]] | None = []
        """None once the future is done."""
        self._value: Any = None
        self._error: Exception | None = None

    @property
    def done(self) -> bool:
        """Whether the value, or the error, is set."""
        return self._callbacks is None

    def set_result(self, value: T) -> None:
        """Set the value and run the callbacks in this thread. Only one of this and `set_exception` is called, once."""
        self._value = value
        with _lock:
            callbacks, self._callbacks = self._callbacks or [], None
        for callback in callbacks:
            try:
                callback(self)
            except Exception:
                log.exception("A callback of a future failed")

    def set_exception(self, error: Exception) -> None:
        """Set an error in place of the value, and run the callbacks in this thread.

        An error of the catalogue loses its traceback, which nobody reads: its frames refer to this future, in a cycle.
        """
        if isinstance(error, PeerbusError):
            error.__context__ = None
            error = error.with_traceback(None)
        self._error = error
        self.set_result(cast(T, None))

    def add_done_callback(self, callback: "Callable[[Future[T]], None]") -> None:
        """Call `callback` with this future: now if it is done, else in the thread that sets it. It must not block."""
        with _lock:
            if self._callbacks is not None:
                self._callbacks.append(callback)
                return
        callback(self)

    def result(self, timeout: float | None = None) -> T:
        """Wait for the value; raises the error that was set, or `TimeoutError` after `timeout` seconds."""
        if self._callbacks is not None:
            self.exception(timeout)
        if self._error is not None:
            try:
                raise self._error
            finally:
                del self  # the error's traceback refers to this frame
        value: T = self._value
        return value

    def exception(self, timeout: float | None = None) -> Exception | None:
        """Wait for the error, None where there is a value; raises `TimeoutError` after `timeout` seconds.

        A function that catches what `result` raises is in the error's traceback, with the future that holds the
        error: a cycle, which only the garbage collector frees. This raises nothing, and leaves none.
        """
        if self._callbacks is not None:
            done = threading.Event()
            self.add_done_callback(lambda _: done.set())
            if not done.wait(timeout):
                raise TimeoutError
        return self._error

    def then(self, change: "Callable[[T], U | Future[U]]") -> "Future[U]":
        """A future of `change(value)`; an error is passed on. `change` may return another future."""
        result: Future[U] = Future()

        def follow(done: Future[T]) -> None:
            if done._error is None:
                settle(result, change, done._value)
            else:
                result.set_exception(done._error)

        self.add_done_callback(follow)
        return result

    def follow(self, make: "Callable[[Future[T]], U | Future[U]]") -> "Future[U]":
        """A future of `make(self)`, which is called when this is done, with a value or an error."""
        result: Future[U] = Future()
        self.add_done_callback(partial(settle, result, make))
        return result


def then(value: T | Future[T], change: Callable[[T], U | Future[U]]) -> U | Future[U]:
    """`change` applied to a value: now, or when the future is done."""
    return value.then(change) if isinstance(value, Future) else change(value)


def settle(future: Future[T], make: Callable[..., T | Future[T]], *arguments: Any) -> None:
    """Set `future` to what `make(*arguments)` returns, which may be another future, or to what it raises."""
    try:
        result = make(*arguments)
    except Exception as error:  # noqa: BLE001  # raised again by `result`
        future.set_exception(error)
        return
    if isinstance(result, Future):
        result.add_done_callback(partial(pass_on, future))
    else:
        future.set_result(result)


def pass_on(future: Future[T], done: Future[T]) -> None:
    """Set `future` to the value, or the error, of another one that is done.

    Nothing is raised: the traceback of an error would refer to the futures that hold it, in a cycle.
    """
    error = done.exception()
    if error is None:
        future.set_result(done.result())
    else:
        future.set_exception(error)
