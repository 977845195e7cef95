"""Bodies: Content-Length, Transfer-Encoding and chunks (RFC 9112 sections 6 and 7, RFC 9110 sections 8.6 and 6.5)."""

from tests.http.raw import HOST, LIMIT, Row, Verdict, accept, answer, chunked, decline, get, message, old, post, refuse

TWO = b"Content-Length: 2"
CHUNKED = b"Transfer-Encoding: chunked"
HI = b"2\r\nhi\r\n0\r\n\r\n"
LAST = b"0\r\n\r\n"


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


def chunks(section: str, verdict: Verdict, bodies: dict[str, bytes]) -> dict[str, Row]:
    """Requests with a body in chunks each and the same verdict."""
    return {f"chunk: {name}": Row(section, chunked(body), verdict) for name, body in bodies.items()}


def unfinished(bodies: dict[str, bytes]) -> dict[str, Row]:
    """Requests whose body in chunks ends too early."""
    return {f"chunk: {name}": Row("9112 8", chunked(body), refuse(400), fin=True) for name, body in bodies.items()}


LENGTHS = {
    "length: none": Row("9112 6.3", post(), accept()),
    "length: 0": Row("9112 6.3", post(b"Content-Length: 0"), accept()),
    "length: of GET": Row("9110 9.3.1", get(TWO, body=b"hi"), accept(b"hi")),
    "length: of DELETE": Row("9110 9.3.5", message(b"DELETE /echo HTTP/1.1", HOST, TWO, body=b"hi"), accept(b"hi")),
    "length: of OPTIONS": Row("9110 9.3.7", message(b"OPTIONS /echo HTTP/1.1", HOST, TWO, body=b"hi"), accept(b"hi")),
    "length: none in 1.0": Row("9112 6.3", old(), accept(kept=False)),
    "length: at the limit": Row("9110 15.5.14", post(b"Content-Length: %d" % LIMIT, body=b"x" * LIMIT), accept(b"x" * LIMIT)),
    "length: beyond the limit": Row(
        "9110 15.5.14", post(b"Content-Length: %d" % (LIMIT + 1), body=b"x" * (LIMIT + 1)), decline(413)
    ),
    "length: far beyond the limit, and no body": Row("9110 15.5.14", post(b"Content-Length: 999999999999"), refuse(413)),
    "length: a body like a request": Row(
        "9112 6.3", post(b"Content-Length: 36", body=get()), accept(get())
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
    **lengths(accept(b"hi"), {"2": b"2", "spaces around": b"  2 \t", "leading zeros": b"00002", "40 zeros": b"0" * 40 + b"2"}),
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
    "coding: two lines, chunked last": Row("9112 6.1", post(b"Transfer-Encoding: gzip", CHUNKED, body=HI), refuse(400, 501)),
    "coding: two lines, chunked first": Row("9112 6.3", post(CHUNKED, b"Transfer-Encoding: gzip", body=HI), refuse(400, 501)),
    "coding: space before the colon": Row("9112 5.1", post(b"Transfer-Encoding : chunked", body=HI), refuse(400)),
    "coding: underscore": Row("9112 5", post(b"Transfer_Encoding: chunked", TWO, body=b"hi"), accept(b"hi")),
    "coding: name in any case": Row("9110 5.1", post(b"tRANSFER-eNCODING: chunked", body=HI), accept(b"hi")),
    "coding: with a TE": Row("9112 7.4", post(b"TE: trailers, gzip", CHUNKED, body=HI), accept(b"hi")),
    **codings(accept(b"hi"), {"chunked": b"chunked", "Chunked": b"Chunked", "CHUNKED": b"CHUNKED", "spaces around": b" chunked\t"}),
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
        },
    ),
    **codings(
        refuse(400),
        {
            "chunked, chunked": b"chunked, chunked",
            "space inside": b"chun ked",
            "vertical tab before": b"\x0bchunked",
            "vertical tab after": b"chunked\x0b",
            "NUL after": b"chunked\x00",
            "folded": b"\r\n chunked",
        },
    ),
    **codings(
        decline(200, 400, 501, if_done=b"hi"), {"comma after": b"chunked,", "comma before": b", chunked"}
    ),
}

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
    **chunks("9112 7.1", accept(b"0123456789"), {"size a": b"a\r\n0123456789\r\n" + LAST, "size A": b"A\r\n0123456789\r\n" + LAST}),
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
    **chunks("9112 7.1.1", refuse(400, 413, 431), {"extension of 70,000 bytes": b"2;" + b"a" * 70_000 + b"\r\nhi\r\n" + LAST}),
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
    "chunk: size of 8 bytes' most": Row("9112 7.1", chunked(b"ffffffffffffffff\r\nhi\r\n0\r\n\r\n"), refuse(400, 413), fin=True),
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
    "chunk: at the limit": Row("9110 15.5.14", chunked(b"186a0\r\n" + b"x" * LIMIT + b"\r\n" + LAST), accept(b"x" * LIMIT)),
    "chunk: beyond the limit": Row("9110 15.5.14", chunked(b"186a1\r\n" + b"x" * (LIMIT + 1) + b"\r\n" + LAST), decline(413)),
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
    **trailers("9110 6.5", accept(b"hi", own=None), {"one": b"X-Own: 1", "two": b"X-Own: 1\r\nX-Own: 2", "empty": b"X-Own:"}),
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
        {"70,000 bytes": b"X-Own: " + b"1" * 70_000, "101 lines": b"\r\n".join([b"X-A: 1"] * 101)},
    ),
    "trailer: 70,000 bytes and no end": Row(
        "9112 7.1.2", chunked(b"2\r\nhi\r\n0\r\nX-Own: " + b"1" * 70_000), refuse(400, 413, 431)
    ),
}

HEADS = {
    "head: plain": Row("9110 9.3.2", message(b"HEAD /echo HTTP/1.1", HOST), accept(bodiless=True)),
    "head: with a body": Row("9110 9.3.2", message(b"HEAD /echo HTTP/1.1", HOST, TWO, body=b"hi"), accept(b"hi", bodiless=True)),
    "head: with chunks": Row("9110 9.3.2", message(b"HEAD /echo HTTP/1.1", HOST, CHUNKED, body=HI), accept(b"hi", bodiless=True)),
    "head: in 1.0": Row("9110 9.3.2", message(b"HEAD /echo HTTP/1.0"), accept(kept=False, bodiless=True)),
    "head: of a call": Row("9110 9.3.2", message(b"HEAD /livez HTTP/1.1", HOST), answer(200, bodiless=True)),
    "head: of no call": Row("9110 9.3.2", message(b"HEAD /nowhere HTTP/1.1", HOST), answer(404, bodiless=True)),
}

TABLE = LENGTHS | CODINGS | CHUNKS | TRAILERS | HEADS
