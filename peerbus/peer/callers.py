"""What a peer node asks of its own callers."""

from collections.abc import Callable
from hmac import compare_digest
from typing import Any

from peerbus.application import Environ
from peerbus.endpoints import Access, Endpoint
from peerbus.errors import Unauthorized
from peerbus.later import Later
from peerbus.peer.index import Index
from peerbus.tokens import carried, hash_of
from peerbus.web import Handler, Reply


class Callers:
    """Asks those who call a node for its token; the token of its peer will do as well."""

    def __init__(self, token: str, index: Index) -> None:
        self._expected = hash_of(token)
        self._index = index

    def ask(self, environ: Environ) -> None:
        """Raise `Unauthorized` for who does not show it."""
        shown = hash_of(carried(environ.get("HTTP_AUTHORIZATION", "")))
        of_peer = hash_of(self._index.peer_token) if self._index.peer_token else b""
        if not (compare_digest(shown, self._expected) or compare_digest(shown, of_peer)):
            raise Unauthorized("This peer node asks for its token: send it as 'Authorization: Bearer TOKEN'.")

    def admit(self, environ: Environ) -> Callable[[Any], None]:
        """Ask, and then ask nothing more about the request."""
        self.ask(environ)
        return lambda _: None

    def asked(self, endpoint: Endpoint[Any, Any], handler: Handler) -> Handler:
        """The handler of a call, behind the question, unless anyone may make the call."""
        if endpoint.access is Access.ANYONE:
            return handler

        def handle(environ: Environ) -> Reply | Later[Reply]:
            self.ask(environ)
            return handler(environ)

        return handle
