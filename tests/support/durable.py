"""An indexing server that keeps its state, and outlives its processes."""

from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL, Signals

from tests.support.harness import Api, Process, free_port


class DurableServer:
    """An indexing server on one port and one data folder, which lives many times."""

    def __init__(self, run: Callable[..., Process], folder: Path, *arguments: str) -> None:
        self._run = run
        self._arguments = arguments
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def begin(self, *arguments: str) -> None:
        """Start a process, with these arguments too."""
        options = ("--port", str(self.port), "--data-dir", str(self.folder))
        self.process = self._run("indexing_server.py", *options, *self._arguments, *arguments)

    def start(self, *arguments: str) -> Api:
        """Start, and wait until it serves."""
        self.begin(*arguments)
        self.process.urls()
        return Api(self.url)

    def end(self, number: Signals) -> None:
        """Let a signal end it; it must have lived until then, and not have complained."""
        self.process.signal(number)
        code, _, complaints = self.process.finish()
        assert (code, complaints) == (-SIGKILL if number == SIGKILL else 0, "")
