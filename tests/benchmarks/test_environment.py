"""The conditions of a measurement."""

import os
from pathlib import Path

import pytest

from benchmarks.environment import StealTime

BEFORE = "cpu  10 20 30 40 50 60 70 {} 90 100\ncpu0 5 10 15 20 25 30 35 40 45 50\n"


def test_steal_time_is_a_share_of_all_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.perf_counter", iter([100.0, 110.0]).__next__)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    source = tmp_path / "stat"
    source.write_text(BEFORE.format(7))
    steal = StealTime(source)
    source.write_text(BEFORE.format(7 + 5 * os.sysconf("SC_CLK_TCK")))
    assert steal.share() == 0.25


@pytest.mark.parametrize("text", [None, "", "cpu 1 2 3"])
def test_steal_time_that_is_not_reported_is_none(tmp_path: Path, text: str | None) -> None:
    source = tmp_path / "stat"
    if text is not None:
        source.write_text(text)
    assert StealTime(source).share() == 0
