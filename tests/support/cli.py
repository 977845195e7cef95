"""How tests run the command `peerbus`."""

import os
import subprocess
import sys
from typing import IO, Any

from click.testing import CliRunner, Result

from peerbus.cli.main import main
from tests.support.harness import DEADLINE, ROOT

COMMAND = (sys.executable, "-m", "peerbus")


def environment(**variables: str) -> dict[str, str]:
    """That of the tests, without what is ours in it, and with `variables`."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PEERBUS_")} | variables


class CommandLine:
    """Runs commands at one server, in this process."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, *arguments: str, stdin: str | bytes = "", **variables: str) -> Result:
        """Run a command; gives its exit code and what it printed."""
        ours = {name: None for name in os.environ if name.startswith("PEERBUS_")}
        return CliRunner().invoke(main, arguments, stdin, env={**ours, "PEERBUS_URL": self.url, **variables})

    def says(self, *arguments: str, stdin: str | bytes = "", **variables: str) -> str:
        """What a command prints that must succeed, without remarks."""
        result = self(*arguments, stdin=stdin, **variables)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    def refused(self, code: int, *arguments: str, stdin: str | bytes = "") -> str:
        """The one line with which a command ends that must not succeed."""
        result = self(*arguments, stdin=stdin)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1), result.stderr
        assert result.stderr.startswith("error: ")
        return result.stderr


def start(
    url: str, *arguments: str, stdout: int | IO[Any] = subprocess.PIPE, **variables: str
) -> "subprocess.Popen[str]":
    """Run a command as a process of its own."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment(PEERBUS_URL=url, **variables),
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """The exit code, the rest of standard output, and standard error, once it ended."""
    out, err = process.communicate(timeout=DEADLINE)
    return process.returncode, out, err
