"""Interruptions that are held back."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from peerbus.cli import interrupt as interruption
from peerbus.cli.interrupt import Interruption
from tests.support.harness import DEADLINE


@pytest.fixture
def armed() -> Iterator[Interruption]:
    """An interruption that has taken the signals over, in a process that ignores none of them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    made = Interruption()
    with made.armed():
        yield made
    signal.signal(signal.SIGINT, before)


def interrupt(number: signal.Signals = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.usefixtures("armed")
@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_it_comes_at_once_where_it_is_not_held_back(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt(number)


def test_it_is_held_back_until_the_end_of_the_block(armed: Interruption) -> None:
    done = []

    def work() -> None:
        with armed.held_back():
            interrupt()
            done.append("in the block")
        done.append("after it")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["in the block"]


def test_a_second_one_is_not_held_back(armed: Interruption) -> None:
    def work() -> None:
        with armed.held_back():
            interrupt()
            interrupt()
            pytest.fail("still held back")

    with pytest.raises(KeyboardInterrupt):
        work()


def test_it_is_not_held_back_for_ever(armed: Interruption, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "GRACE_SECONDS", 0.01)

    def work() -> None:
        with armed.held_back():
            interrupt()
            threading.Event().wait(DEADLINE)
            pytest.fail("still held back")

    with pytest.raises(KeyboardInterrupt):
        work()


def test_an_error_in_the_block_goes_before_it(armed: Interruption) -> None:
    def fail() -> None:
        with armed.held_back():
            interrupt()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with pytest.raises(KeyboardInterrupt), armed.held_back():
        pass


def test_it_gives_the_signals_back_and_leaves_ignored_ones_alone() -> None:
    numbers = (*interruption.SIGNALS, signal.SIGALRM)
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    before = [signal.getsignal(number) for number in numbers]
    with Interruption().armed():
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        interrupt(signal.SIGHUP)
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(number) for number in numbers] == before
    signal.signal(signal.SIGHUP, ignored)
