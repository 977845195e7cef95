"""The events of a peer node."""

import logging
import threading
import time
from collections import deque

from peerbus.wire.views import Event

log = logging.getLogger(__name__)

KEPT = 1000


class EventLog:
    """The latest `KEPT` events, which `GET /events` lists; each is logged, too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: deque[Event] = deque(maxlen=KEPT)

    def note(self, event: str, message: str, topic: str | None = None, level: int = logging.INFO) -> None:
        """Note an event with a sentence about it; the terminal shows those of level warning and above."""
        log.log(level, "%s", message)
        with self._lock:
            self._events.append(Event(time.time(), event, message, topic))

    def listing(self) -> list[Event]:
        """The kept events, oldest first."""
        with self._lock:
            return list(self._events)
