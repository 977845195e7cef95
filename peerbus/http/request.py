"""Reading a request: what is refused at the door, and the body or query that is let in."""

from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from peerbus.errors import BadRequest, TooLarge, UnsupportedMediaType
from peerbus.http.types import Environ
from peerbus.wire.fields import describe_fault
from peerbus.wire.protocol import Request

R = TypeVar("R", bound=Request)

LONGEST_FAULT = 500


def read_body(environ: Environ, max_bytes: int) -> bytes:
    """The whole body, empty if there is none; raises `TooLarge` without reading more than `max_bytes`.

    A chunked body has no declared length and is read until it ends or is too large. Raises `BadRequest` for a
    body that ends before its declared length, or comes too slowly (`peerbus.http.timeouts`).
    """
    declared = environ.get("CONTENT_LENGTH")
    if declared:
        length = int(declared.lstrip("0") or "0")
        if length > max_bytes:
            raise _too_large(max_bytes)
    elif "HTTP_TRANSFER_ENCODING" in environ:
        length = max_bytes + 1
    else:
        return b""
    source = environ.get("wsgi.input")
    body: bytes = source.read(length) if source else b""
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    if environ.pop("wsgi.input", None) is None:
        raise BadRequest("The body came too slowly, or not whole: the connection is closed.")
    if declared and len(body) < length:
        raise BadRequest(f"The body ended after {len(body)} of {length} bytes.")
    return body


def check_media_type(environ: Environ) -> None:
    """Raise `UnsupportedMediaType` unless the body says that it is JSON."""
    content_type: str = environ.get("CONTENT_TYPE", "")
    if content_type != "application/json" and content_type.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType(
            "The body must say that it is JSON: add the header 'Content-Type: application/json'."
        )


def check_no_query(environ: Environ) -> None:
    """Raise `BadRequest` if there are fields in the query string too, which nobody would read."""
    if environ["QUERY_STRING"]:
        raise BadRequest("Expected all fields in the body, got some in the query string - at $")


def decode_body(body: bytes, decoder: msgspec.json.Decoder[R]) -> R:
    """The request in a JSON body; raises `BadRequest` with the path of the fault."""
    decoder.type.check_entries(body)
    try:
        return decoder.decode(body if body.isascii() else body.decode())
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from None
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None
    except msgspec.ValidationError as error:
        raise BadRequest(_fault(error, decoder.type)) from None
    except msgspec.DecodeError as error:
        raise BadRequest(f"The body is not valid JSON: {error}.") from None


def decode_query(query: str, request: type[R]) -> R:
    """The request in a query string; raises `BadRequest` with the path of the fault."""
    fields: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in fields:
            raise BadRequest(f"Expected one value, got several - at $.{name}")
        fields[name] = value
    try:
        return msgspec.convert(fields, request, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest(_fault(error, request)) from None


def _fault(error: msgspec.ValidationError, request: type[Request]) -> str:
    """What is wrong and where; msgspec leaves the path out where that is the request as a whole."""
    fault = describe_fault(error, request)
    return (fault if " - at $" in fault else f"{fault} - at $")[:LONGEST_FAULT]


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The body is larger than {max_bytes} bytes, the most this server takes.")
