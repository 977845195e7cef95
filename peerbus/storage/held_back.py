"""Values that are held back until the changes that they report are kept."""

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, NamedTuple, TypeVar

from peerbus.broker.change_set import ChangeSet
from peerbus.future import Future

T = TypeVar("T")
Deliver = Callable[[Callable[[], None]], object]
"""Calls a function, possibly in another thread; false if it never will."""


class _Held(NamedTuple):
    batch: int
    value: Any
    future: Future[Any]


class HeldBack:
    """Values by the batch of changes that they wait for; any thread may use it."""

    def __init__(self, change_set: ChangeSet) -> None:
        self._change_set = change_set
        self._lock = threading.Lock()
        self._kept = 0
        """The last batch that is kept."""
        self._held: deque[_Held] = deque()
        self._error: Exception | None = None
        self.deliver: Deliver | None = None
        """Makes the one call that resolves the futures of a batch; without it, or if it returns false, this thread."""

    @property
    def waits(self) -> bool:
        """Whether there are changes that are not kept yet."""
        return self._change_set.changed_in > self._kept

    def hold(self, value: T, batch: int | None = None) -> T | Future[T]:
        """`value`, when the changes made until now are kept, or all up to a `batch`.

        The future fails with the error of `fail`.
        """
        with self._lock:
            until = self._change_set.changed_in if batch is None else batch
            if until <= self._kept:
                return value
            held = _Held(until, value, Future())
            if self._error is None:
                self._held.append(held)
                return held.future
        held.future.set_exception(self._error)
        return held.future

    def release(self, batch: int) -> None:
        """All changes up to a batch are kept."""
        with self._lock:
            self._kept = batch
            kept = []
            while self._held and self._held[0].batch <= batch:
                kept.append(self._held.popleft())
        self._resolve(kept, _succeed)

    def fail(self, error: Exception) -> None:
        """The other changes will never be kept: let what waits for them, now and later, fail with an error."""
        with self._lock:
            self._error = error
            left, self._held = self._held, deque()
        self._resolve(left, partial(_fail, error))

    def _resolve(self, held: Collection[_Held], resolve: Callable[[Iterable[_Held]], None]) -> None:
        if held and not (self.deliver and self.deliver(partial(resolve, held))):
            resolve(held)


def _succeed(held: Iterable[_Held]) -> None:
    for each in held:
        each.future.set_result(each.value)


def _fail(error: Exception, held: Iterable[_Held]) -> None:
    for each in held:
        each.future.set_exception(error)
