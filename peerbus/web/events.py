"""Server-sent events: what a browser's EventSource reads (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

CONTENT_TYPE = "text/event-stream"
HEADERS = [("Content-Type", CONTENT_TYPE), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")]
"""The last keeps nginx from holding events back."""
PING = b": ping\n\n"
"""A comment, which says that the stream stands."""


def event(data: bytes, number: int | None = None, name: str | None = None) -> bytes:
    """One event. JSON may have line breaks between its tokens: each line goes by itself, for the reader to join."""
    lines = [b"data: " + line for line in data.splitlines()]
    if number is not None:
        lines.insert(0, b"id: %d" % number)
    if name is not None:
        lines.insert(0, b"event: " + name.encode())
    return b"\n".join(lines) + b"\n\n"
