"""What a peer node noted."""

import logging
import threading
import time
from collections import deque

from peerbus.wire.views import Event

log = logging.getLogger(__name__)

KEPT = 1000


class EventLog:
    """The latest `KEPT` events, which `GET /events` shows; each is logged too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: deque[Event] = deque(maxlen=KEPT)

    def note(self, event: str, message: str, topic: str | None = None, level: int = logging.INFO) -> None:
        """Note that `event` happened, in a sentence; from the level of warnings on, the terminal shows it, too."""
        log.log(level, "%s", message)
        with self._lock:
            self._events.append(Event(time.time(), event, message, topic))

    def listing(self) -> list[Event]:
        """The events kept, the oldest first."""
        with self._lock:
            return list(self._events)
