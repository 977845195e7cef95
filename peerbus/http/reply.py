"""The one place that writes bodies and turns errors into statuses."""

import logging
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as MethodNotAllowedByRoute

from peerbus.errors import BadRequest, InternalError, MethodNotAllowed, NotFound, PeerbusError, Unauthorized
from peerbus.wire.protocol import Answer, ErrorAnswer

log = logging.getLogger(__name__)

Headers = list[tuple[str, str]]
LONGEST_CALL = 200
"""Characters of a call's method and path that are told and logged."""
JSON: Headers = [("Content-Type", "application/json")]
_encode = msgspec.json.Encoder().encode


class Reply(NamedTuple):
    """A status, a JSON body and its headers, ready to be sent; `take_back` is called if nobody is there to take it."""

    status: int
    body: bytes
    headers: Headers = JSON
    take_back: Callable[[], None] | None = None


def success(answer: Answer, take_back: Callable[[], None] | None = None) -> Reply:
    """The reply to a call that did what was asked."""
    return Reply(200, _encode(answer), JSON, take_back)


def failure(error: Exception, call: str) -> Reply:
    """The reply to `call`, which raised `error`.

    An error of the catalogue is the caller's to read. Anything else is a fault of ours: its trace goes to
    the log, and none of it to the caller.
    """
    call = call[:LONGEST_CALL]
    known = _in_catalogue(error, call)
    if known.status == InternalError.status:
        log.error("%s failed", call, exc_info=error)
    else:
        log.info("%s: %d %s: %s", call, known.status, known.code, known.message)
    headers = JSON
    if known.retry_after is not None:
        headers = [*headers, ("Retry-After", str(known.retry_after))]
    if known.status == Unauthorized.status:
        headers = [*headers, ("WWW-Authenticate", "Bearer")]
    if isinstance(error, MethodNotAllowedByRoute):
        headers = [*headers, ("Allow", _methods(error))]
    return Reply(known.status, _encode(ErrorAnswer(known.code, known.message)), headers)


def _in_catalogue(error: Exception, call: str) -> PeerbusError:
    match error:
        case PeerbusError():
            return error
        case HTTPException(code=404):
            return NotFound(f"There is no call {call}.")
        case MethodNotAllowedByRoute():
            return MethodNotAllowed(f"There is no call {call}: this path takes {_methods(error)}.")
        case HTTPException(code=int(code)) if code < InternalError.status:
            return BadRequest(f"{call} is not a valid request: {error.description}")
        case _:
            return InternalError("The server failed at this call; its log says why.")


def _methods(error: MethodNotAllowedByRoute) -> str:
    return ", ".join(sorted(error.valid_methods or ()))
