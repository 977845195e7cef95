"""The peer node: a small web service beside an application, which forwards its calls to the indexing server."""

from peerbus.node.app import NodeOptions, PeerNode
from peerbus.node.launcher import run_nodes

__all__ = ["NodeOptions", "PeerNode", "run_nodes"]
