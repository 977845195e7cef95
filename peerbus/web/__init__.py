"""The door: from an HTTP request to a handler and back, the same for indexing server and peer node."""

from peerbus.web.app import create_app
from peerbus.web.described import described
from peerbus.web.door import Door, new_durations
from peerbus.web.guard import NO_GUARDS, Guards, guarded
from peerbus.web.handlers import WAITS, Admit, Handler, answering
from peerbus.web.openapi import Service
from peerbus.web.pages import Page, pages
from peerbus.web.reply import Reply
from peerbus.web.request import read_body

__all__ = [
    "NO_GUARDS",
    "WAITS",
    "Admit",
    "Door",
    "Guards",
    "Handler",
    "Page",
    "Reply",
    "Service",
    "answering",
    "create_app",
    "described",
    "guarded",
    "new_durations",
    "pages",
    "read_body",
]
