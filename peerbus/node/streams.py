"""Streams of a peer node: the indexing server's, sent on."""

from peerbus.errors import NotReady
from peerbus.http.event_stream import Stream, Wanted
from peerbus.node.membership import Membership
from peerbus.node.server_client import ServerClient


class ForwardedStreams:
    def __init__(self, index: ServerClient, membership: Membership) -> None:
        self._index = index

    async def open(self, wanted: Wanted) -> Stream:
        raise NotReady("not yet")

    def close(self) -> None:
        pass
