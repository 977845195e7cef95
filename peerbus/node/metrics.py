"""The metrics of a peer node."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import Metric

from peerbus.http.metrics import gauge

if TYPE_CHECKING:
    from peerbus.node.app import PeerNode


def node_metrics(node: "PeerNode") -> Iterator[Metric]:
    """The open streams of a node, and whether its peer is registered."""
    yield gauge("streams", "Open streams.", node.streams)
    yield gauge("registered", "1 if the indexing server knows this peer, as far as its node can tell.", node.registered)
