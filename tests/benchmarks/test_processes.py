"""What processes use, and the processor time that is stolen from all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.processes import StealTime, children, mib, processor_seconds, resident_mib

BEFORE = "cpu  10 20 30 40 50 60 70 {} 90 100\ncpu0 5 10 15 20 25 30 35 40 45 50\n"


def test_memory_is_read_as_linux_gives_it() -> None:
    text = "Rss:  2048 kB\nPss:     512 kB\nPss_Dirty: 7 kB\n"
    assert mib(text, "Pss") == 0.5
    assert resident_mib(os.getpid()) > 1
    with pytest.raises(ValueError, match="Swap"):
        mib(text, "Swap")


def test_the_processor_time_of_a_process_includes_its_children() -> None:
    code = "import os\nif os.fork():\n    os.wait()\nelse:\n    while True: pass"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        while processor_seconds(process.pid) < 0.3:
            assert process.poll() is None
        for child in children(process.pid):
            os.kill(child, signal.SIGKILL)


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
