"""The metrics of a peer node."""

from collections.abc import Iterator

from prometheus_client import Metric

from peerbus.http.metrics import gauge


def node_metrics(streams: int, registered: bool) -> Iterator[Metric]:
    """The open streams of a node, and whether its peer is registered."""
    yield gauge("streams", "Open streams.", streams)
    yield gauge("registered", "1 if the indexing server knows this peer, as far as its node can tell.", registered)
