"""The web pages that may call a server."""

from collections.abc import Collection

from peerbus.application import IN_PARTS, Environ, Headers, Respond, RespondInParts
from peerbus.errors import OriginNotAllowed

ALL = "*"
PREFLIGHT: Headers = [
    ("Access-Control-Allow-Methods", "GET, POST, DELETE"),
    ("Access-Control-Allow-Headers", "Content-Type, Authorization, Last-Event-ID"),
    ("Access-Control-Max-Age", "600"),
]
LONGEST_TOLD = 100


class Origins:
    """Says which pages may call: the server's own, and those whose origin was allowed (CORS, fetch.spec.whatwg.org).

    A browser names the origin of the page with each call to another one, and with each of its own that may change
    something. Without this a page from anywhere could make those calls of ours that need no JSON.
    """

    def __init__(self, allowed: Collection[str]) -> None:
        """`allowed` are origins such as `https://example.com`, or `*` for all."""
        self._all = ALL in allowed
        self._allowed = {origin.rstrip("/").lower() for origin in allowed}

    def admit(self, environ: Environ, respond: Respond) -> Respond | None:
        """How to answer a request with an Origin header, or None when this answered it.

        Raises `OriginNotAllowed`.
        """
        origin: str = environ["HTTP_ORIGIN"]
        if not self._all and origin.lower() not in self._allowed:
            if origin.lower() == f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}".lower():
                return respond
            raise OriginNotAllowed(
                f"Pages from '{origin[:LONGEST_TOLD]}' may not call this server, "
                "unless it is started with --allow-origin and that origin."
            )
        shared = [("Access-Control-Allow-Origin", ALL if self._all else origin)]
        if not self._all:
            shared.append(("Vary", "Origin"))
        if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            respond(204, [*shared, *PREFLIGHT], b"")
            return None
        shared.append(("Access-Control-Expose-Headers", "Retry-After"))
        in_parts: RespondInParts = environ[IN_PARTS]
        environ[IN_PARTS] = lambda status, headers, parts: in_parts(status, [*headers, *shared], parts)
        return lambda status, headers, body: respond(status, [*headers, *shared], body)
