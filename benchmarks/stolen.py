"""What a hypervisor takes away from this machine while something is measured."""

import os
import time
from pathlib import Path

STEAL = 8
"""The column of /proc/stat with the time that other virtual machines ran instead, in ticks (proc(5))."""


class Stolen:
    """Counts from when it is made."""

    def __init__(self, told: Path = Path("/proc/stat")) -> None:
        """The system tells in a file how long it ran what."""
        self._told = told
        self._began = time.perf_counter()
        self._before = self._seconds()

    def share(self) -> float:
        """The share of all processors' time; 0 where the system does not tell, or is not a virtual machine."""
        had = (time.perf_counter() - self._began) * (os.cpu_count() or 1)
        return (self._seconds() - self._before) / had

    def _seconds(self) -> float:
        try:
            return int(self._told.read_text().split(maxsplit=STEAL + 1)[STEAL]) / os.sysconf("SC_CLK_TCK")
        except (OSError, IndexError, ValueError):
            return 0.0
