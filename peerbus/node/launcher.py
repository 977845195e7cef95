"""Runs peer nodes: one in this process, or several forked from it."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from peerbus.http.listener import Listener
from peerbus.logs import log_to, usable_folder
from peerbus.node.app import NodeOptions, PeerNode
from peerbus.stop_signals import stop_signals

KILL_AFTER_SECONDS = 5.0
SECONDS_EACH = 0.015
"""Added for each node to the time that all may take to stop: they share the processors."""


class Place(NamedTuple):
    """A peer and the sockets its node listens on."""

    peer_id: str
    listener: Listener

    @property
    def log_name(self) -> str:
        """The name of the node's log file."""
        return f"{self.peer_id}-{self.listener.port}"


class Logging(NamedTuple):
    """The folder of the log files, one for each node, and the lowest level they show."""

    folder: Path
    level: str


def run_nodes(places: Sequence[Place], options: NodeOptions, logs: Logging) -> int:
    """Run a node at each place until all are stopped; returns the exit code."""
    if len(places) == 1:
        return _run_node(places[0], options, logs)
    return _Family(places, options, logs).run()


def _run_node(place: Place, options: NodeOptions, logs: Logging, lifeline: int | None = None) -> int:
    log_to(logs.folder, place.log_name, logs.level)
    node = PeerNode(place.peer_id, place.listener, options)
    node.stop_on_signals()
    if lifeline is not None:
        threading.Thread(target=_stop_at_end_of, args=(lifeline, node), daemon=True).start()
    node.start()
    served_at = place.listener.described(options.certificate is not None)
    sys.stdout.write(f"{node.peer_id} serves at {served_at}\n")  # one write: the line of another node must not split it
    sys.stdout.flush()
    node.wait()
    return 0


def _stop_at_end_of(lifeline: int, node: PeerNode) -> None:
    os.read(lifeline, 1)
    node.stop()


class _Family:
    """Nodes forked from one parent after all imports, so that they share its memory.

    However the parent ends, the pipe between them closes, and each node stops.
    """

    def __init__(self, places: Sequence[Place], options: NodeOptions, logs: Logging) -> None:
        self._places = places
        more = len(places) * SECONDS_EACH
        self._options = replace(options, unregister_seconds=options.unregister_seconds + more)
        self._kill_after = KILL_AFTER_SECONDS + more
        self._logs = logs
        self._pids: dict[int, str] = {}
        self._stopping = False
        self._stops = stop_signals()

    def run(self) -> int:
        """Fork the nodes and wait for them; returns the exit code in the parent and in each child."""
        folder = usable_folder(self._logs.folder, self._places[0].log_name)  # said once here, not by each child
        self._logs = self._logs._replace(folder=folder)
        lifeline, hold = os.pipe()
        gc.freeze()
        signal.signal(signal.SIGALRM, lambda *_: self._signal_all(signal.SIGKILL))
        for number in self._stops:
            signal.signal(number, lambda *_: self._stop())
        for place in self._places:
            if not self._stopping and not self._fork(place):
                os.close(hold)
                return self._be_node(place, lifeline)
        for place in self._places:
            place.listener.close()
        return self._wait()

    def _fork(self, place: Place) -> int:
        """The new child's id, or 0 in the child. Stop signals are blocked until the child is in the list of pids."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._stops)
        try:
            pid = os.fork()
            if pid == 0:
                for number in self._stops:
                    signal.signal(number, lambda *_: os._exit(0))
            else:
                self._pids[pid] = place.peer_id
            return pid
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._stops)

    def _be_node(self, place: Place, lifeline: int) -> int:
        for other in self._places:
            if other is not place:
                other.listener.close()
        return _run_node(place, self._options, self._logs, lifeline)

    def _stop(self) -> None:
        self._stopping = True
        self._signal_all(signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, self._kill_after)

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in list(self._pids):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _wait(self) -> int:
        failed = 0
        while self._pids:
            pid, status = os.wait()
            peer_id = self._pids.pop(pid)
            if status:
                failed = failed or (os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)
                print(f"Peer '{peer_id}' ended with {_described(status)}.", file=sys.stderr, flush=True)
        return failed


def _described(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exit code {os.WEXITSTATUS(status)}"
