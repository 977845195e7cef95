"""The indexing server: a service, served over HTTP on bound sockets."""

import logging

from peerbus.http.dispatch import new_durations
from peerbus.http.event_loop import Loop
from peerbus.http.listener import Listener
from peerbus.http.middleware import guarded
from peerbus.http.server import Server
from peerbus.server import process_memory
from peerbus.server.options import ServerOptions
from peerbus.server.service import Service
from peerbus.storage.group_commit import InMemory

log = logging.getLogger(__name__)


class IndexingServer:
    """One broker served over HTTP on bound sockets."""

    def __init__(self, listener: Listener, options: ServerOptions, journal: InMemory | None = None) -> None:
        """Begin with the state in `journal`, by default empty; raises `StorageError` if it cannot be read."""
        process_memory.keep_little()
        self.loop = Loop("loop")
        self._service = Service(self.loop, options, journal or InMemory(), new_durations())
        self.broker = self._service.broker
        self._server = Server(
            guarded(self._service.router, options.guards, listener.hosts, secured=options.certificate is not None),
            self.loop,
            listener,
            options.threads,
            options.max_body,
            before_stop=self._service.end_waiting,
            timeouts=options.timeouts,
            certificate=options.certificate,
        )
        self.url = self._server.url
        self.stop = self._server.stop
        self.stop_on_signals = self._server.stop_on_signals

    def start(self) -> None:
        """Begin to serve."""
        self._service.start()
        self.loop.measure_lag()
        self._server.start()
        process_memory.switch_often()
        process_memory.collect_rarely()
        log.info("The indexing server serves at %s, epoch %s.", self.url, self.broker.stats().epoch)

    def wait(self) -> bool:
        """Wait for `stop`, then for the requests under way; false if some did not end in time."""
        clean = self._server.wait()
        self._service.close()
        self.loop.close()
        log.info("The indexing server stopped.")
        return clean
