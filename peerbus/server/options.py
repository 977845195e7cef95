"""The options of an indexing server."""

from dataclasses import dataclass, field
from pathlib import Path

from peerbus.broker import Limits
from peerbus.http.event_stream import MAX_STREAMS
from peerbus.http.middleware import NO_GUARDS, Guards
from peerbus.http.timeouts import TIMEOUTS, Timeouts
from peerbus.http.tls import Certificate
from peerbus.server.access import Tokens
from peerbus.server.peer_addresses import PeerAddresses
from peerbus.server.pusher import Pauses
from peerbus.server.streams import PATIENCE_SECONDS, PING_SECONDS


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
