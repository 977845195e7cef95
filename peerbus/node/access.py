"""Access control for a peer node's own callers."""

from hmac import compare_digest

from peerbus.errors import Unauthorized
from peerbus.http.handler import Guard
from peerbus.http.types import Request
from peerbus.node.server_client import ServerClient
from peerbus.wire.endpoints import Access, Endpoint
from peerbus.wire.tokens import carried, hash_of


class AccessControl:
    """Requires the node's token from its callers; its peer's token is accepted, too."""

    def __init__(self, token: str, index: ServerClient) -> None:
        self._expected = hash_of(token)
        self._index = index

    def admit(self, request: Request) -> None:
        """Admit a caller that shows the token; raises `Unauthorized`."""
        shown = hash_of(carried(request.head.headers.get("authorization", "")))
        of_peer = hash_of(self._index.peer_token) if self._index.peer_token else b""
        if not (compare_digest(shown, self._expected) or compare_digest(shown, of_peer)):
            raise Unauthorized("This peer node asks for its token: send it as 'Authorization: Bearer TOKEN'.")

    def guards(self, endpoint: Endpoint) -> list[Guard]:
        """The guards of an endpoint."""
        return [] if endpoint.access is Access.ANYONE else [self.admit]
