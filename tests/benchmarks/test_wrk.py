"""What wrk tells, and what is made of it."""

import math
from pathlib import Path

import pytest

from benchmarks import system
from benchmarks.rate import rates
from benchmarks.request import prepare
from benchmarks.rounds import by_turns
from benchmarks.system import Outcome, System, outcome
from benchmarks.wrk import Round, WrkFailed, attack, told

TOLD = '{"answers":1000,"microseconds":500000,"refused":100,"broken":3,"p50":250,"p99":4000}'


def a_system(name: str, url: str = "", against: str = "", call: str = "publish") -> System:
    return System(name, call, url, [prepare("livez", method="GET")], against)


def an_outcome(rate: float, errors: int = 0) -> Outcome:
    return Outcome(rate, 1.0, 2.0, errors)


def test_the_last_line_is_what_the_script_told() -> None:
    assert told(f"Running 3s test\n  1 threads\n{TOLD}\n") == Round(1000, 500_000, 100, 3, 250, 4000)


@pytest.mark.parametrize("output", ["", "Requests/sec: 1000", '{"answers":1}'])
def test_wrk_that_tells_nothing_has_failed(output: str) -> None:
    with pytest.raises(WrkFailed, match="unable to connect"):
        told(output, "unable to connect to 127.0.0.1:1\n")


def test_wrk_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WrkFailed, match="apt-get install wrk"):
        attack("http://127.0.0.1:1", [b"GET / HTTP/1.1\r\n\r\n"], 1, 1)


@pytest.mark.parametrize(
    ("messages", "handled", "rate", "errors"),
    [
        (1, None, 1800, 103),
        (1, 900, 1800, 103),
        (1, 916, 1800, 103),
        (1, 850, 1700, 153),
        (10, 9000, 18_000, 103),
        (10, 8995, 17_980, 104),
        (10, 0, 0, 1003),
    ],
)
def test_an_answer_without_messages_is_an_error(messages: int, handled: int | None, rate: float, errors: int) -> None:
    assert outcome(told(TOLD), messages, handled) == Outcome(rate, 0.25, 4, errors)


def test_a_rate_is_the_median_of_the_rounds_and_a_ratio_that_of_their_ratios() -> None:
    slow, fast, alone = (
        a_system("slow"),
        a_system("fast", against="slow"),
        a_system("alone", against="slow", call="pull"),
    )
    outcomes = {
        slow: [an_outcome(10), an_outcome(1, errors=2), an_outcome(4, errors=1)],
        fast: [an_outcome(20), an_outcome(9), an_outcome(12)],
        alone: [an_outcome(5)],
    }
    first, second, third = rates(outcomes)
    assert (first.messages_per_s, first.least, first.most, first.errors, first.rounds) == (4, 1, 10, 3, 3)
    assert (second.messages_per_s, second.ratio, second.against) == (12, 3, "slow")
    assert math.isnan(first.ratio)
    assert math.isnan(third.ratio), "another call is not compared with"
    assert "3.00 x slow" in str(second)


def test_systems_are_measured_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int, int]] = []

    def attacked(url: str, _: object, connections: int, seconds: int) -> Round:
        asked.append((url, connections, seconds))
        return told(TOLD)

    monkeypatch.setattr(system, "attack", attacked)
    monkeypatch.setattr(system, "ask", lambda *_: b"")
    pair = [a_system(name, url=name) for name in ("a", "b")]
    outcomes = by_turns(pair, 2, 16, 3)
    assert asked == [("a", 16, 3), ("b", 16, 3)] * 2
    assert [len(its) for its in outcomes.values()] == [2, 2]
