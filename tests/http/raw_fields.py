"""Header fields, Host, Connection, Upgrade and Expect (RFC 9112 sections 3.2, 5 and 9, RFC 9110 sections 5 to 10)."""

from tests.http.raw import HOST, Row, Verdict, accept, decline, get, message, old, post, refuse

GET = b"GET /echo HTTP/1.1"


def rows(section: str, verdict: Verdict, fields: dict[str, bytes]) -> dict[str, Row]:
    """Requests with one more field each, or whatever stands in its place, and the same verdict."""
    return {name: Row(section, get(field), verdict) for name, field in fields.items()}


def hosts(verdict: Verdict, fields: dict[str, bytes]) -> dict[str, Row]:
    """Requests with a Host each and the same verdict."""
    return {f"host: {name}": Row("9112 3.2", message(GET, b"Host: " + host), verdict) for name, host in fields.items()}


OF_HOST = {
    "host: none": Row("9112 3.2", message(GET), refuse(400)),
    "host: none in 1.0": Row("9112 3.2", message(b"GET /echo HTTP/1.0"), accept(kept=False)),
    "host: junk in 1.0": Row("9112 3.2", message(b"GET /echo HTTP/1.0", b"Host: ###"), refuse(400)),
    "host: two": Row("9112 3.2", message(GET, b"Host: a", b"Host: b"), refuse(400)),
    "host: the same twice": Row("9112 3.2", message(GET, HOST, HOST), refuse(400)),
    "host: two in 1.0": Row("9112 3.2", message(b"GET /echo HTTP/1.0", HOST, HOST), refuse(400)),
    "host: a second in another case": Row("9112 3.2", get(b"hOST: localhost"), refuse(400)),
    "host: port alone": Row("9110 7.2", message(GET, b"Host: :80"), decline(200, 400, if_done=b"")),
    "host: spaces around": Row("9112 5", message(GET, b"Host: \t localhost \t"), accept(host="localhost")),
    "host: no space before": Row("9112 5", message(GET, b"Host:localhost"), accept(host="localhost")),
    **hosts(
        accept(),
        {
            "port": b"localhost:5000",
            "no digits of a port": b"localhost:",
            "IPv4": b"127.0.0.1:5000",
            "IPv6": b"[::1]",
            "IPv6 and a port": b"[::1]:5000",
            "upper case": b"LOCALHOST",
            "underscore": b"a_b.example",
        },
    ),
    **hosts(
        refuse(400),
        {
            "empty": b"",
            "junk": b"###",
            "list": b"localhost, localhost",
            "space inside": b"local host",
            "user": b"user@localhost",
            "URL": b"http://localhost",
            "path": b"localhost/echo",
            "query": b"localhost?a",
            "backslash": b"localhost\\a",
            "letters for a port": b"localhost:http",
            "two ports": b"localhost:80:80",
            "half a bracket": b"[::1",
            "nothing in brackets": b"[]",
            "name in brackets": b"[localhost]",
            "text after brackets": b"[::1]a",
            "not ASCII": b"loc\xe4lhost",
            "control character": b"local\x01host",
        },
    ),
}

