"""A call that is passed on from server to server."""

from hmac import compare_digest
from time import perf_counter

import msgspec
from msgspec import Raw, Struct

from peerbus.http.passing_on import quoted, wait_in
from peerbus.http.types import ADDED, Head, Request
from peerbus.http.upstream.exchange import Exchange
from peerbus.wire.endpoints import Endpoint
from peerbus.wire.protocol import PublishRequest, PullRequest, RegisterRequest, SubscribeRequest

FORWARDED = "peerbus-forwarded"
"""The header with the URL of the server that passes a call on: the call goes no further."""
SECRET = "peerbus-secret"  # noqa: S105  # the name of a header
"""The header with the secret that servers share."""
CLIENT = "peerbus-client"
"""The header with the address of the caller, in calls whose answer depends on it."""
ASKED_FOR = (("content-type", "Content-Type"), ("authorization", "Authorization"), (ADDED, "Peerbus-Added"))
"""The headers of a request that are passed on."""
NAMING_ADDRESSES = (RegisterRequest, SubscribeRequest)
"""Requests that may name only addresses of their caller."""


class ForwardedCall:
    """A call of an endpoint, with all that is passed on of it."""

    __slots__ = (
        "_exchange",
        "body",
        "endpoint",
        "headers",
        "is_forwarded",
        "is_given_up",
        "path",
        "until",
        "wait",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        path: str,
        headers: tuple[str, ...],
        body: bytes = b"",
        wait: float = 0.0,
        *,
        is_forwarded: bool = False,
    ) -> None:
        """`path` has the query string, too; `wait` is for how many seconds a pull waits.

        `is_forwarded` says that another server passed the call on to this one.
        """
        self.endpoint = endpoint
        self.path = path
        self.headers = headers
        self.body = body
        self.wait = wait
        self.until = perf_counter() + wait
        """The end of the wait, by `perf_counter`."""
        self.is_forwarded = is_forwarded
        self.is_given_up = False
        """Whether the caller is gone, or may wait no longer."""
        self._exchange: Exchange | None = None

    @classmethod
    def of(cls, request: Request, endpoint: Endpoint, sender: tuple[str, ...]) -> "ForwardedCall":
        """The call that passes a request on; `sender` are the headers by which servers know each other."""
        head, body = request.head, request.body
        headers = (*passed_on(head), *sender)
        if endpoint.request in NAMING_ADDRESSES:
            headers = (*headers, f"{CLIENT}: {request.client}")
        path = f"{endpoint.path}?{quoted(head.query)}" if head.query else endpoint.path
        wait = _wait(body) if endpoint.request is PullRequest else 0.0
        return cls(endpoint, path, headers, body, wait, is_forwarded=FORWARDED in head.headers)

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be made again if it may have been carried out.

        A waiting pull may: it was waiting, as far as anyone knows.
        """
        return self.endpoint.repeatable or self.wait > 0 or self._has_message_id

    @property
    def rest(self) -> float:
        """The seconds of the wait that are left."""
        return max(0.0, self.until - perf_counter())

    def shorten(self) -> None:
        """Let it wait, when it is made again, only for the rest of its wait."""
        if self.wait:
            fields = msgspec.json.decode(self.body, type=dict[str, Raw])
            self.body = msgspec.json.encode(fields | {"wait": Raw(b"%.3f" % self.rest)})

    def sent(self, exchange: Exchange) -> None:
        """It is under way."""
        self._exchange = exchange
        if self.is_given_up:
            exchange.give_up()

    def move(self) -> None:
        """Have it made again: the server that it was passed on to is not the owner any more."""
        if self._exchange:
            self._exchange.give_up()

    def give_up(self) -> None:
        """End it: its connection is closed, so that the owner takes back what it would hand over."""
        self.is_given_up = True
        self.move()

    @property
    def _has_message_id(self) -> bool:
        if self.endpoint.request is not PublishRequest:
            return False
        try:
            return msgspec.json.decode(self.body, type=_Published).message_id is not None
        except msgspec.MsgspecError:
            return False


class _Pull(Struct):
    wait: Raw = Raw(b"0")


class _Published(Struct):
    message_id: str | None = None


def _wait(body: bytes) -> float:
    """The wait of a pull; 0 for a body that will be refused."""
    try:
        return wait_in(msgspec.json.decode(body, type=_Pull).wait)
    except msgspec.MsgspecError:
        return 0.0


def passed_on(head: Head) -> tuple[str, ...]:
    """The headers of a request that are passed on."""
    given = head.headers
    return tuple([f"{name}: {given[key]}" for key, name in ASKED_FOR if key in given])


def is_from_server(head: Head, secret: str) -> bool:
    """Whether a server of the cluster passed a request on."""
    shown = head.headers.get(SECRET)
    return shown is not None and compare_digest(shown.encode(), secret.encode())
