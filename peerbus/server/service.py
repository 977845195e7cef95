"""Everything that is made of one broker and its journal: calls, streams, pages, notices, pushes and housekeeping."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from peerbus.errors import PeerbusError
from peerbus.histogram import Durations
from peerbus.http.dispatch import Dispatch
from peerbus.http.event_loop import Loop
from peerbus.http.event_stream import Source, Streams
from peerbus.http.flask_app import FlaskHandler, create_app
from peerbus.http.handler import CallHandler, Guard, Handler
from peerbus.http.metrics import metrics_page
from peerbus.http.pages import pages
from peerbus.http.stream_tickets import StreamTickets
from peerbus.server import process_memory
from peerbus.server.access import AccessControl
from peerbus.server.calls import CALLS
from peerbus.server.described import described_index
from peerbus.server.housekeeping import Housekeeping
from peerbus.server.metrics import broker_metrics
from peerbus.server.notifier import Notifier
from peerbus.server.options import ServerOptions
from peerbus.server.peer_addresses import PeerAddresses
from peerbus.server.pusher import Pusher
from peerbus.server.streams import BrokerStreams
from peerbus.storage.group_commit import InMemory
from peerbus.wire.endpoints import ENDPOINTS, SERVER_ENDPOINTS, STREAM_TICKET, Access, Endpoint
from peerbus.wire.protocol import RegisterRequest, SubscribeRequest

ADDRESSES_AT_ONCE = 200
"""Peers to notify whose addresses are looked up at once."""


class Wrapper(Protocol):
    """Puts something around the calls and the streams of a service."""

    def call(self, endpoint: Endpoint, handler: Handler) -> Handler:
        """The handler that answers the calls of an endpoint, in place of `handler`."""

    def streams(self, source: Source) -> Source:
        """The source of streams, in place of `source`."""


class Bare:
    """Wraps nothing."""

    def call(self, endpoint: Endpoint, handler: Handler) -> Handler:  # noqa: ARG002  # all stay as they are
        """`handler`."""
        return handler

    def streams(self, source: Source) -> Source:
        """`source`."""
        return source


class Service:
    """One broker, served by the routes of `router`. It is opened, started and closed by the server that has it."""

    def __init__(
        self,
        loop: Loop,
        options: ServerOptions,
        journal: InMemory,
        durations: Durations,
        wrapper: Wrapper | None = None,
        more_errors: tuple[type[PeerbusError], ...] = (),
    ) -> None:
        """Begin with the state in `journal`; raises `StorageError` if it cannot be read.

        `durations` count the requests; `more_errors` are those with which the wrapped calls answer, too. The loop
        stays its owner's.
        """
        limits, wrapper = options.limits, wrapper or Bare()
        self._notifier = Notifier(loop, options.peer_ca)
        self._loop = loop
        self._journal = journal
        with process_memory.without_collections():
            self.broker = journal.open(limits, self._topic_deleted)
        self._housekeeping = Housekeeping(self.broker, loop)
        self._pusher = Pusher(self.broker, journal, loop, options.peer_ca, options.pauses)
        access = self._access = AccessControl(self.broker, options.tokens) if options.tokens else None
        tickets = StreamTickets(access.check_of_peer) if access else StreamTickets()
        calls = {name: partial(call, self.broker) for name, call in CALLS.items()} | {STREAM_TICKET.name: tickets.issue}
        handlers = {
            row: wrapper.call(
                row,
                CallHandler(
                    row,
                    calls[row.name],
                    options.max_body,
                    loop.run_steps,
                    journal.after_commit,
                    _guards(row, access, options.addresses),
                ),
            )
            for row in (*ENDPOINTS, *SERVER_ENDPOINTS)
        }
        source = BrokerStreams(self.broker, journal, loop, limits.max_wait, options.ping_seconds, options.patience)
        admit = tickets.or_else([access.admit_peer] if access else ())
        streams = Streams(wrapper.streams(source), loop, options.max_streams, [admit])
        metrics = metrics_page(
            durations,
            lambda: broker_metrics(
                self.broker, journal, streams.count, self._pusher.outcomes, loop, options.metrics_queues
            ),
        )
        if access:
            metrics = replace(metrics, guard=access.admit_to_metrics, callers=Access.METRICS.value)
        shown = described_index([*pages("index.html"), metrics], limits, options.tokens is not None, more_errors)
        flask = FlaskHandler(create_app(handlers, shown))
        self.router = Dispatch(flask, handlers, durations, streams).route

    def start(self) -> None:
        """Begin to keep changes, and to do what is due."""
        self._journal.start(self._loop.call)
        self._housekeeping.start()

    def end_waiting(self) -> None:
        """Let waiting pulls and streams end, and later ones wait for nothing."""
        self.broker.close()

    def close(self) -> None:
        """End notices and pushes, and keep the remaining changes. From any other thread than the loop's."""
        self._notifier.close()
        self._pusher.close()
        self._journal.close()
        self._housekeeping.close()
        if self._access:
            self._access.forget()

    def _topic_deleted(self, topic: str, peers: Sequence[str]) -> None:
        slices = (peers[begin : begin + ADDRESSES_AT_ONCE] for begin in range(0, len(peers), ADDRESSES_AT_ONCE))
        addresses = (pair for some in slices for pair in self.broker.addresses(some).items())
        self._notifier.topic_deleted(topic, addresses)


def _guards(row: Endpoint, access: AccessControl | None, addresses: PeerAddresses) -> list[Guard]:
    """The guards of an endpoint: tokens, and the addresses that peers may register."""
    guards = access.guards(row) if access else []
    return [*guards, addresses.admit] if row.request in (RegisterRequest, SubscribeRequest) else guards
