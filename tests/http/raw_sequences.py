"""Requests in a row, clients that end sending, and other protocols (RFC 9112 sections 8 and 9.3.2, RFC 9113)."""

from tests.http.raw import HOST, Row, accept, chunked, close, get, message, old, post, refuse

TWO = b"Content-Length: 2"
FIRST = post(TWO, body=b"hi")
CHUNKS = chunked(b"2\r\nyo\r\n0\r\n\r\n")
HEAD = message(b"HEAD /echo HTTP/1.1", HOST)

PIPELINES = {
    "pipeline: two": Row("9112 9.3.2", FIRST + post(TWO, body=b"yo"), accept(b"hi", b"yo")),
    "pipeline: three": Row("9112 9.3.2", FIRST + get() + FIRST, accept(b"hi", b"", b"hi")),
    "pipeline: ten": Row("9112 9.3.2", FIRST * 10, accept(*[b"hi"] * 10)),
    "pipeline: chunks between": Row("9112 9.3.2", FIRST + CHUNKS + get(), accept(b"hi", b"yo", b"")),
    "pipeline: HEAD first": Row("9112 9.3.2", HEAD + FIRST, accept(b"", b"hi", bodiless=True)),
    "pipeline: an empty line between": Row("9112 2.2", FIRST + b"\r\n" + CHUNKS, accept(b"hi", b"yo")),
    "pipeline: an offer first": Row(
        "9110 7.8", get(b"Connection: Upgrade", b"Upgrade: h2c") + FIRST, accept(b"", b"hi")
    ),
    "pipeline: an offer second": Row(
        "9110 7.8", FIRST + post(b"Connection: Upgrade", b"Upgrade: h2c", TWO, body=b"yo"), accept(b"hi", b"yo")
    ),
    "pipeline: close first": Row("9112 9.6", get(b"Connection: close") + FIRST, accept(kept=False)),
    "pipeline: close second": Row(
        "9112 9.6", FIRST + get(b"Connection: close") + FIRST, accept(b"hi", b"", kept=False)
    ),
    "pipeline: 1.0 first": Row("9112 9.3", old() + FIRST, accept(kept=False)),
    "pipeline: 1.0 second": Row("9112 9.3", FIRST + old() + FIRST, accept(b"hi", b"", kept=False)),
    "pipeline: a bad second": Row("9112 9.3.2", FIRST + b"bad\r\n\r\n", refuse(400, after=(b"hi",))),
    "pipeline: a bad third": Row("9112 9.3.2", FIRST + CHUNKS + get(b"X : 1"), refuse(400, after=(b"hi", b"yo"))),
    "pipeline: a bad second before a good one": Row(
        "9112 9.3.2", FIRST + message(b"GET /echo HTTP/1.1") + FIRST, refuse(400, after=(b"hi",))
    ),
    "pipeline: bad chunks second": Row(
        "9112 9.3.2", FIRST + chunked(b"2\r\nyoyo\r\n0\r\n\r\n"), refuse(400, after=(b"hi",))
    ),
    "pipeline: two lengths second": Row(
        "9112 9.3.2", FIRST + post(TWO, b"Content-Length: 3", body=b"yo!"), refuse(400, after=(b"hi",))
    ),
    "pipeline: junk between": Row("9112 9.3.2", FIRST + b"\x00\x00\r\n\r\n" + FIRST, refuse(400, after=(b"hi",))),
}

UNFINISHED = refuse(400, silent=True)
ENDS = {
    "end: at once": Row("9112 8", b"", close(), fin=True),
    "end: after GET": Row("9112 9.6", get(), accept(), fin=True),
    "end: after POST": Row("9112 9.6", FIRST, accept(b"hi"), fin=True),
    "end: after chunks": Row("9112 9.6", CHUNKS, accept(b"yo"), fin=True),
    "end: after three": Row("9112 9.6", FIRST + CHUNKS + get(), accept(b"hi", b"yo", b""), fin=True),
    "end: in the method": Row("9112 8", b"GE", UNFINISHED, fin=True),
    "end: in the target": Row("9112 8", b"GET /ec", UNFINISHED, fin=True),
    "end: after the request line": Row("9112 8", b"GET /echo HTTP/1.1\r\n", UNFINISHED, fin=True),
    "end: in a field": Row("9112 8", get()[:-8], UNFINISHED, fin=True),
    "end: after a field": Row("9112 8", get()[:-2], UNFINISHED, fin=True),
    "end: before the last LF": Row("9112 8", get()[:-1], UNFINISHED, fin=True),
    "end: before the body": Row("9112 8", post(TWO), UNFINISHED, fin=True),
    "end: in the body": Row("9112 8", post(b"Content-Length: 5", body=b"hi"), UNFINISHED, fin=True),
    "end: in a large body": Row("9112 8", post(b"Content-Length: 90000", body=b"x" * 89_999), UNFINISHED, fin=True),
    "end: before the body of 100-continue": Row("9112 8", post(TWO, b"Expect: 100-continue"), UNFINISHED, fin=True),
    "end: in the second head": Row("9112 8", FIRST + b"GET /echo", refuse(400, after=(b"hi",), silent=True), fin=True),
    "end: in the second body": Row(
        "9112 8", FIRST + post(TWO, body=b"y"), refuse(400, after=(b"hi",), silent=True), fin=True
    ),
    "end: in the head of 1.0": Row("9112 8", b"GET /echo HTTP/1.0\r\nX-Own: 1\r\n", UNFINISHED, fin=True),
    "end: the body of 1.0": Row("9112 8", old(b"Content-Length: 5", body=b"hi"), UNFINISHED, fin=True),
}

CLIENT_HELLO = bytes.fromhex("16030100380100003403034a") + bytes(range(40)) + bytes.fromhex("0002130101000000")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
OTHERS = {
    "other: HTTP/2": Row("9113 3.4", PREFACE, refuse(400, 505)),
    "other: HTTP/2 with its settings": Row("9113 3.4", PREFACE + bytes.fromhex("000000040000000000"), refuse(400, 505)),
    "other: TLS": Row("9112 9.7", CLIENT_HELLO, refuse(400, silent=True), fin=True),
    "other: TLS with an empty line": Row("9112 9.7", CLIENT_HELLO + b"\r\n\r\n", refuse(400, silent=True)),
    "other: SSL 2": Row(
        "9112 9.7", bytes.fromhex("802e0103010015000000100100800200804080"), refuse(400, silent=True), fin=True
    ),
    "other: SOCKS": Row("9112 3", b"\x05\x01\x00", refuse(400, silent=True), fin=True),
    "other: NULs": Row("9112 3", bytes(200), refuse(400, silent=True), fin=True),
    "other: bytes of all values": Row("9112 3", bytes(range(255, -1, -1)) + b"\r\n\r\n", refuse(400, silent=True)),
    **{
        f"other: {name}": Row("9112 3", sent + b"\r\n\r\n", refuse(400))
        for name, sent in {
            "SSH": b"SSH-2.0-OpenSSH_9.7",
            "SMTP": b"EHLO localhost",
            "Redis": b"*1\r\n$4\r\nPING",
            "memcached": b"get key",
            "proxy protocol": b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + get()[:-4],
            "proxy protocol 2": b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0c",
            "an answer": b"HTTP/1.1 200 OK",
            "JSON": b'{"topic": "news"}',
            "a byte order mark": b"\xef\xbb\xbf" + get()[:-4],
            "a word": b"hello",
        }.items()
    },
}

TABLE = PIPELINES | ENDS | OTHERS
