"""The door: from an HTTP request to a handler and back, the same for indexing server and peer node."""

from peerbus.web.app import create_app
from peerbus.web.door import Door
from peerbus.web.guard import NO_GUARDS, Guards, guarded
from peerbus.web.handlers import Admit, Handler, answering
from peerbus.web.pages import Page
from peerbus.web.reply import Reply
from peerbus.web.request import read_body

__all__ = [
    "NO_GUARDS",
    "Admit",
    "Door",
    "Guards",
    "Handler",
    "Page",
    "Reply",
    "answering",
    "create_app",
    "guarded",
    "read_body",
]
