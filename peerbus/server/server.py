"""The indexing server as a whole: broker, application, notices and lease watch, started and stopped together."""

import logging
import socket
import threading
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from peerbus.broker import Limits
from peerbus.http.dispatch import Dispatch, new_durations
from peerbus.http.event_stream import MAX_STREAMS, Streams
from peerbus.http.flask_app import create_app
from peerbus.http.handler import Admit, answering
from peerbus.http.metrics import metrics_page
from peerbus.http.middleware import NO_GUARDS, Guards, guarded
from peerbus.http.pages import pages
from peerbus.http.tls import Certificate
from peerbus.server import process_memory as heap
from peerbus.server.access import AccessControl, Tokens
from peerbus.server.calls import CALLS
from peerbus.server.described import described_index
from peerbus.server.metrics import broker_metrics
from peerbus.server.notifier import Notifier
from peerbus.server.peer_addresses import PeerAddresses
from peerbus.server.streams import PATIENCE_SECONDS, PING_SECONDS, BrokerStreams
from peerbus.serving import Server
from peerbus.storage.group_commit import InMemory
from peerbus.wire.endpoints import ENDPOINTS, HEALTH, Endpoint
from peerbus.wire.protocol import RegisterRequest
from peerbus.wire.words import also_discarded

log = logging.getLogger(__name__)

TEND_SECONDS = 5.0
PAUSE_SECONDS = 1.0
"""Pause after a fault of ours, which must not end the tending."""
TRIM_BYTES = 16 << 20
"""Bytes of messages freed after which the heap is trimmed."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How an indexing server is run."""

    limits: Limits = field(default_factory=Limits)
    threads: int = 256
    max_body: int = 16 << 20
    """Bytes of the largest body taken."""
    guards: Guards = NO_GUARDS
    addresses: PeerAddresses = field(default_factory=PeerAddresses)
    tokens: Tokens | None = None
    """What callers are asked for, if they are."""
    certificate: Certificate | None = None
    """With one, it is served by https."""
    peer_ca: Path | None = None
    """The certificates that https peer nodes must have one by; None for the system's."""
    max_streams: int = MAX_STREAMS
    ping_seconds: float = PING_SECONDS
    """After which a stream that has nothing to send says so."""
    patience: float = PATIENCE_SECONDS
    """Seconds that a stream's reader has for each 64 KiB."""


class IndexingServer:
    """One broker served over HTTP on a bound socket."""

    def __init__(self, listener: socket.socket, options: ServerOptions, journal: InMemory | None = None) -> None:
        """Begin with what `journal` holds, by default nothing; raises `StorageError` where that cannot be read."""
        heap.keep_little()
        limits = options.limits
        self._notifier = Notifier(options.peer_ca)
        self._journal = journal or InMemory()
        self.broker = self._journal.open(limits, self._notifier.topic_deleted)
        self._addresses = options.addresses
        self._callers = AccessControl(self.broker, options.tokens) if options.tokens else None
        routes = {
            row: answering(
                row, partial(CALLS[row.name], self.broker), options.max_body, self._journal.keep, self._admits(row)
            )
            for row in (*ENDPOINTS, *HEALTH)
        }
        durations = new_durations()
        source = BrokerStreams(self.broker, self._journal, limits.max_wait, options.ping_seconds, options.patience)
        streams = Streams(source, options.max_streams, self._callers.admit_peer if self._callers else None)
        metrics = metrics_page(
            durations, lambda: broker_metrics(self.broker, limits.max_bytes, self._journal, streams.count)
        )
        metrics = replace(metrics, admit=self._callers.admit_admin if self._callers else None)
        shown = described_index([*pages("index.html"), metrics], limits, options.tokens is not None)
        door = Dispatch(create_app(routes, shown), routes, durations, streams)
        app = guarded(door, options.guards, listener.getsockname()[0])
        self._server = Server(
            app, listener, options.threads, before_stop=self._close_broker, certificate=options.certificate
        )
        self._pause = threading.Event()
        self._due = threading.Event()
        self.broker.on_due = self._due.set
        self._tending = threading.Thread(target=self._tend, name="tending", daemon=True)
        self.url = self._server.url
        self.stop = self._server.stop
        self.stop_on_signals = self._server.stop_on_signals

    def start(self) -> None:
        """Begin to serve."""
        self._journal.start()
        self._tending.start()
        self._server.start()
        log.info("The indexing server serves at %s, epoch %s.", self.url, self.broker.stats().epoch)

    def wait(self) -> bool:
        """Wait for `stop` and the end of the requests under way; false when some did not end in time."""
        clean = self._server.wait()
        self._notifier.close()
        self._tending.join()
        self._journal.close()
        log.info("The indexing server stopped.")
        return clean

    def _admits(self, row: Endpoint) -> list[Admit]:
        """What stands between callers and a call."""
        admits = self._callers.admits(row) if self._callers else []
        return [*admits, self._addresses.admit] if row.request is RegisterRequest else admits

    def _close_broker(self) -> None:
        self.broker.close()
        self._due.set()

    def _tend(self) -> None:
        trimmed = 0
        while not self.broker.closing:
            try:
                self._due.clear()
                result = self.broker.run_due()
                for peer_id, discarded in result.expired.items():
                    level = logging.WARNING if discarded else logging.INFO
                    log.log(level, "Peer '%s' is removed: its lease ran out.%s", peer_id, also_discarded(discarded))
            except Exception:
                log.exception("Tending leases and deadlines failed")
                self._pause.wait(PAUSE_SECONDS)
                continue
            self._due.wait(min(result.next_in, TEND_SECONDS))
            freed = self.broker.stats().freed_bytes
            if freed - trimmed >= TRIM_BYTES:
                heap.trim()
                trimmed = freed
