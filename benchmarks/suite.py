"""Running measurements against real processes, with a progress bar."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click
from tqdm import tqdm

from benchmarks.calls import DIRECT, PEER, Setting, Step, steps
from benchmarks.line import LineBroken
from benchmarks.load import Caller, generate
from benchmarks.measurement import Measurement, measured
from benchmarks.processes import NotStarted, Services, services
from benchmarks.request import prepare
from benchmarks.setup import SetupFailed, make
from benchmarks.wrk import WrkFailed

STEPS_PER_COUNT = 19
"""Nine through peer nodes, the same directly, and `/livez`."""
QUERIED = "queried"


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Ends the command with one line when something goes wrong with what is measured.

    SIGTERM becomes what Ctrl-C is, so that it stops the processes too.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except (LineBroken, NotStarted, SetupFailed, WrkFailed) as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def started(peers: int) -> Iterator[Services]:
    """Services to measure; what goes wrong with them ends the command with one line."""
    with told_in_one_line(), services(peers) as running:
        yield running


def measure_calls(counts: Sequence[int], requests: int, batch: int, size: int) -> list[Measurement]:
    """Measure every call with each number of peers, directly and through their nodes; fresh processes for each."""
    rows: list[Measurement] = []
    with tqdm(total=len(counts) * STEPS_PER_COUNT, unit="run", dynamic_ncols=True) as bar:
        for count in counts:
            bar.set_description(f"starting {_peers(count)}")
            with started(count) as running:
                for via, urls in ((DIRECT, [running.server] * count), (PEER, running.nodes)):
                    setting = Setting(via, running.server, urls, requests, batch, size)
                    for step in steps(setting):
                        rows += _measure(step, via, count, bar.set_description)
                        bar.update()
        bar.set_description("measured")
    return rows


def _measure(step: Step, via: str, count: int, say: Callable[[str], None]) -> list[Measurement]:
    what = " and ".join(step.calls)
    amount = f" of {step.messages_per_request} messages" if step.messages_per_request > 1 else ""
    way = "directly, as" if via == DIRECT else "through"
    say(f"{what}{amount} {way} {_peers(count)}")
    load = generate(step.callers)
    return [measured(load, call, via, count, step.messages_per_request) for call in step.calls]


def measure_queries(counts: Sequence[int], requests: int) -> list[Measurement]:
    """Measure `query_peers` while the first 1, 2, ... of as many peers as the largest count ask at once.

    All of them are subscribed to the topic throughout, so that the answer is always the same.
    """
    rows: list[Measurement] = []
    query = prepare("query_peers", {"topic": QUERIED}, "GET", b'"peers":["')
    with tqdm(total=len(counts), unit="run", dynamic_ncols=True) as bar:
        bar.set_description(f"starting {_peers(max(counts))}")
        with started(max(counts)) as running:
            make([Caller(running.server, [prepare("create_topic", {"topic": QUERIED})])])
            make([Caller(node, [prepare("subscribe", {"topic": QUERIED})]) for node in running.nodes])
            for count in counts:
                bar.set_description(f"query_peers, asked by {_peers(count)} at once")
                each = [query] * max(1, requests // count)
                load = generate([Caller(node, each) for node in running.nodes[:count]])
                rows.append(measured(load, query.call, PEER, count))
                bar.update()
        bar.set_description("measured")
    return rows


def _peers(count: int) -> str:
    return "1 peer" if count == 1 else f"{count} peers"
