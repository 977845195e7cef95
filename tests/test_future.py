"""Values that another thread will provide."""

import logging
from threading import Thread

import pytest

from peerbus.future import Future, settle, then


def increment(value: int) -> int | Future[int]:
    return value + 1


def failed(error: Exception) -> Future[int]:
    future: Future[int] = Future()
    future.set_exception(error)
    return future


def test_a_value_set_by_another_thread_is_waited_for() -> None:
    future: Future[int] = Future()
    assert not future.done
    setter = Thread(target=future.set_result, args=(1,))
    setter.start()
    assert future.result(10.0) == 1
    setter.join()
    assert future.done


def test_an_error_is_raised_in_place_of_the_value() -> None:
    with pytest.raises(KeyError):
        failed(KeyError()).result()


def test_an_error_can_be_had_without_raising_it() -> None:
    error = KeyError()
    assert failed(error).exception() is error
    future: Future[int] = Future()
    setter = Thread(target=future.set_result, args=(1,))
    setter.start()
    assert future.exception(10.0) is None
    setter.join()


def test_waiting_ends_after_the_timeout() -> None:
    with pytest.raises(TimeoutError):
        Future[int]().result(0.0)
    with pytest.raises(TimeoutError):
        Future[int]().exception(0.0)


def test_callbacks_run_in_their_order_and_at_once_when_the_value_is_there() -> None:
    future: Future[int] = Future()
    called: list[tuple[str, int]] = []
    future.add_done_callback(lambda done: called.append(("first", done.result())))
    future.add_done_callback(lambda done: called.append(("second", done.result())))
    assert called == []
    future.set_result(1)
    future.add_done_callback(lambda done: called.append(("third", done.result())))
    assert called == [("first", 1), ("second", 1), ("third", 1)]


def test_a_callback_that_fails_is_logged_and_the_others_are_called(caplog: pytest.LogCaptureFixture) -> None:
    future: Future[int] = Future()
    called: list[int] = []
    future.add_done_callback(lambda _: called.remove(0))
    future.add_done_callback(lambda done: called.append(done.result()))
    with caplog.at_level(logging.ERROR):
        future.set_result(1)
    assert called == [1]
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_a_change_applies_to_a_value_now_or_later() -> None:
    future: Future[int] = Future()
    later = then(future, increment)
    assert then(1, increment) == 2
    future.set_result(2)
    assert isinstance(later, Future)
    assert later.result(0.0) == 3


def test_a_change_may_be_a_future_too() -> None:
    first, second = Future[int](), Future[str]()
    changed: Future[str] = first.then(lambda _: second)
    first.set_result(1)
    assert not changed.done
    second.set_result("two")
    assert changed.result(0.0) == "two"


def test_an_error_skips_then_and_reaches_follow() -> None:
    with pytest.raises(KeyError):
        failed(KeyError()).then(lambda value: value + 1).result(0.0)
    assert failed(KeyError()).follow(lambda done: done.done).result(0.0)


def test_what_settling_raises_becomes_the_error() -> None:
    future: Future[int] = Future()
    settle(future, int, "none")
    with pytest.raises(ValueError, match="none"):
        future.result(0.0)