LINES = {
    **rows(
        "9112 5",
        accept(),
        {
            "field: empty": b"X-Own:",
            "field: all that a name may have": b"X0!#$%&'*+-.^_`|~: 1",
            "field: 60,000 bytes": b"X-Own: " + b"1" * 60_000,
        },
    ),
    "field: spaces and tabs": Row("9110 5.5", get(b"X-Own: \t a \t b \t "), accept(own="a \t b")),
    "field: not ASCII": Row("9110 5.5", get(b"X-Own: caf\xe9"), accept(own="caf\xe9")),
    "field: name in any case": Row("9110 5.1", get(b"x-oWN: 1"), accept(own="1")),
    "field: underscore in its name": Row("9112 5", get(b"X_Own: forged"), accept(own=None)),
    "field: underscore in Content_Length": Row("9112 5", get(b"Content_Length: 5"), accept()),
    "field: 100 lines": Row("9112 5", get(*[b"X-A: 1"] * 99), accept()),
    "field: 101 lines": Row("9110 5.4", get(*[b"X-A: 1"] * 100), refuse(431)),
    "field: 20,000 lines": Row("9110 5.4", get(*[b"x:"] * 20_000), refuse(431)),
    "field: 70,000 bytes": Row("9110 5.4", get(b"X-Own: " + b"1" * 70_000), refuse(431)),
    "field: 70,000 bytes of name": Row("9110 5.4", get(b"X" * 70_000 + b": 1"), refuse(431)),
    "field: 70,000 bytes and no end": Row("9110 5.4", message(GET, HOST)[:-2] + b"X" * 70_000, refuse(400, 431)),
    "field: 90 lines of 800 bytes": Row("9110 5.4", get(*[b"X-A: " + b"1" * 795] * 90), refuse(431)),
    "field: space before the first": Row("9112 2.2", message(GET, b" X-Own: 1", HOST), refuse(400)),
    "field: tab before the first": Row("9112 2.2", message(GET, b"\t" + HOST), refuse(400)),
    "field: two of Content-Type": Row(
        "9110 5.3",
        message(
            b"POST /create_topic HTTP/1.1",
            *(HOST, b"Content-Type: application/json", b"Content-Type: text/plain", b"Content-Length: 15"),
            body=b'{"topic": "a1"}',
        ),
        decline(400, 415),
    ),
    **rows(
        "9112 5.1",
        refuse(400),
        {
            "field: no colon": b"X-Own",
            "field: no name": b": 1",
            "field: space before the colon": b"X-Own : 1",
            "field: tab before the colon": b"X-Own\t: 1",
            "field: space in its name": b"X Own: 1",
            "field: parenthesis in its name": b"X(Own): 1",
            "field: slash in its name": b"X/Own: 1",
            "field: quotes in its name": b'"X-Own": 1',
            "field: name is not ASCII": b"X-\xe9: 1",
            "field: NUL in its name": b"X-\x00: 1",
            "field: control character in its name": b"X-\x01: 1",
            "field: CR in its name": b"X-\rOwn: 1",
            "field: LF in its name": b"X-\nOwn: 1",
        },
    ),
    **rows(
        "9112 5.2",
        refuse(400),
        {
            "field: folded by a space": b"X-Own: 1\r\n 2",
            "field: folded by a tab": b"X-Own: 1\r\n\t2",
            "field: folded into an empty line": b"X-Own: 1\r\n ",
            "field: folded before its value": b"X-Own:\r\n 1",
        },
    ),
    **rows(
        "9110 5.5",
        refuse(400),
        {
            "field: NUL": b"X-Own: a\x00b",
            "field: CR": b"X-Own: a\rb",
            "field: CR at its end": b"X-Own: a\r",
            "field: LF": b"X-Own: a\nX-Other: b",
            "field: LF and a space": b"X-Own: a\n b",
            "field: control character": b"X-Own: a\x01b",
            "field: escape": b"X-Own: \x1b[31m",
            "field: vertical tab": b"X-Own: a\x0bb",
            "field: DEL": b"X-Own: a\x7fb",
            "field: CR for a line end": b"X-Own: 1\rContent-Length: 5",
        },
    ),
    "field: LF for the empty line": Row("9112 2.2", message(GET, HOST)[:-2] + b"\n", refuse(400)),
    "field: LF CR for the empty line": Row("9112 2.2", message(GET, HOST)[:-2] + b"\n\r\n", refuse(400)),
    "field: CR CR LF for the empty line": Row("9112 2.2", message(GET, HOST)[:-2] + b"\r\r\n", refuse(400)),
}

OLD = message(b"GET /echo HTTP/1.0")
CONNECTION = {
    **rows(
        "9112 9.3",
        accept(kept=False),
        {
            "connection: close": b"Connection: close",
            "connection: Close": b"Connection: Close",
            "connection: CLOSE in upper case": b"CONNECTION: CLOSE",
            "connection: close, then another": b"Connection: close, TE",
            "connection: close, after another": b"Connection: TE, close",
            "connection: close and keep-alive": b"Connection: keep-alive, close",
            "connection: empty elements and close": b"Connection: ,, close ,",
            "connection: close on a second line": b"Connection: keep-alive\r\nConnection: close",
        },
    ),
    **rows(
        "9110 7.6.1",
        accept(),
        {
            "connection: keep-alive": b"Connection: keep-alive",
            "connection: empty": b"Connection:",
            "connection: closed": b"Connection: closed",
            "connection: x-close": b"Connection: x-close",
            "connection: upgrade to nothing": b"Connection: upgrade",
        },
    ),
    "connection: close of a proxy": Row("9112 C.2.2", get(b"Proxy-Connection: close"), accept(kept=None)),
    "connection: a length is nobody's": Row(
        "9110 7.6.1", post(b"Connection: Content-Length", b"Content-Length: 2", body=b"hi"), accept(b"hi")
    ),
    **{
        f"connection: {name} in 1.0": Row(
            "9112 9.3", old(*fields, b"Content-Length: 2", body=b"hi"), accept(b"hi", kept=kept)
        )
        for name, fields, kept in (
            ("nothing", [], False),
            ("keep-alive", [b"Connection: keep-alive"], True),
            ("Keep-Alive", [b"Connection: Keep-Alive"], True),
            ("another and keep-alive", [b"Connection: TE, keep-alive"], True),
            ("keep-alive and close", [b"Connection: keep-alive, close"], False),
            ("keep-alive of a proxy", [b"Proxy-Connection: keep-alive"], None),
        )
    },
}

