"""Bodies: Content-Length, Transfer-Encoding and HEAD (RFC 9112 section 6, RFC 9110 sections 8.6 and 9.3.2)."""

from tests.http.raw import HOST, LIMIT, Row, Verdict, accept, answer, decline, get, message, old, post, refuse

TWO = b"Content-Length: 2"
CHUNKED = b"Transfer-Encoding: chunked"
HI = b"2\r\nhi\r\n0\r\n\r\n"


def lengths(verdict: Verdict, values: dict[str, bytes]) -> dict[str, Row]:
    """Requests with a Content-Length each, two bytes of body and the same verdict."""
    return {
        f"length: {name}": Row("9112 6.3", post(b"Content-Length: " + value, body=b"hi"), verdict)
        for name, value in values.items()
    }


def codings(verdict: Verdict, values: dict[str, bytes]) -> dict[str, Row]:
    """Requests with a Transfer-Encoding each, a chunk of two bytes and the same verdict."""
    return {
        f"coding: {name}": Row("9112 6.1", post(b"Transfer-Encoding: " + value, body=HI), verdict)
        for name, value in values.items()
    }


LENGTHS = {
    "length: none": Row("9112 6.3", post(), accept()),
    "length: 0": Row("9112 6.3", post(b"Content-Length: 0"), accept()),
    "length: of GET": Row("9110 9.3.1", get(TWO, body=b"hi"), accept(b"hi")),
    "length: of DELETE": Row("9110 9.3.5", message(b"DELETE /echo HTTP/1.1", HOST, TWO, body=b"hi"), accept(b"hi")),
    "length: of OPTIONS": Row("9110 9.3.7", message(b"OPTIONS /echo HTTP/1.1", HOST, TWO, body=b"hi"), accept(b"hi")),
    "length: none in 1.0": Row("9112 6.3", old(), accept(kept=False)),
    "length: at the limit": Row(
        "9110 15.5.14", post(b"Content-Length: %d" % LIMIT, body=b"x" * LIMIT), accept(b"x" * LIMIT)
    ),
    "length: beyond the limit": Row(
        "9110 15.5.14", post(b"Content-Length: %d" % (LIMIT + 1), body=b"x" * (LIMIT + 1)), decline(413)
    ),
    "length: far beyond the limit, and no body": Row(
        "9110 15.5.14", post(b"Content-Length: 999999999999"), refuse(413)
    ),
    "length: a body like a request": Row(
        "9112 6.3", post(b"Content-Length: %d" % len(get()), body=get()), accept(get())
    ),
    "length: less than came": Row(
        "9112 6.3", post(b"Content-Length: 1", body=b"h\x00\r\n\r\n"), refuse(400, after=(b"h",))
    ),
    "length: none, but a body": Row("9112 6.3", post(body=b"(hi)\r\n\r\n"), refuse(400, after=(b"",))),
    "length: with a coding": Row("9112 6.3", post(TWO, CHUNKED, body=HI), refuse(400)),
    "length: after a coding": Row("9112 6.3", post(CHUNKED, TWO, body=HI), refuse(400)),
    "length: with a coding in 1.0": Row("9112 6.1", old(TWO, CHUNKED, body=HI), refuse(400)),
    "length: with identity": Row("9112 6.3", post(TWO, b"Transfer-Encoding: identity", body=b"hi"), refuse(400, 501)),
    "length: two lines": Row("9112 6.3", post(TWO, b"Content-Length: 3", body=b"hi!"), refuse(400)),
    "length: the same twice": Row("9112 6.3", post(TWO, TWO, body=b"hi"), refuse(400)),
    "length: space before the colon": Row("9112 5.1", post(b"Content-Length : 2", body=b"hi"), refuse(400)),
    "length: folded": Row("9112 5.2", post(b"Content-Length:\r\n 2", body=b"hi"), refuse(400)),
    "length: in any case": Row("9110 5.1", post(b"cONTENT-lENGTH: 2", body=b"hi"), accept(b"hi")),
    **lengths(
        accept(b"hi"), {"2": b"2", "spaces around": b"  2 \t", "leading zeros": b"00002", "40 zeros": b"0" * 40 + b"2"}
    ),
    **lengths(
        refuse(400),
        {
            "list": b"2, 3",
            "list of the same": b"2, 2",
            "comma after": b"2,",
            "plus": b"+2",
            "minus": b"-2",
            "hexadecimal": b"0x2",
            "digit of hexadecimal": b"a",
            "space inside": b"0 2",
            "fraction": b"2.0",
            "exponent": b"2e0",
            "underscore": b"0_2",
            "empty": b"",
            "word": b"two",
            "quoted": b'"2"',
            "semicolon": b"2;",
            "vertical tab": b"2\x0b",
            "NUL": b"2\x00",
            "digit that is not ASCII": "\u0662".encode(),
        },
    ),
    **lengths(
        refuse(400, 413),
        {
            "2 to the power of 63, and 2": b"9223372036854775810",
            "2 to the power of 64, and 2": b"18446744073709551618",
            "30 digits": b"9" * 30,
            "6,000 digits": b"9" * 6000,
        },
    ),
}

