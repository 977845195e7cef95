"""Decoding a request: the fields in its body or its query string."""

import re
from functools import lru_cache
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from peerbus.errors import BadRequest, UnsupportedEncoding, UnsupportedMediaType
from peerbus.http.types import Head
from peerbus.wire.fields import describe_fault
from peerbus.wire.protocol import Request as Fields

R = TypeVar("R", bound=Fields)

JSON = "application/json"
CHARSET = re.compile(r"charset *= *\"?([^\s;\"]*)", re.IGNORECASE)
ENCODINGS = ("utf-8", "utf8", "us-ascii")
"""Names of UTF-8, and of a part of it."""
LONGEST_FAULT = 500
LONGEST_SHOWN = 100
"""Characters of a header that an error shows."""


def check_media_type(head: Head) -> None:
    """Raise `UnsupportedMediaType` unless the head says that the body is JSON, in UTF-8 if it names a charset."""
    content_type = head.headers.get("content-type", "")
    if content_type != JSON and (fault := _fault_of_type(content_type)):
        raise UnsupportedMediaType(fault)


@lru_cache
def _fault_of_type(content_type: str) -> str:
    given, _, parameters = content_type.partition(";")
    if given.strip().lower() != JSON:
        return "The body must say that it is JSON: add the header 'Content-Type: application/json'."
    charset = CHARSET.search(parameters)
    if charset and charset[1].lower() not in ENCODINGS:
        return f"JSON is read as UTF-8, and Content-Type says '{charset[1][:LONGEST_SHOWN]}': send it as UTF-8."
    return ""


def check_encoding(head: Head) -> None:
    """Raise an error if the head says that the body is compressed, or only a part: `UnsupportedEncoding`, `BadRequest`.

    A request without a body has nothing that these headers could be about.
    """
    if not head.has_body:
        return
    named = {coding.strip().lower() for coding in head.headers.get("content-encoding", "").split(",")}
    if unknown := named - {"", "identity"}:
        shown = ", ".join(sorted(unknown))[:LONGEST_SHOWN]
        raise UnsupportedEncoding(
            f"The body has the Content-Encoding '{shown}'. Send it uncompressed, without this header."
        )
    if "content-range" in head.headers:
        raise BadRequest("The body is a part, by its Content-Range. Send the whole, without this header.")


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
