"""How much a hypervisor took away."""

import os
from pathlib import Path

import pytest

from benchmarks.stolen import Stolen

BEFORE = "cpu  10 20 30 40 50 60 70 {} 90 100\ncpu0 5 10 15 20 25 30 35 40 45 50\n"


def test_what_was_stolen_is_a_share_of_all_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.perf_counter", iter([100.0, 110.0]).__next__)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    told = tmp_path / "stat"
    told.write_text(BEFORE.format(7))
    stolen = Stolen(told)
    told.write_text(BEFORE.format(7 + 5 * os.sysconf("SC_CLK_TCK")))
    assert stolen.share() == 0.25


@pytest.mark.parametrize("text", [None, "", "cpu 1 2 3"])
def test_where_the_system_does_not_tell_it_is_none(tmp_path: Path, text: str | None) -> None:
    told = tmp_path / "stat"
    if text is not None:
        told.write_text(text)
    assert Stolen(told).share() == 0
