"""A server of a cluster: it serves the shard while it owns it, and else passes all calls on to the owner."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

from peerbus.broker import Broker
from peerbus.cluster.call import CLIENT, is_from_server
from peerbus.cluster.forwarding import Forwarding, Readiness
from peerbus.cluster.ownership import Ownership
from peerbus.cluster.routing import Routing, RoutingOptions
from peerbus.cluster.streams import PassedStreams
from peerbus.cluster.tenure import Tenure
from peerbus.errors import IndexTimeout, IndexUnreachable, NotReady, ShardUnavailable
from peerbus.http.dispatch import Dispatch, HandlerRoute, new_durations
from peerbus.http.event_loop import Loop
from peerbus.http.event_stream import Streams
from peerbus.http.flask_app import FlaskHandler, create_app
from peerbus.http.handler import CallHandler, Handler
from peerbus.http.listener import Listener
from peerbus.http.metrics import gauge, metrics_page
from peerbus.http.middleware import HandlerRouter, guarded
from peerbus.http.pages import pages
from peerbus.http.server import Server
from peerbus.http.types import Head, Request
from peerbus.server import process_memory
from peerbus.server.access import AccessControl
from peerbus.server.calls import livez
from peerbus.server.described import described_index
from peerbus.server.metrics import loop_lag
from peerbus.server.options import ServerOptions
from peerbus.server.service import Service
from peerbus.storage.group_commit import InMemory
from peerbus.wire.endpoints import ENDPOINTS, LIVEZ, SERVER_ENDPOINTS, Access, Endpoint

log = logging.getLogger(__name__)

OF_CLUSTERS = (ShardUnavailable, IndexUnreachable, IndexTimeout)
"""Errors that calls may answer with because of the way to the owner."""


class _Owned(NamedTuple):
    journal: InMemory
    service: Service
    tenure: Tenure


class ClusterServer:
    """One server of a cluster, on bound sockets."""

    def __init__(
        self,
        loop: Loop,
        listener: Listener,
        options: ServerOptions,
        ownership: Ownership,
        routing: RoutingOptions,
        leave: Callable[[], None] = lambda: None,
    ) -> None:
        """The loop is closed in the end. `leave` is called when the server stops and has handed the shard over."""
        process_memory.keep_little()
        self.loop = loop
        self._options = options
        self._ownership = ownership
        self._leave = leave
        self._secured = options.certificate is not None
        self._hosts = listener.hosts
        self._durations = new_durations()
        self._routing = Routing(loop, ownership, routing)
        self._passed = PassedStreams(self._routing)
        rows = [row for row in (*ENDPOINTS, *SERVER_ENDPOINTS) if row.access is not Access.ANYONE]
        self._forwarding = {row: Forwarding(row, self._routing, options.max_body) for row in rows}
        self._passing_on = self._guarded(self._forwarding_router())
        self._owned: _Owned | None = None
        self._is_stopping = False
        self._lock = threading.Lock()
        """Held while the shard is taken over or handed over."""
        self._server = Server(
            self._passing_on,
            loop,
            listener,
            options.threads,
            options.max_body,
            before_stop=self._before_stop,
            timeouts=options.timeouts,
            certificate=options.certificate,
        )
        self.url = self._server.url
        self.stop = self._server.stop
        self.stop_on_signals = self._server.stop_on_signals

    def start(self) -> None:
        """Begin to serve: calls are passed on, or held."""
        self._routing.start()
        self.loop.measure_lag()
        self._server.start()
        process_memory.switch_often()
        process_memory.collect_rarely()
        log.info("This server of the cluster serves at %s, for others at %s.", self.url, self._ownership.url)

    def become_owner(self, journal: InMemory) -> None:
        """Serve the shard with the state in `journal`, and no longer with another. Blocks.

        From any other thread than the loop's.
        Raises `NotReady` if the server is stopping, and the errors of the journal.
        """
        with self._lock:
            if self._is_stopping:
                raise NotReady("The server is stopping.")
            self._end_tenure("it owns the shard anew.")
            tenure = Tenure(journal, self._forwarding, self._passed)
            service = Service(self.loop, self._options, journal, self._durations, tenure, OF_CLUSTERS)
            service.start()
            self._owned = _Owned(journal, service, tenure)
            self._route(self._guarded(service.router), is_serving=True)
            process_memory.exclude_present()
        log.info("This server serves shard %d, epoch %s.", self._ownership.shard, service.broker.stats().epoch)

    def step_down(self, reason: str, journal: InMemory | None = None) -> None:
        """Serve the shard no longer, if it does, and with this `journal`. Blocks.

        Changes that were made are kept first, as far as the journal can. Calls and streams that are under way, and
        those that come from now on, are answered by the next owner. From any other thread than the loop's.
        """
        with self._lock:
            if journal is None or (self._owned and self._owned.journal is journal):
                self._end_tenure(reason)

    def wait(self) -> bool:
        """Wait for `stop`, then for the requests under way; false if some did not end in time."""
        clean = self._server.wait()
        self._routing.close()
        self.loop.close()
        log.info("This server of the cluster stopped.")
        return clean

    def _before_stop(self) -> None:
        with self._lock:
            self._is_stopping = True
        self.step_down("it stops.")
        self._leave()
        self._routing.stop()

    def _end_tenure(self, reason: str) -> None:
        if self._owned is None:
            return
        log.info("This server serves shard %d no longer: %s", self._ownership.shard, reason)
        (_, service, tenure), self._owned = self._owned, None
        tenure.end()
        self._route(self._passing_on, is_serving=False)
        service.end_waiting()
        service.close()
        del service, tenure
        process_memory.collect_all()

    def _route(self, router: HandlerRouter, *, is_serving: bool) -> None:
        async def replace_router() -> None:
            self._server.replace_router(router)
            self._routing.serves(is_serving=is_serving)

        self.loop.wait_for(replace_router())

    def _guarded(self, router: HandlerRouter) -> HandlerRouter:
        """`router` behind its guards, which another server of the cluster has applied to the calls it passes on."""
        own_name = urlsplit(self._ownership.url).hostname or ""
        for_callers = guarded(router, self._options.guards, self._hosts, own_name, self._secured)

        def route(head: Head) -> HandlerRoute:
            if is_from_server(head, self._ownership.secret):
                return router(head).behind([_name_caller], ())
            return for_callers(head)

        return route

    def _forwarding_router(self) -> HandlerRouter:
        options = self._options
        handlers: dict[Endpoint, Handler] = {**self._forwarding}
        for row in SERVER_ENDPOINTS:
            if row is LIVEZ:
                handlers[row] = CallHandler(row, partial(livez, None), options.max_body, self.loop.run_steps)
            elif row.access is Access.ANYONE:
                handlers[row] = Readiness(row, self._routing)
        streams = Streams(self._passed, self.loop, options.max_streams)
        metrics = metrics_page(
            self._durations,
            lambda: [gauge("streams", "Open streams.", streams.count), loop_lag(self.loop)],
        )
        if options.tokens:
            access = AccessControl(
                Broker(options.limits), options.tokens
            )  # it knows the server's tokens, and no peer's
            metrics = replace(metrics, guard=access.admit_to_metrics, callers=Access.METRICS.value)
        shown = described_index(
            [*pages("index.html"), metrics], options.limits, options.tokens is not None, OF_CLUSTERS
        )
        return Dispatch(FlaskHandler(create_app(handlers, shown)), handlers, self._durations, streams).route


def _name_caller(request: Request) -> None:
    """Take a request that another server passed on for one of the caller that it names."""
    request.client = request.head.headers.get(CLIENT, request.client)
