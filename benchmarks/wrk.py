"""wrk, an independent load generator in C: https://github.com/wg/wrk."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

NAME = "wrk"
SCRIPT = Path(__file__).with_suffix(".lua")
END_OF_REQUEST = b"\0"
GRACE_SECONDS = 30


class WrkFailed(Exception):
    """wrk is not installed, or told nothing."""


class Round(msgspec.Struct, forbid_unknown_fields=True):
    """What one run of wrk came to.

    `refused` of the `answers` had a status of 400 or more; `broken` connections could not be made or used, or were
    silent for two seconds. The latencies `p50` and `p99` are in microseconds.
    """

    answers: int
    microseconds: int
    refused: int
    broken: int
    p50: int
    p99: int


def is_installed() -> bool:
    """Whether wrk can be run."""
    return shutil.which(NAME) is not None


def attack(url: str, requests: Sequence[bytes], connections: int, seconds: int) -> Round:
    """Send requests by turns over keep-alive connections, as fast as they are answered; raises `WrkFailed`."""
    program = shutil.which(NAME)
    if program is None:
        raise WrkFailed("wrk is not installed; Debian has it: apt-get install wrk.")
    with tempfile.NamedTemporaryFile(prefix="peerbus-wrk-") as file:
        file.writelines(request + END_OF_REQUEST for request in requests)
        file.flush()
        pace = (f"-c{connections}", f"-d{seconds}s")
        command = [program, "-t1", *pace, "-s", str(SCRIPT), url, "--", file.name]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds + GRACE_SECONDS, check=False)  # noqa: S603  # wrk
    return told(ended.stdout, ended.stderr)


def told(output: str, errors: str = "") -> Round:
    """What wrk told in its output's last line; raises `WrkFailed`."""
    last = output.rstrip().rpartition("\n")[2]
    try:
        return msgspec.json.decode(last, type=Round)
    except msgspec.DecodeError:
        raise WrkFailed(f"wrk told nothing: {(errors or output).strip()}") from None
