"""The memory of processes, as Linux tells it, and what queued messages take of it."""

import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import indexing_server
from benchmarks.setup import MESSAGE, create_topic, fill, join

TOPIC = "bench"
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Memory:
    """The resident memory of an indexing server without messages, and with them in one subscriber's queue."""

    messages: int
    message_bytes: int
    empty_mib: float
    filled_mib: float
    bytes_per_message: float

    def __str__(self) -> str:
        """One line for a person."""
        what = f"{self.messages:,} messages of {self.message_bytes} bytes queued"
        each = f"{self.bytes_per_message:.0f} bytes a message"
        return f"{what}: {self.filled_mib:.0f} MiB resident, {self.empty_mib:.0f} MiB without; {each}"


def queue_memory(messages: int) -> Memory:
    """What a fresh server has in use before and after so many messages are published, 1,000 a request."""
    with indexing_server() as (url, process):
        create_topic(url, TOPIC)
        join(url, TOPIC, ["subscriber"])
        empty = resident_mib(process.pid)
        fill(url, TOPIC, messages)
        filled = resident_mib(process.pid)
    return Memory(messages, len(MESSAGE), empty, filled, (filled - empty) * MIB / messages)


def resident_mib(pid: int) -> float:
    """The memory that a process has in use, with all that it shares (RSS)."""
    return mib(Path(f"/proc/{pid}/status").read_text(), "VmRSS")


def proportional_mib(pid: int) -> float:
    """The memory that a process has in use, with its part of what it shares (PSS)."""
    return mib(Path(f"/proc/{pid}/smaps_rollup").read_text(), "Pss")


def mib(text: str, name: str) -> float:
    """A figure that Linux tells in kB."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{name} is not in {text!r}.")
    return int(found[1]) / 1024
