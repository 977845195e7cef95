"""Where and when figures were measured."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from peerbus import __version__

LIBRARIES = ("Flask", "msgspec", "uvloop", "httptools")


def describe(**parameters: object) -> dict[str, str]:
    """What a figure depends on beside the code: the machine, the versions, the time, the benchmark's parameters."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": cpu_model(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory_bytes() / (1 << 30):.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "peerbus": __version__,
        "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        "load_average": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        **{name: str(value) for name, value in parameters.items()},
    }


def packages(*names: str) -> str:
    """The versions of programs that are installed as packages of Debian or its kin; of no others."""
    command = ("dpkg-query", "--show", "--showformat", "${Package} ${Version}, ", *names)
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.rstrip(", ")  # noqa: S603  # as written here
    except FileNotFoundError:
        return ""


def cpu_model() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def memory_bytes() -> int:
    """The bytes of memory the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
