"""What the documentation names is there."""

import re
from pathlib import Path

import pytest

from peerbus.errors import NotYet, StartError
from tests.support.harness import ROOT

DOCS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
TESTS = set(re.findall(r"def (test_\w+)", "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))))


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_test_that_is_named_exists(path: Path) -> None:
    assert set(re.findall(r"`(test_\w+)`", path.read_text())) <= TESTS


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_file_that_is_linked_exists(path: Path) -> None:
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    assert [name for name in linked if not (path.parent / name).exists()] == []


def test_every_file_on_the_map_exists() -> None:
    named = re.findall(r"`([\w/]+(?:\.py|/))`", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(named) > 20
    assert [name for name in named if not ((ROOT / name).exists() or any((ROOT / "peerbus").rglob(name)))] == []


def test_the_unit_starts_again_what_time_mends_and_nothing_else() -> None:
    unit = (ROOT / "docs" / "peerbus.service").read_text().splitlines()
    assert f"RestartPreventExitStatus={StartError.exit_code}" in unit
    assert {"Restart=on-failure", "StartLimitIntervalSec=0", "After=network-online.target"} <= set(unit)
    assert NotYet.exit_code != StartError.exit_code