CODINGS = {
    "coding: of GET": Row("9112 6.1", get(CHUNKED, body=HI), accept(b"hi")),
    "coding: in 1.0": Row("9112 6.1", old(CHUNKED, body=HI), refuse(400)),
    "coding: in 1.0, with keep-alive": Row("9112 6.1", old(b"Connection: keep-alive", CHUNKED, body=HI), refuse(400)),
    "coding: two lines": Row("9112 6.1", post(CHUNKED, CHUNKED, body=HI), refuse(400)),
    "coding: two lines, chunked last": Row(
        "9112 6.1", post(b"Transfer-Encoding: gzip", CHUNKED, body=HI), refuse(400, 501)
    ),
    "coding: two lines, chunked first": Row(
        "9112 6.3", post(CHUNKED, b"Transfer-Encoding: gzip", body=HI), refuse(400, 501)
    ),
    "coding: space before the colon": Row("9112 5.1", post(b"Transfer-Encoding : chunked", body=HI), refuse(400)),
    "coding: underscore": Row("9112 5", post(b"Transfer_Encoding: chunked", TWO, body=b"hi"), accept(b"hi")),
    "coding: name in any case": Row("9110 5.1", post(b"tRANSFER-eNCODING: chunked", body=HI), accept(b"hi")),
    "coding: with a TE": Row("9112 7.4", post(b"TE: trailers, gzip", CHUNKED, body=HI), accept(b"hi")),
    **codings(
        accept(b"hi"),
        {"chunked": b"chunked", "Chunked": b"Chunked", "CHUNKED": b"CHUNKED", "spaces around": b" chunked\t"},
    ),
    **codings(
        refuse(400, 501),
        {
            "gzip, chunked": b"gzip, chunked",
            "gzip": b"gzip",
            "chunked, gzip": b"chunked, gzip",
            "identity": b"identity",
            "identity, chunked": b"identity, chunked",
            "chunked, identity": b"chunked, identity",
            "xchunked": b"xchunked",
            "chunkedx": b"chunkedx",
            "chunked with a parameter": b"chunked;q=1",
            "quoted": b'"chunked"',
            "empty": b"",
            "chunked, chunked": b"chunked, chunked",
            "space inside": b"chun ked",
        },
    ),
    **codings(
        refuse(400),
        {
            "vertical tab before": b"\x0bchunked",
            "vertical tab after": b"chunked\x0b",
            "NUL after": b"chunked\x00",
            "folded": b"\r\n chunked",
        },
    ),
    **codings(decline(200, 400, 501, if_done=b"hi"), {"comma after": b"chunked,", "comma before": b", chunked"}),
}

HEADS = {
    "head: plain": Row("9110 9.3.2", message(b"HEAD /echo HTTP/1.1", HOST), accept(bodiless=True)),
    "head: with a body": Row(
        "9110 9.3.2", message(b"HEAD /echo HTTP/1.1", HOST, TWO, body=b"hi"), accept(kept=False, bodiless=True)
    ),
    "head: with chunks": Row(
        "9110 9.3.2", message(b"HEAD /echo HTTP/1.1", HOST, CHUNKED, body=HI), accept(kept=False, bodiless=True)
    ),
    "head: in 1.0": Row("9110 9.3.2", message(b"HEAD /echo HTTP/1.0"), accept(kept=False, bodiless=True)),
    "head: of a call": Row("9110 9.3.2", message(b"HEAD /livez HTTP/1.1", HOST), answer(200, bodiless=True)),
    "head: of no call": Row("9110 9.3.2", message(b"HEAD /nowhere HTTP/1.1", HOST), answer(404, bodiless=True)),
}

