"""What work costs, told without a clock."""

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def steps(work: Callable[[], object]) -> int:
    """How many lines of Python `work` runs, one in a loop as often as it comes to it."""
    taken = 0

    def trace(_: FrameType, event: str, __: Any) -> Any:
        nonlocal taken
        taken += event == "line"
        return trace

    before = sys.gettrace()
    gc.disable()  # hypothesis counts what is collected, in Python, whenever that is
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
        gc.enable()
    return taken
