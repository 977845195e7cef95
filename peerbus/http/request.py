"""Decoding a request: the fields in its body or its query string."""

from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from peerbus.errors import BadRequest, UnsupportedMediaType
from peerbus.http.types import Head
from peerbus.wire.fields import describe_fault
from peerbus.wire.protocol import Request as Fields

R = TypeVar("R", bound=Fields)

JSON = "application/json"
LONGEST_FAULT = 500


def check_media_type(head: Head) -> None:
    """Raise `UnsupportedMediaType` unless the head says that the body is JSON."""
    content_type = head.headers.get("content-type", "")
    if content_type != JSON and content_type.partition(";")[0].strip().lower() != JSON:
        raise UnsupportedMediaType(
            "The body must say that it is JSON: add the header 'Content-Type: application/json'."
        )


def check_no_query(head: Head) -> None:
    """Raise `BadRequest` for fields in the query string of a request that takes its fields from the body."""
    if head.query:
        raise BadRequest("Expected all fields in the body, got some in the query string - at $")


def decode_body(body: bytes, decoder: msgspec.json.Decoder[R]) -> R:
    """The fields in a JSON body; raises `BadRequest` with the path of the fault."""
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


def decode_query(query: str, fields: type[R]) -> R:
    """The fields in a query string; raises `BadRequest` with the path of the fault."""
    named: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in named:
            raise BadRequest(f"Expected one value, got several - at $.{name}")
        named[name] = value
    try:
        return msgspec.convert(named, fields, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest(_fault(error, fields)) from None


def _fault(error: msgspec.ValidationError, fields: type[Fields]) -> str:
    """The fault and its path; msgspec names no path if the request as a whole is wrong."""
    fault = describe_fault(error, fields)
    return (fault if " - at $" in fault else f"{fault} - at $")[:LONGEST_FAULT]
