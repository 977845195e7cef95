"""The door: from an HTTP request to a handler and back, the same for indexing server and peer node."""

from peerbus.web.app import create_app, when_needed
from peerbus.web.described import described
from peerbus.web.door import Door, new_durations
from peerbus.web.guard import NO_GUARDS, Guards, guarded
from peerbus.web.handlers import WAITS, Admit, Handler, answering
from peerbus.web.openapi import Service
from peerbus.web.pages import Page, pages
from peerbus.web.reply import Reply, failure
from peerbus.web.request import read_body
from peerbus.web.streams import MAX_STREAMS, Streams, Wanted, stream_request

__all__ = [
    "MAX_STREAMS",
    "NO_GUARDS",
    "WAITS",
    "Admit",
    "Door",
    "Guards",
    "Handler",
    "Page",
    "Reply",
    "Service",
    "Streams",
    "Wanted",
    "answering",
    "create_app",
    "described",
    "failure",
    "guarded",
    "new_durations",
    "pages",
    "read_body",
    "stream_request",
    "when_needed",
]
