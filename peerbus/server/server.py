"""The indexing server: broker, HTTP server, notices and housekeeping, started and stopped together."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from peerbus.broker import Limits
from peerbus.http.dispatch import Dispatch, new_durations
from peerbus.http.event_loop import Loop
from peerbus.http.event_stream import MAX_STREAMS, Streams
from peerbus.http.flask_app import FlaskHandler, create_app
from peerbus.http.handler import CallHandler, Guard
from peerbus.http.listener import Listener
from peerbus.http.metrics import metrics_page
from peerbus.http.middleware import NO_GUARDS, Guards, guarded
from peerbus.http.pages import pages
from peerbus.http.server import Server
from peerbus.http.stream_tickets import StreamTickets
from peerbus.http.timeouts import TIMEOUTS, Timeouts
from peerbus.http.tls import Certificate
from peerbus.server import process_memory
from peerbus.server.access import AccessControl, Tokens
from peerbus.server.calls import CALLS
from peerbus.server.described import described_index
from peerbus.server.housekeeping import Housekeeping
from peerbus.server.metrics import broker_metrics
from peerbus.server.notifier import Notifier
from peerbus.server.peer_addresses import PeerAddresses
from peerbus.server.pusher import Pauses, Pusher
from peerbus.server.streams import PATIENCE_SECONDS, PING_SECONDS, BrokerStreams
from peerbus.storage.group_commit import InMemory
from peerbus.wire.endpoints import ENDPOINTS, SERVER_ENDPOINTS, STREAM_TICKET, Access, Endpoint
from peerbus.wire.protocol import RegisterRequest, SubscribeRequest

ADDRESSES_AT_ONCE = 200
"""Peers to notify whose addresses are looked up at once."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How an indexing server is run."""

    limits: Limits = field(default_factory=Limits)
    threads: int = 16
    """Threads for pages, and for bodies of 1 MiB or more."""
    max_body: int = 16 << 20
    """Bytes of the largest body taken."""
    guards: Guards = NO_GUARDS
    addresses: PeerAddresses = field(default_factory=PeerAddresses)
    tokens: Tokens | None = None
    """None if callers need no token."""
    certificate: Certificate | None = None
    """With a certificate, the server speaks https."""
    peer_ca: Path | None = None
    """A file with the authorities trusted for https peer nodes; None for the system's."""
    max_streams: int = MAX_STREAMS
    ping_seconds: float = PING_SECONDS
    """Seconds after which a stream that has nothing to send sends a comment."""
    patience: float = PATIENCE_SECONDS
    """Seconds that the client of a stream may take for each 64 KiB."""
    metrics_queues: int = 200
    """Topics, and as many message queues, that the metrics show one by one."""
    pauses: Pauses = field(default_factory=Pauses)
    """Of push targets, after pushes that failed."""
    timeouts: Timeouts = TIMEOUTS


class IndexingServer:
    """One broker served over HTTP on bound sockets."""

    def __init__(self, listener: Listener, options: ServerOptions, journal: InMemory | None = None) -> None:
        """Begin with the state in `journal`, by default empty; raises `StorageError` if it cannot be read."""
        process_memory.keep_little()
        limits = options.limits
        self.loop = Loop("loop")
        self._notifier = Notifier(self.loop, options.peer_ca)
        self._journal = journal or InMemory()
        with process_memory.without_collections():
            self.broker = self._journal.open(limits, self._topic_deleted)
        self._housekeeping = Housekeeping(self.broker, self.loop)
        self._pusher = Pusher(self.broker, self._journal, self.loop, options.peer_ca, options.pauses)
        access = AccessControl(self.broker, options.tokens) if options.tokens else None
        tickets = StreamTickets(access.check_of_peer) if access else StreamTickets()
        calls = {name: partial(call, self.broker) for name, call in CALLS.items()} | {STREAM_TICKET.name: tickets.issue}
        handlers = {
            row: CallHandler(
                row,
                calls[row.name],
                options.max_body,
                self.loop.run_steps,
                self._journal.after_commit,
                _guards(row, access, options.addresses),
            )
            for row in (*ENDPOINTS, *SERVER_ENDPOINTS)
        }
        durations = new_durations()
        source = BrokerStreams(
            self.broker, self._journal, self.loop, limits.max_wait, options.ping_seconds, options.patience
        )
        admit = tickets.or_else([access.admit_peer] if access else ())
        streams = Streams(source, self.loop, options.max_streams, [admit])
        metrics = metrics_page(
            durations,
            lambda: broker_metrics(
                self.broker,
                self._journal,
                streams.count,
                self._pusher.outcomes,
                self.loop,
                options.metrics_queues,
            ),
        )
        if access:
            metrics = replace(metrics, guard=access.admit_to_metrics, callers=Access.METRICS.value)
        shown = described_index([*pages("index.html"), metrics], limits, options.tokens is not None)
        flask = FlaskHandler(create_app(handlers, shown))
        router = Dispatch(flask, handlers, durations, streams).route
        self._server = Server(
            guarded(router, options.guards, listener.hosts, secured=options.certificate is not None),
            self.loop,
            listener,
            options.threads,
            options.max_body,
            before_stop=self.broker.close,
            timeouts=options.timeouts,
            certificate=options.certificate,
        )
        self.url = self._server.url
        self.stop = self._server.stop
        self.stop_on_signals = self._server.stop_on_signals

    def start(self) -> None:
        """Begin to serve."""
        self._journal.start(self.loop.call)
        self._housekeeping.start()
        self.loop.measure_lag()
        self._server.start()
        process_memory.switch_often()
        process_memory.collect_rarely()
        log.info("The indexing server serves at %s, epoch %s.", self.url, self.broker.stats().epoch)

    def _topic_deleted(self, topic: str, peers: Sequence[str]) -> None:
        slices = (peers[begin : begin + ADDRESSES_AT_ONCE] for begin in range(0, len(peers), ADDRESSES_AT_ONCE))
        addresses = (pair for some in slices for pair in self.broker.addresses(some).items())
        self._notifier.topic_deleted(topic, addresses)

    def wait(self) -> bool:
        """Wait for `stop`, then for the requests under way; false if some did not end in time."""
        clean = self._server.wait()
        self._notifier.close()
        self._pusher.close()
        self._journal.close()
        self.loop.close()
        log.info("The indexing server stopped.")
        return clean


def _guards(row: Endpoint, access: AccessControl | None, addresses: PeerAddresses) -> list[Guard]:
    """The guards of an endpoint: tokens, and the addresses that peers may register."""
    guards = access.guards(row) if access else []
    return [*guards, addresses.admit] if row.request in (RegisterRequest, SubscribeRequest) else guards
