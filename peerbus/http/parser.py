"""Parses the heads of requests, by the grammar of RFC 9110 and RFC 9112 and more strictly where smugglers profit."""

import re
from urllib.parse import unquote_to_bytes

from peerbus.errors import BadRequest, ExpectationFailed, HeadTooLarge, TransferNotSupported, VersionNotSupported
from peerbus.http.types import Head

LARGEST_HEAD = 64 << 10
"""Bytes of the largest head that is taken."""
MOST_LINES = 100
"""Header lines of the longest head that is taken."""
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++) ([!-~]++) HTTP/([0-9])\.([0-9])")
"""RFC 9112, 3: method, target and version, with one space between them."""
TARGET = re.compile(rb"(?:https?://([^/?#]*+))?(/[^?#]*+)?(?:\?([^#]*+))?", re.IGNORECASE)
"""RFC 9112, 3.2.1 and 3.2.2: the authority of an absolute URL, a path, and a query."""
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++):([\t -~\x80-\xff]*+)")
"""RFC 9112, 5: name and value of a header line."""
HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9._~!$&'()*+,;=%-]++)(?::[0-9]*+)?")
"""RFC 9112, 3.2: an IPv6 address or a name, and a port."""
SINGLE = ("host", "content-length", "transfer-encoding")
"""Headers that may not be repeated; repeated ones have served to smuggle requests."""
CONTINUE = "100-continue"
DIGITS = re.compile(r"0*[0-9]{1,18}")


def parse_head(data: bytes) -> Head:
    """The head in `data`, which is without the empty line at its end.

    Raises `BadRequest`, `ExpectationFailed`, `HeadTooLarge`, `TransferNotSupported` and `VersionNotSupported`.
    """
    line, _, fields = data.partition(b"\r\n")
    match = REQUEST_LINE.fullmatch(line)
    if match is None:
        raise BadRequest("Expected a request line such as 'GET /topics HTTP/1.1'.")
    method, target, major, minor = match.groups()
    if major != b"1":
        raise VersionNotSupported("This server speaks HTTP/1.1.")
    is_old = minor == b"0"
    headers = _headers(fields)
    _check(headers, is_old)
    host, path, query = _parts_of(method, target)
    if host is not None:
        headers["host"] = host  # RFC 9112, 3.2.2
    return Head(
        method.decode(),
        (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"),
        query.decode("latin-1"),
        headers,
        is_old=is_old,
        keep_alive=_keeps_alive(headers.get("connection", "").lower(), is_old),
        chunked="transfer-encoding" in headers,
    )


def _headers(fields: bytes) -> dict[str, str]:
    """Header values by lower-case names; without names with an underscore, which WSGI would take for others."""
    lines = fields.split(b"\r\n") if fields else []
    if len(lines) > MOST_LINES:
        raise HeadTooLarge(f"The head has more than {MOST_LINES} header lines.")
    headers: dict[str, str] = {}
    for line in lines:
        match = FIELD.fullmatch(line)
        if match is None:
            raise BadRequest("Expected header lines such as 'Content-Type: application/json', each ended by CR LF.")
        name = match[1].decode().lower()
        if "_" in name:
            continue
        value = match[2].strip(b" \t").decode("latin-1")
        if name in headers:
            if name in SINGLE:
                raise BadRequest(f"The header {name} comes twice.")
            value = f"{headers[name]},{value}"
        headers[name] = value
    return headers


def _check(headers: dict[str, str], is_old: bool) -> None:
    """Raise an error for headers that RFC 9110 and 9112 forbid; make the length a plain number."""
    host = headers.get("host")
    if not (HOST.fullmatch(host) if host is not None else is_old):
        raise BadRequest("A request of HTTP/1.1 has a Host header: a name or an address, and a port.")
    length = headers.get("content-length")
    if length is not None:
        if not DIGITS.fullmatch(length):
            raise BadRequest("Content-Length is a number of bytes.")
        headers["content-length"] = length.lstrip("0") or "0"
    if not is_old and headers.get("expect", CONTINUE).lower() != CONTINUE:
        raise ExpectationFailed(f"The only expectation that this server meets is {CONTINUE}.")
    encoding = headers.get("transfer-encoding")
    if encoding is None:
        return
    if is_old or length is not None:
        raise BadRequest("Transfer-Encoding goes neither with HTTP/1.0 nor with Content-Length.")
    if encoding.lower() != "chunked":
        raise TransferNotSupported("The only transfer encoding that this server reads is chunked.")


def _parts_of(method: bytes, target: bytes) -> tuple[str | None, bytes, bytes]:
    """The host in a request target, if it is a whole URL, the path and the query. Raises `BadRequest`."""
    if method == b"OPTIONS" and target == b"*":
        return None, target, b""
    match = TARGET.fullmatch(target)
    if match is None:
        raise BadRequest("Expected a path such as '/topics', or a URL, and no fragment in it.")
    authority, path, query = match.groups()
    if authority is None:
        if path is None:
            raise BadRequest("Expected a path such as '/topics'.")
        return None, path, query or b""
    host = authority.decode()
    if not HOST.fullmatch(host):
        raise BadRequest("Expected a URL with a host: a name or an address, and a port.")
    return host, path or b"/", query or b""


def _keeps_alive(connection: str, is_old: bool) -> bool:
    options = {option.strip() for option in connection.split(",")}
    return "close" not in options and (not is_old or "keep-alive" in options)
