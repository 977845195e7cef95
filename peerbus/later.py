"""Values that come later, from another thread."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def then(value: "T | Future[T]", change: "Callable[[T], U | Future[U]]") -> "U | Future[U]":
    """`change` applied to a value, now or, in the thread that brings it, when it is there; errors are passed on.

    What `change` makes of it may come later still.
    """
    if not isinstance(value, Future):
        return change(value)
    changed: Future[U] = Future()

    def come(done: "Future[T]") -> None:
        try:
            result = change(done.result())
        except Exception as error:  # noqa: BLE001  # whoever takes the value meets it
            changed.set_exception(error)
            return
        if isinstance(result, Future):
            result.add_done_callback(lambda done: _pass_on(done, changed))
        else:
            changed.set_result(result)

    value.add_done_callback(come)
    return changed


def _pass_on(done: "Future[U]", changed: "Future[U]") -> None:
    error = done.exception()
    if error is None:
        changed.set_result(done.result())
    else:
        changed.set_exception(error)