H2C = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")
WEBSOCKET = (
    *(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)
TWO = b"Content-Length: 2"
UPGRADE = {
    "upgrade: h2c": Row("9110 7.8", get(*H2C), accept()),
    "upgrade: h2c, with a body": Row("9110 7.8", post(*H2C, TWO, body=b"hi"), accept(b"hi")),
    "upgrade: h2c, with chunks": Row(
        "9110 7.8", post(*H2C, b"Transfer-Encoding: chunked", body=b"2\r\nhi\r\n0\r\n\r\n"), accept(b"hi")
    ),
    "upgrade: h2c, with 100-continue": Row(
        "9110 7.8", post(*H2C, b"Expect: 100-continue", TWO, body=b"hi"), accept(b"hi")
    ),
    "upgrade: h2c, in a head of 10,000 bytes": Row(
        "9110 7.8", post(b"X-Own: " + b"x" * 10_000, *H2C, TWO, body=b"hi"), accept(b"hi")
    ),
    "upgrade: h2c, before 10,000 bytes": Row(
        "9110 7.8", post(*H2C, b"X-Own: " + b"x" * 10_000, TWO, body=b"hi"), accept(b"hi")
    ),
    "upgrade: h2c, in 1.0": Row("9110 7.8", old(*H2C, TWO, body=b"hi"), accept(b"hi", kept=False)),
    "upgrade: h2c, and close": Row("9110 7.8", get(b"Connection: close, Upgrade", b"Upgrade: h2c"), accept(kept=False)),
    "upgrade: in upper case": Row("9110 7.8", get(b"CONNECTION: UPGRADE", b"UPGRADE: H2C"), accept()),
    "upgrade: two lines": Row("9110 7.8", get(b"Connection: Upgrade", b"Upgrade: h2c", b"Upgrade: foo/2"), accept()),
    "upgrade: a list": Row("9110 7.8", get(b"Connection: Upgrade", b"Upgrade: foo/2, TLS/1.0"), accept()),
    "upgrade: no Connection": Row("9110 7.8", get(b"Upgrade: h2c"), accept()),
    "upgrade: empty": Row("9110 7.8", get(b"Connection: Upgrade", b"Upgrade:"), accept()),
    "upgrade: websocket": Row("9110 7.8", get(*WEBSOCKET), accept()),
    "upgrade: websocket, with a body": Row("9110 7.8", post(*WEBSOCKET, TWO, body=b"hi"), accept(b"hi")),
    "upgrade: offers in a body": Row(
        "9110 7.8", post(b"Content-Length: 18", body=b"\r\nUpgrade: h2c\r\n\r\n"), accept(b"\r\nUpgrade: h2c\r\n\r\n")
    ),
    "upgrade: space before the colon": Row("9112 5.1", get(b"Connection: Upgrade", b"Upgrade : h2c"), refuse(400)),
    "upgrade: NUL": Row("9110 5.5", get(b"Connection: Upgrade", b"Upgrade: h2c\x00"), refuse(400)),
    "upgrade: folded": Row("9112 5.2", get(b"Connection: Upgrade", b"Upgrade: h2c\r\n , foo/2"), refuse(400)),
    "upgrade: LF after": Row("9112 2.2", get(b"Connection: Upgrade", b"Upgrade: h2c\nX-Own: 1"), refuse(400)),
}

EXPECT = {
    "expect: 100-continue and a body": Row(
        "9110 10.1.1", post(b"Expect: 100-continue", TWO, body=b"hi"), accept(b"hi")
    ),
    "expect: 100-continue and chunks": Row(
        "9110 10.1.1",
        post(b"Expect: 100-continue", b"Transfer-Encoding: chunked", body=b"2\r\nhi\r\n0\r\n\r\n"),
        accept(b"hi"),
    ),
    "expect: 100-Continue": Row("9110 10.1.1", post(b"Expect: 100-Continue", TWO, body=b"hi"), accept(b"hi")),
    "expect: 100-continue and no body": Row("9110 10.1.1", get(b"Expect: 100-continue"), accept()),
    "expect: 100-continue and an empty body": Row(
        "9110 10.1.1", post(b"Expect: 100-continue", b"Content-Length: 0"), accept()
    ),
    "expect: 100-continue in 1.0": Row(
        "9110 10.1.1", old(b"Expect: 100-continue", TWO, body=b"hi"), accept(b"hi", kept=False)
    ),
    "expect: something else": Row("9110 10.1.1", get(b"Expect: 200-ok"), decline(417)),
    "expect: something else, with a body": Row("9110 10.1.1", post(b"Expect: 200-ok", TWO, body=b"hi"), decline(417)),
    "expect: 100-continue and something else": Row(
        "9110 10.1.1", post(b"Expect: 100-continue, 200-ok", TWO, body=b"hi"), decline(417)
    ),
}

TABLE = OF_HOST | LINES | CONNECTION | UPGRADE | EXPECT
