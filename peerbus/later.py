"""Values that come later, from another thread."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def then(value: "T | Future[T]", change: Callable[[T], U]) -> "U | Future[U]":
    """`change` applied to a value, now or, in the thread that brings it, when it is there; errors are passed on."""
    if not isinstance(value, Future):
        return change(value)
    changed: Future[U] = Future()

    def come(done: "Future[T]") -> None:
        try:
            changed.set_result(change(done.result()))
        except Exception as error:  # noqa: BLE001  # whoever takes the value meets it
            changed.set_exception(error)

    value.add_done_callback(come)
    return changed
