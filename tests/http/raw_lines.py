"""Request lines: their form, versions, targets and methods (RFC 9112 sections 2 and 3, RFC 9110 sections 2.5 and 9)."""

from tests.http.raw import HOST, Row, Verdict, accept, answer, close, decline, line, message, refuse


def rows(section: str, verdict: Verdict, lines: dict[str, bytes]) -> dict[str, Row]:
    """Request lines with the same verdict, each followed by a Host alone."""
    return {name: Row(section, line(text), verdict) for name, text in lines.items()}


UNKNOWN = decline(405, 501)
NEVER_DONE = decline(400, 405, 501)

FORMS = {
    "line: plain": Row("9112 3", line(b"GET /echo HTTP/1.1"), accept()),
    "line: one empty line before": Row("9112 2.2", b"\r\n" + line(b"GET /echo HTTP/1.1"), accept()),
    "line: three empty lines before": Row("9112 2.2", b"\r\n\r\n\r\n" + line(b"GET /echo HTTP/1.1"), accept()),
    "line: empty lines and no more": Row("9112 2.2", b"\r\n\r\n", close(), fin=True),
    "line: many empty lines before": Row("9112 2.2", b"\r\n" * 10_000 + line(b"GET /echo HTTP/1.1"), accept()),
    "line: LF before": Row("9112 2.2", b"\n" + line(b"GET /echo HTTP/1.1"), refuse(400)),
    "line: CR before": Row("9112 2.2", b"\r" + line(b"GET /echo HTTP/1.1"), refuse(400)),
    "line: ends with LF": Row("9112 2.2", b"GET /echo HTTP/1.1\n" + HOST + b"\r\n\r\n", refuse(400)),
    "line: all lines end with LF": Row("9112 2.2", b"GET /echo HTTP/1.1\n" + HOST + b"\n\n", refuse(400)),
    "line: ends with CR": Row("9112 2.2", b"GET /echo HTTP/1.1\r" + HOST + b"\r\n\r\n", refuse(400)),
    "line: ends with CR CR LF": Row("9112 2.2", b"GET /echo HTTP/1.1\r\r\n" + HOST + b"\r\n\r\n", refuse(400)),
    **rows(
        "9112 3",
        refuse(400),
        {
            "line: space before": b" GET /echo HTTP/1.1",
            "line: tab before": b"\tGET /echo HTTP/1.1",
            "line: two spaces after the method": b"GET  /echo HTTP/1.1",
            "line: two spaces after the target": b"GET /echo  HTTP/1.1",
            "line: space after": b"GET /echo HTTP/1.1 ",
            "line: tabs for spaces": b"GET\t/echo\tHTTP/1.1",
            "line: tab after the target": b"GET /echo\tHTTP/1.1",
            "line: form feed after the method": b"GET\x0c/echo HTTP/1.1",
            "line: vertical tab after the target": b"GET /echo\x0bHTTP/1.1",
            "line: four words": b"GET /echo HTTP/1.1 HTTP/1.1",
            "line: a method alone": b"GET",
            "line: no target": b"GET  HTTP/1.1",
            "line: no method": b"/echo HTTP/1.1",
            "line: CR inside": b"GET /echo\r HTTP/1.1",
            "line: no word": b"\x00",
        },
    ),
}

