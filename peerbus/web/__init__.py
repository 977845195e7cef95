"""The door: from an HTTP request to a handler and back, the same for indexing server and peer node."""

from peerbus.web.app import create_app
from peerbus.web.described import described
from peerbus.web.door import Door, new_durations
from peerbus.web.handlers import WAITS, Handler, answering
from peerbus.web.openapi import Service
from peerbus.web.pages import Page, pages
from peerbus.web.reply import Reply
from peerbus.web.request import read_body

__all__ = [
    "WAITS",
    "Door",
    "Handler",
    "Page",
    "Reply",
    "Service",
    "answering",
    "create_app",
    "described",
    "new_durations",
    "pages",
    "read_body",
]
