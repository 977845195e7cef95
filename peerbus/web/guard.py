"""What stands in front of an application: who is refused before anything of a request is read but its head."""

from collections.abc import Sequence
from dataclasses import dataclass

from peerbus.application import Application, Environ, Respond
from peerbus.errors import PeerbusError
from peerbus.web.hosts import Hosts, is_loopback
from peerbus.web.origins import Origins
from peerbus.web.rate_limit import RateLimit
from peerbus.web.reply import failure


@dataclass(frozen=True, slots=True)
class Guards:
    """Who may call, beside who may anyway; the same for indexing servers and peer nodes."""

    hosts: Sequence[str] = ()
    """Names that the server is called by; with none, and not listening on loopback alone, any name is."""
    origins: Sequence[str] = ()
    """Origins of pages that may call, `*` for all."""
    rate_limit: int | None = None
    """Requests a second that each client may make."""


NO_GUARDS = Guards()


def guarded(app: Application, guards: Guards, listening_on: str, own_name: str = "") -> Application:
    """`app` behind its guards, served at the address `listening_on`, which may be told to others by `own_name`."""
    hosts = Hosts([*guards.hosts, own_name]) if guards.hosts or is_loopback(listening_on) else None
    known = hosts.known if hosts else ()
    origins = Origins(guards.origins)
    rate_limit = RateLimit(guards.rate_limit) if guards.rate_limit else None

    def enter(environ: Environ, respond: Respond) -> None:
        try:
            if hosts and environ["HTTP_HOST"] not in known:
                hosts.check(environ["HTTP_HOST"])
            if "HTTP_ORIGIN" in environ:
                admitted = origins.admit(environ, respond)
                if admitted is None:
                    return
                respond = admitted
            if rate_limit:
                rate_limit.take(environ["REMOTE_ADDR"])
        except PeerbusError as error:
            reply = failure(error, f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
            respond(reply.status, reply.headers, reply.body)
            return
        app(environ, respond)

    return enter
