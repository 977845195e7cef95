"""What the README shows of the command line is what happens."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.cli import environment
from tests.support.harness import DEADLINE, ROOT, Api


def test_the_readme_shows_what_happens(index: Api, tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text().partition("\n## On the command line\n")[2].partition("\n## ")[0]
    shown = "".join(re.findall(r"```console\n(.*?)```", section, re.DOTALL))
    assert shown.count("$ peerbus") > 5

    command = tmp_path / "peerbus"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m peerbus "$@"\n')
    command.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    happened = ""
    for line in re.findall(r"^\$ (.*)$", shown, re.MULTILINE):
        done = subprocess.run(
            ["sh", "-c", line],  # noqa: S607
            env=environment(PEERBUS_URL=index.url, PATH=path, PYTHONPATH=str(ROOT)),
            capture_output=True,
            text=True,
            check=True,
            timeout=DEADLINE,
        )
        happened += f"$ {line}\n{done.stdout}"
    assert happened == shown
