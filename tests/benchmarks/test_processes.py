"""What processes use."""

import os
import signal
import subprocess
import sys

import pytest

from benchmarks.processes import children, mib, processor_seconds, resident_mib


def test_memory_is_read_as_linux_gives_it() -> None:
    text = "Rss:  2048 kB\nPss:     512 kB\nPss_Dirty: 7 kB\n"
    assert mib(text, "Pss") == 0.5
    assert resident_mib(os.getpid()) > 1
    with pytest.raises(ValueError, match="Swap"):
        mib(text, "Swap")


def test_the_processor_time_of_a_process_includes_its_children() -> None:
    code = "import os\nif os.fork():\n    os.wait()\nelse:\n    while True: pass"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        while processor_seconds(process.pid) < 0.3:
            assert process.poll() is None
        for child in children(process.pid):
            os.kill(child, signal.SIGKILL)