VERSIONS = {
    "version: 1.0": Row("9112 9.3", message(b"GET /echo HTTP/1.0"), accept(kept=False)),
    "version: 1.2": Row("9110 2.5", line(b"GET /echo HTTP/1.2"), decline(200, 505, if_done=b"")),
    "version: none, and no fields": Row("9112 3", b"GET /echo\r\n\r\n", refuse(400, 505)),
    "version: none, and no more": Row("9112 3", b"GET /echo\r\n", refuse(400, 505, silent=True), fin=True),
    **rows("9112 3", refuse(400), {"version: none": b"GET /echo", "version: none, but a space": b"GET /echo "}),
    **rows(
        "9110 15.6.6",
        refuse(505),
        {
            "version: 2.0": b"GET /echo HTTP/2.0",
            "version: 3.0": b"GET /echo HTTP/3.0",
            "version: 9.9": b"GET / HTTP/9.9",
        },
    ),
    "version: 0.9": Row("9110 15.6.6", line(b"GET /echo HTTP/0.9"), refuse(400, 505)),
    **rows(
        "9112 2.3",
        refuse(400),
        {
            "version: lower case": b"GET /echo http/1.1",
            "version: mixed case": b"GET /echo Http/1.1",
            "version: RTSP": b"GET /echo RTSP/1.0",
            "version: ICE": b"GET /echo ICE/1.0",
            "version: HTTPS": b"GET /echo HTTPS/1.1",
            "version: no minor": b"GET /echo HTTP/1",
            "version: a dot and no minor": b"GET /echo HTTP/1.",
            "version: no major": b"GET /echo HTTP/.1",
            "version: no dot": b"GET /echo HTTP/11",
            "version: comma": b"GET /echo HTTP/1,1",
            "version: three parts": b"GET /echo HTTP/1.1.1",
            "version: two digits of minor": b"GET /echo HTTP/1.10",
            "version: two digits of major": b"GET /echo HTTP/01.1",
            "version: negative": b"GET /echo HTTP/-1.1",
            "version: letters": b"GET /echo HTTP/a.b",
            "version: letter after": b"GET /echo HTTP/1.1x",
            "version: space inside": b"GET /echo HTTP/ 1.1",
            "version: NUL after": b"GET /echo HTTP/1.1\x00",
            "version: backslash": b"GET /echo HTTP\\1.1",
        },
    ),
}

TARGETS = {
    "target: query": Row("9112 3.2.1", line(b"GET /echo?a=b&c HTTP/1.1"), accept(path="/echo", query="a=b&c")),
    "target: percent encoded": Row("9110 4.2.3", line(b"GET /%65cho HTTP/1.1"), accept(path="/echo")),
    "target: two slashes": Row("9112 3.2.1", line(b"GET //echo HTTP/1.1"), answer(404)),
    "target: absolute": Row(
        "9112 3.2.2", line(b"GET http://localhost/echo?a HTTP/1.1"), accept(path="/echo", query="a")
    ),
    "target: absolute, upper case": Row(
        "9110 4.2.3", line(b"GET HTTP://LOCALHOST/echo HTTP/1.1"), accept(path="/echo")
    ),
    "target: absolute, with a port": Row(
        "9112 3.2.2", line(b"GET http://localhost:80/echo HTTP/1.1"), accept(path="/echo")
    ),
    "target: absolute, no path": Row("9112 3.2.2", line(b"GET http://localhost HTTP/1.1"), answer(404)),
    "target: absolute, another host": Row(
        "9112 3.2.2", line(b"GET http://other.example/echo HTTP/1.1"), accept(host="other.example")
    ),
    "target: absolute, no Host": Row("9112 3.2", message(b"GET http://localhost/echo HTTP/1.1"), refuse(400)),
    "target: absolute in 1.0, no Host": Row("9112 3.2.2", message(b"GET http://a/echo HTTP/1.0"), accept(kept=False)),
    "target: asterisk of OPTIONS": Row("9112 3.2.4", line(b"OPTIONS * HTTP/1.1"), answer(200, 204, 404, 405)),
    "target: 8,000 bytes": Row("9112 3", line(b"GET /echo?" + b"x" * 8000 + b" HTTP/1.1"), accept(query="x" * 8000)),
    "target: 70,000 bytes": Row("9112 3", line(b"GET /echo?" + b"x" * 70_000 + b" HTTP/1.1"), refuse(414, 431)),
    "target: 70,000 bytes and no end": Row("9112 3", b"GET /" + b"x" * 70_000, refuse(400, 414, 431)),
    **rows(
        "9112 3.2",
        refuse(400),
        {
            "target: absolute, no host": b"GET http:///echo HTTP/1.1",
            "target: absolute, with a user": b"GET http://user@localhost/echo HTTP/1.1",
            "target: authority": b"GET localhost:80 HTTP/1.1",
            "target: a name": b"GET echo HTTP/1.1",
            "target: asterisk of GET": b"GET * HTTP/1.1",
            "target: asterisk of POST": b"POST * HTTP/1.1",
            "target: asterisk and more": b"OPTIONS *x HTTP/1.1",
            "target: query alone": b"GET ?a=b HTTP/1.1",
            "target: fragment": b"GET /echo#a HTTP/1.1",
            "target: fragment of a query": b"GET /echo?a#b HTTP/1.1",
            "target: space": b"GET /echo a HTTP/1.1",
            "target: tab": b"GET /echo\ta HTTP/1.1",
            "target: NUL": b"GET /echo\x00 HTTP/1.1",
            "target: control character": b"GET /echo\x01 HTTP/1.1",
            "target: DEL": b"GET /echo\x7f HTTP/1.1",
            "target: control character in the query": b"GET /echo?\x1b HTTP/1.1",
            "target: UTF-8": b"GET /echo?\xc3\xa9 HTTP/1.1",
            "target: Latin-1": b"GET /echo\xff HTTP/1.1",
            "target: LF": b"GET /echo\nHTTP/1.1",
        },
    ),
}

