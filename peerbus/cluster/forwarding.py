"""The handlers of a server that does not own the shard: each call is passed on to the owner."""

from collections.abc import Sequence

from peerbus.cluster.call import ForwardedCall
from peerbus.cluster.routing import Failure, Routing
from peerbus.future import Future
from peerbus.http.handler import MOST_OF_ANYONE, Guard
from peerbus.http.types import Reply, Request
from peerbus.wire.endpoints import Endpoint

READY_SECONDS = 2.0
"""How long the owner may take to say that it is ready."""


class Forwarding:
    """The handler that passes an endpoint's calls on; replies and errors of the owner come back unchanged."""

    guards: Sequence[Guard] = ()

    def __init__(self, endpoint: Endpoint, routing: Routing, max_body: int) -> None:
        self.max_body = max_body
        self._endpoint = endpoint
        self._routing = routing

    def __call__(self, request: Request) -> Future[Reply]:
        """Pass a call on; raises `TooManyWaiting`, and `NotOwner` for one that another server passed on by mistake."""
        return self.go_on(request)

    def go_on(self, request: Request, failed: Failure | None = None, waited: float = 0.0) -> Future[Reply]:
        """Pass a call on, which `failed` here before, or `waited` for so many seconds."""
        call = ForwardedCall.of(request, self._endpoint, self._routing.sender)
        if waited:
            call.until -= waited
            call.shorten()
        if call.is_forwarded and failed is None:
            self._routing.check_is_ours()
        if call.wait:
            request.waits = True
            request.on_gone = call.give_up
        return self._routing.pass_on(call, failed)


class Readiness:
    """The handler of `GET /readyz`: a server is ready if the owner that it knows is."""

    guards: Sequence[Guard] = ()
    max_body = MOST_OF_ANYONE

    def __init__(self, endpoint: Endpoint, routing: Routing) -> None:
        self._endpoint = endpoint
        self._routing = routing

    def __call__(self, request: Request) -> Future[Reply]:
        """Ask the owner; raises `NotReady` if there is none."""
        return self._routing.ask(ForwardedCall.of(request, self._endpoint, self._routing.sender), READY_SECONDS)
