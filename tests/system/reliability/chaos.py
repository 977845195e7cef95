"""The server is killed and started again, at random, while publishers and consumers are at work.

`python -m tests.system.reliability.chaos --help`; `make chaos` runs it for two minutes, `make test` for twenty kills.

kill -9 leaves what the system was given to write: it shows that nothing is answered or delivered before it is
written, not that it is flushed to the disk.
"""

import argparse
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random, SystemRandom
from signal import SIGKILL, SIGTERM
from typing import Any

from tests.support.durable import DurableServer
from tests.support.harness import Api, Process, eventually, processes
from tests.system.reliability.verdict import Cast, Verdict, judge
from tests.system.reliability.workers import Workers, check_that_all_end_well, stats, subscribe

Run = Callable[..., Process]
"""Starts a command line of the project."""

LEASE = 600.0
ROOM = 1000
"""Messages the topic holds for whoever is slowest, above which publishers have to wait."""
PROGRESS = 1, 300
"""Messages published between two kills, at least and at most so many."""
STILLBORN = 0.2
"""How likely a server is killed as soon as it listens, while it reads what the last one left."""

PUBLISHERS: dict[str, dict[str, Any]] = {
    "singles": {},
    "large": {"size": 2000},
    "batches": {"batch": 20, "size": 100},
    "anonymous": {"anonymous": True},
    "anonymous-batches": {"anonymous": True, "batch": 7},
}
PACKERS = ["packer-1", "packer-2", "packer-3"]
CAST = Cast(list(PUBLISHERS), "auditor", "clerk", "undertaker", PACKERS)
EXPLICIT = {"ack": "explicit", "ack_deadline": 0.5}
SUBSCRIPTIONS: dict[str, dict[str, Any]] = {
    "auditor": {"topic": "orders"},
    "clerk": {"topic": "orders", **EXPLICIT, "max_attempts": 3, "dead_letter_topic": "dead"},
    **{packer: {"topic": "orders", **EXPLICIT, "group": "packers"} for packer in PACKERS},
    "undertaker": {"topic": "dead", **EXPLICIT},
}


class MortalServer(DurableServer):
    """An indexing server that is killed a lot."""

    kills = stillborn = 0

    def kill(self) -> None:
        self.end(SIGKILL)
        self.kills += 1

    def start_in_vain(self) -> None:
        """Start, and be killed meanwhile."""
        self.begin()
        eventually(self._listens)
        self.kill()
        self.stillborn += 1

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False


class Chaos:
    """One run."""

    def __init__(self, run: Run, folder: Path, seed: int) -> None:
        """Everything that comes of it is in `folder`."""
        self._seed = seed
        self._random = Random(seed)  # noqa: S311  # repeatable, not secret
        self._server = MortalServer(run, folder / "data")
        self._workers = Workers(run, self._server.url, folder)
        self._publishers: list[Process] = []
        self._consumers: list[Process] = []

    def run(self, go_on: Callable[[int], bool]) -> Verdict:
        """Kill the server as long as `go_on` says so of the number of kills, let all come to an end, and judge."""
        try:
            api = self._begin()
            state = kept(api)
            while go_on(self._server.kills):
                api = self._kill_and_start(api)
                assert kept(api) == state
                self._check_that_all_work()
            self._end(api)
        finally:
            verdict = judge(self._workers.notes, CAST)
            print(f"Seed {self._seed}: kills {self._server.kills}, {self._server.stillborn} at the start, {verdict}")
        return verdict

    def _begin(self) -> Api:
        api = self._server.start()
        for topic, limit in {"orders": ROOM, "dead": None}.items():
            assert api.post("/create_topic", topic=topic, max_messages=limit).status == 200
        for publisher in PUBLISHERS:
            assert api.post("/register_peer_node", peer_id=publisher, lease_seconds=LEASE).status == 200
        for consumer, options in SUBSCRIPTIONS.items():
            subscribe(api, consumer, lease=LEASE, **options)
        for publisher, options in PUBLISHERS.items():
            self._publishers.append(self._workers.start("publisher", publisher, **options))
        for consumer, options in SUBSCRIPTIONS.items():
            neglect = {"neglect": True} if consumer == CAST.neglectful else {}
            self._consumers.append(self._workers.start("consumer", consumer, options["topic"], **neglect))
        return api

    def _kill_and_start(self, api: Api) -> Api:
        progress = self._random.randint(*PROGRESS)
        eventually(lambda: stats(api)["published"] >= progress)
        api.close()
        self._server.kill()
        while self._random.random() < STILLBORN:
            self._server.start_in_vain()
        return self._server.start()

    def _check_that_all_work(self) -> None:
        for worker in (*self._publishers, *self._consumers):
            assert worker.running, worker.finish()

    def _end(self, api: Api) -> None:
        for publisher in PUBLISHERS:
            assert api.post("/unregister_peer_node", peer_id=publisher).status == 200
        check_that_all_end_well(self._publishers)
        eventually(lambda: self._all_is_read(api))
        for topic in ("orders", "dead"):
            assert api.delete("/delete_topic", topic=topic).status == 200
        check_that_all_end_well(self._consumers)
        api.close()
        self._server.end(SIGTERM)

    def _all_is_read(self, api: Api) -> bool:
        """Whether the consumers have everything; the queue that keeps dead letters for nobody is ended."""
        api.post("/unsubscribe", topic="dead", group="dead-letters", end=True)
        return not any(topic["unread"] for topic in api.get("/topics").body["topics"])


def kept(api: Api) -> tuple[Any, ...]:
    """What no kill may change: the epoch, who is there, and what they are subscribed to."""
    peers = {peer["peer_id"]: (peer["lease_seconds"], peer["topics"]) for peer in api.get("/peers").body["peers"]}
    return stats(api)["epoch"], peers, [topic["topic"] for topic in api.get("/topics").body["topics"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="to go on killing")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6), help="of what is left to chance")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="peerbus-chaos-"))
    print(f"Killing the server for {options.seconds:g} seconds, seed {options.seed}, notes in {folder}")
    end = time.monotonic() + options.seconds
    with processes(folder / "logs") as run:
        verdict = Chaos(run, folder, options.seed).run(lambda _: time.monotonic() < end)
    if verdict.faults:
        sys.exit("\n".join(f"{kind}: {', '.join(those)}" for kind, those in verdict.faults.items()))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
