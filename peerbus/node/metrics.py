"""The metrics of a peer node."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import Metric

from peerbus.http.metrics import gauge

if TYPE_CHECKING:
    from peerbus.node.app import PeerNode


def node_metrics(node: "PeerNode") -> Iterator[Metric]:
    """How a node stands with the indexing server."""
    yield gauge("streams", "Streams open.", node.streams)
    yield gauge(
        "registered", "Whether the indexing server knows this peer, as far as its node can tell.", node.registered
    )
