"""The report of wrk, and the outcome of a round."""

from pathlib import Path

import pytest

from benchmarks import wrk
from benchmarks.wrk import Outcome, Report, WrkFailed, attack, by_turns, outcome, parse
from tests.benchmarks.support import a_system

PRINTED = '{"answers":1000,"microseconds":500000,"refused":100,"broken":3,"p50":250,"p99":4000}'


def test_the_last_line_is_what_the_script_parse() -> None:
    assert parse(f"Running 3s test\n  1 threads\n{PRINTED}\n") == Report(1000, 500_000, 100, 3, 250, 4000)


@pytest.mark.parametrize("output", ["", "Requests/sec: 1000", '{"answers":1}'])
def test_wrk_without_a_report_has_failed(output: str) -> None:
    with pytest.raises(WrkFailed, match="unable to connect"):
        parse(output, "unable to connect to 127.0.0.1:1\n")


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
def test_an_answer_without_messages_is_an_error(messages: int, handled: int | None, rate: int, errors: int) -> None:
    assert outcome(parse(PRINTED), messages, handled) == Outcome(rate, 0.25, 4, errors, answers=rate // messages // 2)


def test_systems_are_measured_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int, int]] = []

    def attacked(url: str, _: object, connections: int, seconds: int) -> Report:
        asked.append((url, connections, seconds))
        return parse(PRINTED)

    monkeypatch.setattr(wrk, "attack", attacked)
    monkeypatch.setattr(wrk, "ask", lambda *_: b"")
    pair = [a_system(name, url=name) for name in ("a", "b")]
    outcomes = by_turns(pair, 2, 16, 3)
    assert asked == [("a", 16, 3), ("b", 16, 3)] * 2
    assert [len(its) for its in outcomes.values()] == [2, 2]