OF_METHODS = {
    **rows(
        "9110 9.1", answer(405), {f"method: {name}": f"{name} /livez HTTP/1.1".encode() for name in ("PUT", "PATCH")}
    ),
    "method: TRACE": Row("9110 9.3.8", line(b"TRACE /echo HTTP/1.1"), UNKNOWN),
    "method: CONNECT to an authority": Row(
        "9110 9.3.6", line(b"CONNECT localhost:80 HTTP/1.1"), decline(400, 404, 405, 501)
    ),
    "method: CONNECT to a path": Row("9110 9.3.6", line(b"CONNECT /echo HTTP/1.1"), NEVER_DONE),
    "method: CONNECT with a body": Row(
        "9110 9.3.6",
        message(b"CONNECT localhost:80 HTTP/1.1", HOST, b"Content-Length: 2", body=b"hi"),
        decline(400, 404, 405, 501),
    ),
    **rows(
        "9110 9.1",
        UNKNOWN,
        {
            "method: unknown": b"FOO /echo HTTP/1.1",
            "method: a known one's beginning": b"GE /echo HTTP/1.1",
            "method: a known one and more": b"GETS /echo HTTP/1.1",
            "method: all that a token may have": b"M0!#$%&'*+-.^_`|~ /echo HTTP/1.1",
            "method: of RTSP": b"DESCRIBE /echo HTTP/1.1",
            "method: of WebDAV": b"PROPFIND /echo HTTP/1.1",
            "method: of HTTP/2's preface": b"PRI /echo HTTP/1.1",
        },
    ),
    **rows(
        "9110 9.1",
        NEVER_DONE,
        {
            "method: lower case get": b"get /echo HTTP/1.1",
            "method: lower case post": b"post /echo HTTP/1.1",
            "method: mixed case": b"Get /echo HTTP/1.1",
            "method: last letter lower": b"POSt /echo HTTP/1.1",
            "method: lower case at a call": b"post /create_topic HTTP/1.1",
        },
    ),
    **rows(
        "9110 5.6.2",
        refuse(400),
        {
            "method: parenthesis": b"GE(T /echo HTTP/1.1",
            "method: colon": b"GET: /echo HTTP/1.1",
            "method: quoted": b'"GET" /echo HTTP/1.1',
            "method: NUL": b"GET\x00 /echo HTTP/1.1",
            "method: not ASCII": b"G\xc9T /echo HTTP/1.1",
        },
    ),
    "method: 70,000 bytes": Row("9112 3", line(b"A" * 70_000 + b" /echo HTTP/1.1"), refuse(400, 414, 431, 501)),
}

TABLE = FORMS | VERSIONS | TARGETS | OF_METHODS
