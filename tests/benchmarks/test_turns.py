"""The longest turns of the event loop, as a user measures them: real processes."""

import subprocess
import sys
from pathlib import Path

from benchmarks.stats import read_table
from benchmarks.turns import Row
from tests.support.harness import DEADLINE, ROOT


def test_the_longest_turn_of_each_case_is_measured(tmp_path: Path) -> None:
    options = ("--quick", "--rounds", "1", "--only", "pull", "--results", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.turns", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3 * DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = read_table(tmp_path / "turns.csv", Row).rows
    assert [row.case for row in rows] == [
        "pull 10,000 messages of 1,600 bytes",
        "pull the same, read slowly",
        "wake 10,000 pulls",
    ]
    assert all(row.turn_ms > 0 and row.cpu_ms > 0 for row in rows)
    assert all(row.case in done.stdout for row in rows)
