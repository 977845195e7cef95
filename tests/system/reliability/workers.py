"""Starts workers against one server, and finds their notes."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.support.harness import Api, Process


class Workers:
    """Processes that publish to and consume from topics, each noting its history in a file."""

    def __init__(self, run: Callable[..., Process], url: str, folder: Path) -> None:
        self._run = run
        self._url = url
        self._folder = folder

    def start(self, role: str, peer_id: str, topic: str = "orders", **options: Any) -> Process:
        """A worker with the options of `worker.py`; those that are flags are True."""
        named = {"url": self._url, "peer-id": peer_id, "topic": topic, "notes": self.notes(peer_id), **options}
        arguments = [
            text
            for name, value in named.items()
            for text in ([f"--{name}"] if value is True else [f"--{name}", str(value)])
        ]
        return self._run("tests/system/reliability/worker.py", role, *arguments)

    def notes(self, peer_id: str) -> Path:
        return self._folder / f"{peer_id}.notes"


def subscribe(server: Api, peer_id: str, topic: str, lease: float | None = None, **options: Any) -> None:
    """Register a peer and subscribe it, as the worker of that name expects to be."""
    assert server.post("/register_peer_node", peer_id=peer_id, lease_seconds=lease).status == 200
    assert server.post("/subscribe", peer_id=peer_id, topic=topic, **options).status == 200


def check_that_all_end_well(processes: Iterable[Process]) -> None:
    for process in processes:
        assert process.finish() == (0, "", "")


def stats(server: Api) -> dict[str, Any]:
    figures: dict[str, Any] = server.get("/stats").body["stats"]
    return figures
