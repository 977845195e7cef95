"""Handlers: what turns a request into a reply."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from peerbus.future import Future
from peerbus.http.reply import Reply, success
from peerbus.http.request import check_media_type, check_no_query, decode_body, decode_query, read_body
from peerbus.http.types import Environ
from peerbus.wire.endpoints import Access, Endpoint
from peerbus.wire.protocol import Answer, PullRequest

log = logging.getLogger(__name__)

MOST_OF_ANYONE = 1 << 16
"""Bytes of the largest body of calls that anyone may make."""
Handler = Callable[[Environ], Reply | Future[Reply]]
"""Answers a request, now or later, or raises what the caller did wrong."""

WAITS = "peerbus.waits"
"""In a request, by its handler: its answer may wait for a message as long as the caller said."""

Keep = Callable[[Reply], Reply | Future[Reply]]
"""Holds a reply back until what it tells of is kept for good."""
Admit = Callable[[Environ], Callable[[Any], None]]
"""Lets a caller in, before its body is read, or raises; what it returns is then asked about the request itself."""


def answering(
    endpoint: Endpoint,
    call: Callable[[Any], Answer | Future[Any]],
    max_body: int,
    keep: Keep = lambda reply: reply,
    admits: Sequence[Admit] = (),
) -> Handler:
    """The handler that decodes a request, gives it to `call`, and logs what that answers.

    The fields come from the body; GET and DELETE take them from the query string where there is no body.
    `keep` is given the replies of calls that may change something. Each of `admits` may refuse a request.
    """
    decoder = msgspec.json.Decoder(endpoint.request)
    request_type, changes = endpoint.request, endpoint.changes
    post, level = endpoint.method == "POST", endpoint.level if changes else logging.DEBUG
    if endpoint.access is Access.ANYONE:
        max_body = min(max_body, MOST_OF_ANYONE)

    def finish(answer: Answer, take_back: Callable[[], None] | None = None) -> Reply | Future[Reply]:
        if log.isEnabledFor(level):
            log.log(level if getattr(answer, "created", True) else logging.DEBUG, "%s", answer.message)
        reply = success(answer, take_back)
        return keep(reply) if changes else reply

    def handle(environ: Environ) -> Reply | Future[Reply]:
        checks = [admit(environ) for admit in admits] if admits else ()
        body = read_body(environ, max_body)
        if body:
            check_media_type(environ)
        if body or post:
            check_no_query(environ)
            request = decode_body(body or b"{}", decoder)
        else:
            request = decode_query(environ["QUERY_STRING"], request_type)
        for check in checks:
            check(request)
        if isinstance(request, PullRequest) and request.wait:
            environ[WAITS] = True
        result = call(request)
        return result.then(lambda handover: finish(*handover)) if isinstance(result, Future) else finish(result)

    return handle
