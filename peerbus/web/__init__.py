"""The door: from an HTTP request to a handler and back, the same for indexing server and peer node."""

from peerbus.web.app import create_app
from peerbus.web.door import Door
from peerbus.web.handlers import Handler, answering
from peerbus.web.pages import Page, pages
from peerbus.web.reply import Reply
from peerbus.web.request import read_body

__all__ = ["Door", "Handler", "Page", "Reply", "answering", "create_app", "pages", "read_body"]
