"""Push targets: URLs to which the messages that one member of a message queue gets are posted."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from peerbus.broker.results import Pulled
from peerbus.errors import BadRequest
from peerbus.wire.views import PushView


class PushOptions(NamedTuple):
    """Where messages are posted: `batch` a request, in `at_once` requests at a time, signed with the `secret`."""

    url: str
    batch: int = 1
    at_once: int = 1
    secret: str | None = None


def changed(options: PushOptions | None, named: Mapping[str, Any]) -> PushOptions | None:
    """The options with those changed that are named; None for no push target, which is a named `url` of None.

    Raises `BadRequest` for others without a URL.
    """
    url = named.get("url", options.url if options else None)
    others = sorted(f"push_{name}" for name in named if name != "url")
    if url is None and others:
        raise BadRequest(f"{', '.join(others)} only mean something with push_to - at $.{others[0]}")
    if url is None:
        return None
    return options._replace(**named) if options else PushOptions(**named)


class PushTarget:
    """The push target of a member, and how the last push went."""

    __slots__ = ("missed", "number", "options", "problem", "tries_at", "waits")

    def __init__(self, options: PushOptions, number: int) -> None:
        self.options = options
        self.number = number
        """A globally unique number; a target with other options is another one."""
        self.missed = 0
        """Messages that were lost before they could be pushed, as far as no push that was taken told it."""
        self.problem: str | None = None
        """Why the last push failed; None if it did not."""
        self.tries_at = 0.0
        """When the next push may begin, if there is a problem."""
        self.waits = False
        """Whether it waits for messages among the waiting pulls."""

    def view(self, peer_id: str, now: float) -> PushView:
        """The target as it is now."""
        url = self.options.url.partition("?")[0]
        tries_in = None if self.problem is None else max(0.0, self.tries_at - now)
        return PushView(peer_id, url, self.problem, tries_in)


class PushKey(NamedTuple):
    """Names a push target."""

    peer_id: str
    topic: str
    number: int


class Push(NamedTuple):
    """Messages handed over to be pushed, which must be settled in `ack_deadline` seconds.

    `missed` messages were lost before them since the last push that was taken.
    """

    key: PushKey
    options: PushOptions
    pulled: Pulled
    missed: int
    ack_deadline: float


class PushProblem(NamedTuple):
    """Why a push failed, and for how many seconds its target pauses.

    Unless `attempted`, the messages are handed back untouched.
    """

    reason: str
    pause: float
    attempted: bool = True
