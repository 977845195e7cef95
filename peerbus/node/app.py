"""The assembly of a peer node: HTTP server, membership and client of the indexing server."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from flask import Flask

from peerbus.future import Future, settle
from peerbus.http.dispatch import Dispatch, new_durations
from peerbus.http.event_loop import Loop
from peerbus.http.event_stream import MAX_STREAMS, Streams
from peerbus.http.flask_app import FlaskHandler, create_app, when_needed
from peerbus.http.handler import CallHandler, Guard, Handler
from peerbus.http.listener import Listener
from peerbus.http.metrics import metrics_page
from peerbus.http.middleware import NO_GUARDS, Guards, guarded
from peerbus.http.pages import pages
from peerbus.http.server import Server
from peerbus.http.stream_tickets import StreamTickets
from peerbus.http.timeouts import TIMEOUTS, Timeouts
from peerbus.http.tls import Certificate
from peerbus.node.access import AccessControl
from peerbus.node.calls import CALLS
from peerbus.node.described import described_node
from peerbus.node.event_log import EventLog
from peerbus.node.forwarding import Forwarding
from peerbus.node.hook import Hook
from peerbus.node.identity import fill_in_query
from peerbus.node.membership import Membership
from peerbus.node.metrics import node_metrics
from peerbus.node.requeue import Requeue
from peerbus.node.server_client import ServerClient
from peerbus.node.streams import ForwardedStreams
from peerbus.wire.endpoints import ENDPOINTS, NODE_ENDPOINTS, Endpoint
from peerbus.wire.protocol import PushRequest, SubscribeRequest

log = logging.getLogger(__name__)

WORKERS = 8
"""Calls at once that wait for a renewal, or keep one waiting."""


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """The options of peer nodes, the same for all nodes of a command. Times are in seconds, `max_body` is in bytes."""

    index_url: str = "http://127.0.0.1:5000"
    lease_seconds: float = 30.0
    index_timeout: float = 10.0
    threads: int = 16
    max_waiting: int = 1000
    max_body: int = 16 << 20
    max_streams: int = MAX_STREAMS
    advertise: str | None = None
    """The host that others reach a node at, if it is not the one that the node listens on."""
    guards: Guards = NO_GUARDS
    index_token: str | None = None
    """The token that the indexing server asks for when a peer registers."""
    token: str | None = None
    """The token that a node asks its own callers for."""
    certificate: Certificate | None = None
    """With a certificate, nodes are served by https."""
    index_ca: Path | None = None
    """A file with the authorities to trust an https indexing server by; None for the system's."""
    unregister_seconds: float = 3.0
    """Seconds that unregistering may take when a node stops."""
    push_to: str | None = None
    """The URL of the application's hook: messages of explicit subscriptions are pushed to it."""
    timeouts: Timeouts = TIMEOUTS


class PeerNode:
    """One peer, served over HTTP on bound sockets."""

    def __init__(self, peer_id: str, listener: Listener, options: NodeOptions) -> None:
        loop = self._loop = Loop("loop")
        index = self._index = ServerClient(
            loop, options.index_url, options.index_timeout, options.max_waiting, options.index_token, options.index_ca
        )
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="forwarding")
        self.peer_id = peer_id
        self.events = EventLog()
        self.tickets = StreamTickets()
        address = listener.urls(options.advertise, options.certificate is not None)[0]
        self.membership = Membership(
            index, peer_id, address, options.lease_seconds, self.events, options.unregister_seconds
        )
        self._hook = Hook(loop, options.push_to, address, options.max_body, self.membership.subscriptions.is_pushed)
        requeue = Requeue(index, self.membership, self.events, self._workers)
        access = AccessControl(options.token, index) if options.token else None

        def guards(row: Endpoint) -> list[Guard]:
            return access.guards(row) if access else []

        handlers: dict[Endpoint, Handler] = {
            row: Forwarding(
                *(row, index, self.membership, requeue, options.max_body, self._workers, guards(row)),
                self._hook.fields if row.request is SubscribeRequest else None,
            )
            for row in ENDPOINTS
        }
        for row in NODE_ENDPOINTS:
            if row.request is PushRequest:
                handlers[row] = self._hook
            else:
                call = partial(CALLS[row.name], self)
                handlers[row] = CallHandler(row, call, options.max_body, loop.run_steps, guards=guards(row))
        durations = new_durations()
        metrics = metrics_page(durations, lambda: node_metrics(self.streams, self.registered))
        metrics = replace(metrics, guard=access.admit if access else None)
        self._forwarded_streams = ForwardedStreams(index, self.membership, self._workers)
        self._streams = Streams(
            self._forwarded_streams,
            loop,
            options.max_streams,
            [self.tickets.or_else([access.admit] if access else ())],
            partial(fill_in_query, peer_id=peer_id),
        )

        def make_app() -> Flask:
            shown = described_node([*pages("node.html"), metrics], peer_id, options.token is not None)
            return create_app(handlers, shown)

        router = Dispatch(FlaskHandler(when_needed(make_app)), handlers, durations, self._streams).route
        secured = options.certificate is not None
        self._server = Server(
            guarded(router, options.guards, listener.hosts, options.advertise or "", secured),
            loop,
            listener,
            options.threads,
            options.max_body,
            before_stop=self._stop_forwarding,
            timeouts=options.timeouts,
            certificate=options.certificate,
        )
        self.url = self._server.url
        self.stop = self._server.stop
        self.stop_on_signals = self._server.stop_on_signals

    @property
    def registered(self) -> bool:
        """Whether the indexing server knows this peer, as far as this node can tell."""
        return self.membership.registered

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return self._streams.count

    def start(self) -> None:
        """Begin to serve, and register."""
        self._server.start()
        self.membership.start()
        log.info("Peer '%s' serves at %s.", self.peer_id, self.url)

    def leave(self) -> Future[None]:
        """Unregister for good, then stop, in the background."""
        left: Future[None] = Future()
        self._workers.submit(settle, left, self._leave)
        return left

    def wait(self) -> bool:
        """Wait for `stop` and the end of the requests under way; false when some did not end in time."""
        clean = self._server.wait()
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._loop.close()
        log.info("Peer '%s' stopped.", self.peer_id)
        return clean

    def _leave(self) -> None:
        self.membership.stop(keep=False)
        self.stop()

    def _stop_forwarding(self) -> None:
        """Let the peer go away, and answer the calls that still wait for the indexing server."""
        self._forwarded_streams.close()
        self.membership.stop(keep=True)
        self._hook.close()
        self._index.close()
