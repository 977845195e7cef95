"""The peer node: a small web service beside an application, which forwards its calls to the indexing server."""

from peerbus.peer.launcher import run_nodes
from peerbus.peer.node import NodeOptions, PeerNode

__all__ = ["NodeOptions", "PeerNode", "run_nodes"]
