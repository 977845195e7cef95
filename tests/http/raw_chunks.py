"""Bodies in chunks, and trailer sections (RFC 9112 section 7.1, RFC 9110 section 6.5)."""

from tests.http.raw import LIMIT, Row, Verdict, accept, chunked, decline, refuse

LAST = b"0\r\n\r\n"


def chunks(section: str, verdict: Verdict, bodies: dict[str, bytes]) -> dict[str, Row]:
    """Requests with a body in chunks each and the same verdict."""
    return {f"chunk: {name}": Row(section, chunked(body), verdict) for name, body in bodies.items()}


def unfinished(bodies: dict[str, bytes]) -> dict[str, Row]:
    """Requests whose body in chunks ends too early."""
    return {f"chunk: {name}": Row("9112 8", chunked(body), refuse(400), fin=True) for name, body in bodies.items()}


CHUNKS = {
    **chunks("9112 7.1", accept(), {"none": LAST, "last one of zeros": b"000\r\n\r\n"}),
    **chunks(
        "9112 7.1",
        accept(b"hi"),
        {
            "two": b"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
            "leading zeros": b"0002\r\nhi\r\n0\r\n\r\n",
            "extension": b"2;a\r\nhi\r\n0\r\n\r\n",
            "extension with a value": b"2;a=b;c=d\r\nhi\r\n0;e=f\r\n\r\n",
            "extension with a quoted value": b'2;a="b;c"\r\nhi\r\n0\r\n\r\n',
        },
    ),
    **chunks(
        "9112 7.1",
        accept(b"0123456789"),
        {"size a": b"a\r\n0123456789\r\n" + LAST, "size A": b"A\r\n0123456789\r\n" + LAST},
    ),
    **chunks("9112 7.1", accept(b"\r\n0\r\n\r\n"), {"data like a last one": b"7\r\n\r\n0\r\n\r\n\r\n" + LAST}),
    **chunks("9112 7.1.1", decline(200, 400, if_done=b"hi"), {"spaces in an extension": b"2 ; a = b\r\nhi\r\n" + LAST}),
    **chunks(
        "9112 7.1.1",
        refuse(400),
        {
            "NUL in an extension": b"2;a\x00b\r\nhi\r\n" + LAST,
            "control character in an extension": b"2;a=\x01\r\nhi\r\n" + LAST,
            "LF in an extension": b"2;a\nhi\r\n" + LAST,
            "CR in an extension": b"2;a\rb\r\nhi\r\n" + LAST,
            "line end in a quoted value": b'2;a="\r\nhi"\r\n' + LAST,
            "quoted value without end": b'2;a="b\r\nhi\r\n' + LAST,
            "NUL in a quoted value": b'2;a="\x00"\r\nhi\r\n' + LAST,
            "NUL in the last one's extension": b"2\r\nhi\r\n0;\x00\r\n\r\n",
        },
    ),
    **chunks(
        "9112 7.1.1",
        refuse(400, 413, 431),
        {"extension of 100,000 bytes": b"2;" + b"a" * 100_000 + b"\r\nhi\r\n" + LAST},
    ),
    **chunks(
        "9112 7.1",
        refuse(400),
        {
            "size is no number": b"g\r\nhi\r\n" + LAST,
            "size with 0x": b"0x2\r\nhi\r\n" + LAST,
            "size with minus": b"-2\r\nhi\r\n" + LAST,
            "size with plus": b"+2\r\nhi\r\n" + LAST,
            "size with an underscore": b"0_2\r\nhi\r\n" + LAST,
            "size after a space": b" 2\r\nhi\r\n" + LAST,
            "size before a space": b"2 \r\nhi\r\n" + LAST,
            "size before a tab": b"2\t\r\nhi\r\n" + LAST,
            "size before a comma": b"2,\r\nhi\r\n" + LAST,
            "size of two words": b"2 2\r\nhi\r\n" + LAST,
            "size empty": b"\r\nhi\r\n" + LAST,
            "size empty, with an extension": b";a\r\nhi\r\n" + LAST,
            "size is not ASCII": "\u0662\r\nhi\r\n".encode() + LAST,
            "size with NUL": b"2\x00\r\nhi\r\n" + LAST,
            "size ends with LF": b"2\nhi\r\n" + LAST,
            "size ends with CR": b"2\rhi\r\n" + LAST,
            "no line end after the data": b"2\r\nhi" + LAST,
            "LF after the data": b"2\r\nhi\n" + LAST,
            "CR after the data": b"2\r\nhi\r" + LAST,
            "junk after the data": b"2\r\nhixx\r\n" + LAST,
            "space after the data": b"2\r\nhi \r\n" + LAST,
            "data too long by one": b"2\r\nhi!\r\n" + LAST,
            "data too short by one": b"3\r\nhi\r\n" + LAST,
            "last one ends with LF": b"2\r\nhi\r\n0\n\r\n",
            "LF for the empty line": b"2\r\nhi\r\n0\r\n\n",
            "CR and junk for the empty line": b"2\r\nhi\r\n0\r\n\rX",
            "none, but plain data": b"hello\r\n\r\n",
        },
    ),
    "chunk: size of 8 bytes' most": Row(
        "9112 7.1", chunked(b"ffffffffffffffff\r\nhi\r\n0\r\n\r\n"), refuse(400, 413), fin=True
    ),
    "chunk: size of 8 bytes' most, signed": Row(
        "9112 7.1", chunked(b"7fffffffffffffff\r\nhi\r\n0\r\n\r\n"), refuse(400, 413), fin=True
    ),
    **chunks(
        "9112 7.1",
        refuse(400, 413),
        {
            "size beyond 8 bytes": b"10000000000000002\r\nhi\r\n" + LAST,
            "size beyond 16 bytes": b"1" + b"0" * 31 + b"2\r\nhi\r\n" + LAST,
        },
    ),
    **unfinished(
        {
            "no last one": b"2\r\nhi\r\n",
            "no end after the last one": b"2\r\nhi\r\n0\r\n",
            "half an end after the last one": b"2\r\nhi\r\n0\r\n\r",
            "the end within data": b"5\r\nhi",
            "the end within a size": b"2\r\nhi\r\n0",
            "the end within a trailer": b"2\r\nhi\r\n0\r\nX-Own: 1",
            "the end after a trailer": b"2\r\nhi\r\n0\r\nX-Own: 1\r\n",
            "nothing": b"",
        }
    ),
    "chunk: at the limit": Row(
        "9110 15.5.14", chunked(b"186a0\r\n" + b"x" * LIMIT + b"\r\n" + LAST), accept(b"x" * LIMIT)
    ),
    "chunk: beyond the limit": Row(
        "9110 15.5.14", chunked(b"186a1\r\n" + b"x" * (LIMIT + 1) + b"\r\n" + LAST), decline(413)
    ),
    "chunk: many beyond the limit": Row(
        "9110 15.5.14", chunked((b"3e8\r\n" + b"x" * 1000 + b"\r\n") * (LIMIT // 1000 + 1) + LAST), decline(413)
    ),
}


def trailers(section: str, verdict: Verdict, fields: dict[str, bytes]) -> dict[str, Row]:
    """Requests with a chunk of two bytes, a trailer section each and the same verdict."""
    return {
        f"trailer: {name}": Row(section, chunked(b"2\r\nhi\r\n0\r\n" + field + b"\r\n\r\n"), verdict)
        for name, field in fields.items()
    }


EITHER = decline(200, 400, if_done=b"hi")
TRAILERS = {
    **trailers(
        "9110 6.5", accept(b"hi", own=None), {"one": b"X-Own: 1", "two": b"X-Own: 1\r\nX-Own: 2", "empty": b"X-Own:"}
    ),
    **trailers(
        "9110 6.5.1",
        EITHER,
        {
            "Content-Length": b"Content-Length: 100",
            "Transfer-Encoding": b"Transfer-Encoding: chunked",
            "Host": b"Host: other.example",
            "Connection": b"Connection: keep-alive",
            "Expect": b"Expect: 100-continue",
            "Upgrade": b"Connection: Upgrade\r\nUpgrade: h2c",
        },
    ),
    **trailers(
        "9112 7.1.2",
        refuse(400),
        {
            "no colon": b"X-Own",
            "no name": b": 1",
            "space before the colon": b"X-Own : 1",
            "folded": b"X-Own: 1\r\n 2",
            "NUL": b"X-Own: \x00",
            "control character": b"X-Own: \x01",
            "LF": b"X-Own: 1\nX-Other: 2",
            "CR": b"X-Own: 1\rX-Other: 2",
            "name is no token": b"X(Own): 1",
            "a request": b"GET /echo HTTP/1.1\r\nHost: localhost",
        },
    ),
    **trailers(
        "9112 7.1.2",
        refuse(400, 413, 431),
        {"100,000 bytes": b"X-Own: " + b"1" * 100_000, "101 lines": b"\r\n".join([b"X-A: 1"] * 101)},
    ),
    "trailer: 100,000 bytes and no end": Row(
        "9112 7.1.2", chunked(b"2\r\nhi\r\n0\r\nX-Own: " + b"1" * 100_000), refuse(400, 413, 431)
    ),
}

TABLE = CHUNKS | TRAILERS
