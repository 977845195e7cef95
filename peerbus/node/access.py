"""Access control for a peer node's own callers."""

from collections.abc import Callable
from hmac import compare_digest
from typing import Any

from peerbus.errors import Unauthorized
from peerbus.future import Future
from peerbus.http.handler import Handler
from peerbus.http.reply import Reply
from peerbus.http.types import Environ
from peerbus.node.server_client import ServerClient
from peerbus.wire.endpoints import Access, Endpoint
from peerbus.wire.tokens import carried, hash_of


class AccessControl:
    """Requires the node's token from its callers; its peer's token is accepted, too."""

    def __init__(self, token: str, index: ServerClient) -> None:
        self._expected = hash_of(token)
        self._index = index

    def ask(self, environ: Environ) -> None:
        """Raise `Unauthorized` for a request without a valid token."""
        shown = hash_of(carried(environ.get("HTTP_AUTHORIZATION", "")))
        of_peer = hash_of(self._index.peer_token) if self._index.peer_token else b""
        if not (compare_digest(shown, self._expected) or compare_digest(shown, of_peer)):
            raise Unauthorized("This peer node asks for its token: send it as 'Authorization: Bearer TOKEN'.")

    def admit(self, environ: Environ) -> Callable[[Any], None]:
        """Check the token; the request itself needs no further check."""
        self.ask(environ)
        return lambda _: None

    def asked(self, endpoint: Endpoint, handler: Handler) -> Handler:
        """A call's handler with the check before it; calls that anyone may make have none."""
        if endpoint.access is Access.ANYONE:
            return handler

        def handle(environ: Environ) -> Reply | Future[Reply]:
            self.ask(environ)
            return handler(environ)

        return handle
