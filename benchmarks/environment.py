"""The conditions of a measurement: the machine, the versions, the time, and the processor time that was stolen."""

import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path

from peerbus import __version__

LIBRARIES = ("Flask", "msgspec", "uvloop", "httptools")
"""Those of them that are installed are named."""
STEAL = 8
"""The column of /proc/stat with the time that other virtual machines ran instead, in ticks (proc(5))."""


def describe(**parameters: object) -> dict[str, str]:
    """What figures depend on besides the code: the machine, the versions, the time, the benchmark's parameters."""
    installed = {each.name: each.version for each in distributions()}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": cpu_model(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory_bytes() / (1 << 30):.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "peerbus": __version__,
        "libraries": ", ".join(f"{name} {installed[name]}" for name in LIBRARIES if name in installed),
        "load_average": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        **{name: str(value) for name, value in parameters.items()},
    }


def packages(*names: str) -> str:
    """The versions of programs that are installed as Debian packages; empty on other systems."""
    return _output("dpkg-query", "--show", "--showformat", "${Package} ${Version}, ", *names).rstrip(", ")


def commit(folder: Path) -> str:
    """The commit that a checkout is at, with its subject; empty where git does not know."""
    return _output("git", "-C", str(folder), "log", "-1", "--format=%h %s")


def python_version(python: Path) -> str:
    """The version of a Python interpreter."""
    return _output(str(python), "--version")


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603  # as written here
    except FileNotFoundError:
        return ""


def cpu_model() -> str:
    """The processor's name, as far as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def memory_bytes() -> int:
    """The bytes of memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class StealTime:
    """The processor time that the hypervisor has given to other virtual machines since this object was made."""

    def __init__(self, source: Path = Path("/proc/stat")) -> None:
        """Read steal time from `source`, a file in the format of /proc/stat."""
        self._source = source
        self._began = time.perf_counter()
        self._before = self._seconds()

    def share(self) -> float:
        """The steal time as a share of all processors' time; 0 where the system does not report it."""
        available = (time.perf_counter() - self._began) * (os.cpu_count() or 1)
        return (self._seconds() - self._before) / available

    def _seconds(self) -> float:
        try:
            return int(self._source.read_text().split(maxsplit=STEAL + 1)[STEAL]) / os.sysconf("SC_CLK_TCK")
        except (OSError, IndexError, ValueError):
            return 0.0
