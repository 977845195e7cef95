"""Fixtures: brokers on a clock the test moves, real servers on free ports, real processes."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from peerbus.broker import Broker, Limits
from tests.support.harness import Api, Clock, Process, processes, start_index
from tests.support.histories import EXAMPLES

if EXAMPLES:
    settings.register_profile("long", max_examples=EXAMPLES, deadline=None)
    settings.load_profile("long")


@pytest.fixture(scope="session", autouse=True)
def _hangups_are_heard() -> None:
    """By the tests and all that they start, also where they run by `nohup`."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_broker(clock: Clock) -> Callable[..., Broker]:
    """Brokers on the test's clock, with limits of its own."""
    return lambda **limits: Broker(Limits(**limits), clock=clock)


@pytest.fixture
def broker(make_broker: Callable[..., Broker]) -> Broker:
    return make_broker()


@pytest.fixture
def index() -> Iterator[Api]:
    """An indexing server in this process, empty, on a free port."""
    with start_index() as api:
        yield api


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts a command line of the project as a process of its own, which is killed after the test."""
    with processes(tmp_path / "logs") as start:
        yield start