CREATE = b'{"topic": "a1"}'


def create(*fields: bytes, body: bytes = CREATE, line: bytes = b"POST /create_topic HTTP/1.1") -> bytes:
    """A call with a body of JSON, or of something else."""
    length = b"Content-Length: %d" % len(body)
    return message(line, HOST, b"Content-Type: application/json", length, *fields, body=body)


def contents(section: str, verdict: Verdict, fields: dict[str, bytes]) -> dict[str, Row]:
    """Calls with a header that says what their body is, and the same verdict."""
    return {f"content: {name}": Row(section, create(field), verdict) for name, field in fields.items()}


CONTENTS = {
    **contents(
        "9110 8.4",
        answer(200),
        {
            "identity": b"Content-Encoding: identity",
            "Identity": b"Content-Encoding: Identity",
            "no encoding": b"Content-Encoding:",
            "identity twice": b"Content-Encoding: identity, identity",
        },
    ),
    **contents(
        "9110 15.5.16",
        answer(415),
        {
            "gzip": b"Content-Encoding: gzip",
            "br, though it is plain": b"Content-Encoding: br",
            "deflate": b"content-encoding: DEFLATE",
            "zstd": b"Content-Encoding: zstd",
            "x-gzip": b"Content-Encoding: x-gzip",
            "identity and gzip": b"Content-Encoding: identity, gzip",
            "two encodings on two lines": b"Content-Encoding: identity\r\nContent-Encoding: br",
            "an encoding of 5,000 bytes": b"Content-Encoding: " + b"x" * 5000,
        },
    ),
    "content: gzip at a page": Row(
        "9110 15.5.16", create(b"Content-Encoding: gzip", line=b"GET / HTTP/1.1"), answer(415)
    ),
    "content: gzip at no call": Row(
        "9110 15.5.16", create(b"Content-Encoding: gzip", line=b"POST /nothing HTTP/1.1"), answer(415)
    ),
    "content: gzip, and no body": Row(
        "9110 8.4", message(b"GET /livez HTTP/1.1", HOST, b"Content-Encoding: gzip"), answer(200)
    ),
    "content: gzip, in chunks": Row(
        "9110 15.5.16",
        message(b"POST /create_topic HTTP/1.1", HOST, b"Content-Encoding: gzip", CHUNKED, body=HI),
        decline(415),
    ),
    "content: gzip, with 100-continue": Row(
        "9110 10.1.1", create(b"Content-Encoding: gzip", b"Expect: 100-continue"), decline(415)
    ),
    "content: gzip, beyond the limit": Row(
        "9110 15.5.16", create(b"Content-Encoding: gzip", body=b"x" * (LIMIT + 1)), decline(413, 415)
    ),
    **contents(
        "9110 14.4",
        answer(400),
        {"a part": b"Content-Range: bytes 0-14/100", "a part of another unit": b"Content-Range: x 1"},
    ),
    "content: a part of nothing": Row(
        "9110 14.4", message(b"GET /livez HTTP/1.1", HOST, b"Content-Range: bytes 0-1/2"), answer(200)
    ),
    **{
        f"content: {given.decode()}": Row(
            "9110 8.3",
            message(
                b"POST /create_topic HTTP/1.1", HOST, b"Content-Type: " + given, b"Content-Length: 15", body=CREATE
            ),
            answer(status),
        )
        for given, status in (
            (b"application/json; charset=utf-8", 200),
            (b"Application/JSON;charset=UTF-8", 200),
            (b'application/json; charset="utf-8"', 200),
            (b"application/json; charset=us-ascii", 200),
            (b"application/json; profile=x", 200),
            (b"application/json; charset=iso-8859-1", 415),
            (b"application/json; charset=utf-16", 415),
            (b"application/json; a=b; charset='latin1'", 415),
            (b"application/json, application/json", 415),
            (b"multipart/form-data; boundary=a", 415),
            (b"text/plain", 415),
            (b"application/jsonx", 415),
        )
    },
    **contents(
        "9110 9.1",
        answer(200),
        {
            "another method in a header": b"X-HTTP-Method-Override: DELETE",
            "another method in another header": b"X-Method-Override: GET",
            "a precondition": b'If-Match: "a"',
            "a precondition that nothing is there": b"If-None-Match: *",
            "a range": b"Range: bytes=0-1",
        },
    ),
}

TABLE = LENGTHS | CODINGS | HEADS | CONTENTS
