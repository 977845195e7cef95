"""The one place that writes bodies, maps errors to statuses, and makes the heads of answers."""

import logging
from collections.abc import Callable, Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time

import msgspec
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as MethodNotAllowedByRoute

from peerbus.errors import (
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PeerbusError,
    Unauthorized,
    UnsupportedEncoding,
)
from peerbus.http import offsets
from peerbus.http.types import BODY_PIECE, Headers, LargeBody, Reply
from peerbus.wire.protocol import Answer, ErrorAnswer

log = logging.getLogger(__name__)

LONGEST_CALL = 200
"""Characters of a call's method and path that errors and logs show."""
JSON: Headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
MEASURED_WHOLE = 100
SAMPLED_EVERY = 13
"""Of more values than that, every so many is measured, to decide how a body is made: measuring a thousand of
100 bytes takes 15 us, a seventh of what the whole pull takes."""
NO_MESSAGES = b'"messages":[]'
"""No string of an answer has this in it: quotes in strings are escaped."""
_encode = msgspec.json.Encoder(enc_hook=offsets.encoded).encode


def success(answer: Answer, values: Sequence[bytes] = (), on_lost: Callable[[], None] | None = None) -> Reply:
    """The reply to a call that succeeded.

    `values` are JSON, and become the `messages` of an answer that is given without any.
    """
    encoded = _encode(answer)
    if not values:
        return Reply(200, encoded, JSON, on_lost)
    before, _, after = encoded.partition(NO_MESSAGES)
    sampled = 1 if len(values) <= MEASURED_WHOLE else SAMPLED_EVERY
    if sum(map(len, values[::sampled])) * sampled > BODY_PIECE:
        return Reply(200, LargeBody(before + b'"messages":[', values, b"]" + after), JSON, on_lost)
    return Reply(200, b'%b"messages":[%b]%b' % (before, b",".join(values), after), JSON, on_lost)


def failure(error: Exception, call: str) -> Reply:
    """The reply to `call`, which raised `error`.

    The caller gets the message of an error in the catalogue. Any other error is a fault of the server: its trace
    goes to the log, and none of it to the caller.
    """
    known = _logged(error, call)
    headers = [*JSON]
    if known.retry_after is not None:
        headers.append(("Retry-After", str(known.retry_after)))
    if known.status == Unauthorized.status:
        headers.append(("WWW-Authenticate", "Bearer"))
    if isinstance(error, UnsupportedEncoding):
        headers.append(("Accept-Encoding", "identity"))
    if isinstance(error, MethodNotAllowedByRoute):
        headers.append(("Allow", _methods(error)))
    return Reply(known.status, _body(known), headers)


def failure_body(error: Exception, call: str) -> bytes:
    """The body alone of the reply that `failure` makes."""
    return _body(_logged(error, call))


def unreadable(error: PeerbusError) -> Reply:
    """The reply to bytes that cannot be read as a request; it is not logged, because it tells of no call."""
    return Reply(error.status, _body(error), JSON)


def _body(error: PeerbusError) -> bytes:
    return _encode(ErrorAnswer(error.code, error.message))


def _logged(error: Exception, call: str) -> PeerbusError:
    call = call[:LONGEST_CALL]
    known = _in_catalogue(error, call)
    if known.status == InternalError.status:
        log.error("%s failed", call, exc_info=error)
    else:
        log.info("%s: %d %s: %s", call, known.status, known.code, known.message)
    return known


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


def head_of(status: int, headers: Headers, length: int | None, connection: str, *, chunked: bool = False) -> bytes:
    """The head of an answer, with the date.

    `length` is the length of the body, None where the body does not have one yet; `connection` is the value of that
    header, empty for none. Raises `ValueError` for a status or a header that cannot be sent.
    """
    lines = _lines(status, tuple(headers), connection, int(time()))
    if chunked:
        return lines + b"transfer-encoding: chunked\r\n\r\n"
    if length is None or status in WITHOUT_BODY:
        return lines + b"\r\n"
    return b"%bcontent-length: %d\r\n\r\n" % (lines, length)


@lru_cache
def _lines(status: int, headers: tuple[tuple[str, str], ...], connection: str, now: int) -> bytes:
    """The lines of a head that are the same for all answers of this kind in this second."""
    fields = "".join([f"{name.lower()}: {value}\r\n" for name, value in headers])
    if connection:
        fields += f"connection: {connection}\r\n"
    fields += f"date: {formatdate(now, usegmt=True)}\r\n"
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{fields}".encode("latin-1")
