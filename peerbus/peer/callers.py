"""What a peer node asks of its own callers."""

from hmac import compare_digest
from typing import Any

from peerbus.endpoints import Access, Endpoint
from peerbus.errors import Unauthorized
from peerbus.later import Later
from peerbus.peer.index import Index
from peerbus.serving import Environ
from peerbus.tokens import carried, hash_of
from peerbus.web import Handler, Reply


def asking_for(token: str, index: Index, endpoint: Endpoint[Any, Any], handler: Handler) -> Handler:
    """`handler`, for callers that show `token` or the peer's own, unless anyone may make the call."""
    if endpoint.access is Access.ANYONE:
        return handler
    expected = hash_of(token)

    def handle(environ: Environ) -> Reply | Later[Reply]:
        shown = hash_of(carried(environ.get("HTTP_AUTHORIZATION", "")))
        of_peer = hash_of(index.peer_token) if index.peer_token else b""
        if not (compare_digest(shown, expected) or compare_digest(shown, of_peer)):
            raise Unauthorized("This peer node asks for its token: send it as 'Authorization: Bearer TOKEN'.")
        return handler(environ)

    return handle
