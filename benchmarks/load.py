"""The load generator: many callers, each on one connection, each calling again as soon as it is answered.

One thread drives all of them over plain sockets with bytes prepared before: it waits until an answer is there,
notes the time, checks the answer, sends the next request. Threads of their own for the callers would add the
interpreter's switching between them to every latency.

That it is not the bottleneck is checked in two ways. Each measurement says which share of a processor core the
generator used: near 1, what is measured is the generator. And `benchmarks.ceiling` runs it against `/livez`, which
costs the server next to nothing, and tells how many requests a second a whole core of it would make.
"""

import gc
import select
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.line import PATIENCE_SECONDS, Line, LineBroken, is_good
from benchmarks.request import Request, prepare
from benchmarks.stolen import Stolen


class Caller(NamedTuple):
    """What one caller asks of one service, in order."""

    url: str
    requests: Sequence[Request]


@dataclass(slots=True)
class Load:
    """What came of a load: by call, the latencies of good answers and the number of others; times in seconds."""

    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    processor_seconds: float = 0.0
    """What the generator itself used of one processor core."""
    stolen: float = 0.0
    """The share of all processors' time that the hypervisor took away meanwhile."""
    first_error: bytes = b""


class _Turn:
    """A caller at work: its line, the request under way and when that was sent."""

    __slots__ = ("line", "request", "rest", "sent")

    def __init__(self, caller: Caller, line: Line) -> None:
        self.line = line
        self.rest = iter(caller.requests)
        self.request: Request | None = None
        self.sent = 0.0

    def go_on(self) -> bool:
        """Send the next request; false if there is none."""
        self.request = request = next(self.rest, None)
        if request is None:
            return False
        self.sent = time.perf_counter()
        self.line.send(request.data)
        return True


def generate(callers: Sequence[Caller]) -> Load:
    """Let all callers call at once, until each has had all its answers; raises `LineBroken`.

    Connections are made, and have answered once, before the clock starts.
    """
    hello = prepare("livez", method="GET").data
    with ExitStack() as lines:
        turns: dict[int, _Turn] = {}
        for caller in callers:
            line = lines.enter_context(closing(Line(caller.url)))
            line.ask(hello)
            turns[line.fileno()] = _Turn(caller, line)
        gc.disable()
        try:
            return _drive(turns)
        finally:
            gc.enable()


def _drive(turns: dict[int, _Turn]) -> Load:
    load = Load()
    poller = select.poll()
    for number in turns:
        poller.register(number, select.POLLIN)
    stolen = Stolen()
    processor_start, start = time.process_time(), time.perf_counter()
    under_way = sum(turn.go_on() for turn in turns.values())
    while under_way:
        ready = poller.poll(PATIENCE_SECONDS * 1000)
        if not ready:
            raise LineBroken(f"No answer came within {PATIENCE_SECONDS} seconds.")
        for number, _ in ready:
            turn = turns[number]
            answer = turn.line.receive()
            if answer is not None:
                _note(load, turn, answer, time.perf_counter())
                under_way -= not turn.go_on()
    load.seconds = time.perf_counter() - start
    load.processor_seconds = time.process_time() - processor_start
    load.stolen = stolen.share()
    return load


def _note(load: Load, turn: _Turn, answer: bytes, now: float) -> None:
    call, _, expected = turn.request or Request("unasked", b"")
    if is_good(answer, expected):
        load.latencies[call].append(now - turn.sent)
    else:
        load.errors[call] += 1
        load.first_error = load.first_error or answer
