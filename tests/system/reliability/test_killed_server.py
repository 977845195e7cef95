"""The server is killed again and again, and started again, under load: nothing that was answered is undone."""

from collections.abc import Callable
from pathlib import Path

from tests.support.harness import Process
from tests.system.reliability.chaos import Chaos

KILLS = 20
SEED = 20


def test_what_was_answered_outlives_every_kill_of_the_server(run: Callable[..., Process], tmp_path: Path) -> None:
    verdict = Chaos(run, tmp_path, SEED).run(lambda kills: kills < KILLS)
    assert not verdict.faults
    assert verdict.figures["acknowledged"] > KILLS
    assert verdict.figures["redelivered"] > 0
    assert verdict.figures["dead letters"] > 0
