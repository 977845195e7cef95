"""Tickets for streams: a browser's EventSource can send no token in a header, and an URL is no place for a token."""

import secrets
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from time import monotonic
from typing import NamedTuple
from urllib.parse import parse_qsl

from peerbus.errors import Forbidden, Unauthorized
from peerbus.http.handler import Guard
from peerbus.http.types import Request
from peerbus.wire.protocol import StreamRequest, StreamTicketAnswer, SubscriptionRequest
from peerbus.wire.tokens import SECRET_BYTES, hash_of

SECONDS = 30.0
"""How long a ticket is good for."""
MOST = 10_000
"""Tickets that are remembered, used ones and late ones included; beyond it the oldest is forgotten."""

Check = Callable[[StreamRequest], None]
"""Checks the request of a stream each time something is done for it; raises the error that ends the stream."""


class Ticket(NamedTuple):
    """A ticket that was not used: the stream it is for, when it is too old, and what the stream is checked by."""

    peer_id: str
    topic: str
    expires_at: float
    check: Check


def no_check(_: StreamRequest) -> None:
    """The check of a stream that ends by itself alone."""


class StreamTickets:
    """Issues tickets, each for one stream, and admits the streams that show one. For any thread.

    A ticket is kept as its hash, in memory alone.
    """

    def __init__(
        self, check_of: Callable[[str], Check] = lambda _: no_check, clock: Callable[[], float] = monotonic
    ) -> None:
        """`check_of` gives the check for the streams of a peer whose ticket is issued now."""
        self._check_of = check_of
        self._clock = clock
        self._lock = Lock()
        self._tickets: dict[bytes, Ticket | None] = {}
        """By their hashes, as they were issued; None for one that was used."""

    def issue(self, r: SubscriptionRequest) -> StreamTicketAnswer:
        """A ticket for one stream of a peer's subscription to a topic, which need not exist yet."""
        ticket = secrets.token_urlsafe(SECRET_BYTES)
        issued = Ticket(r.peer_id, r.topic, self._clock() + SECONDS, self._check_of(r.peer_id))
        with self._lock:
            self._tickets[hash_of(ticket)] = issued
            if len(self._tickets) > MOST:
                del self._tickets[next(iter(self._tickets))]
        sentence = f"This ticket is good for one stream of topic '{r.topic}' within {SECONDS:g} seconds."
        return StreamTicketAnswer(message=sentence, ticket=ticket, expires_in=SECONDS)

    def or_else(self, guards: Sequence[Guard]) -> Guard:
        """A guard that admits requests with a good ticket, and those without one that the `guards` admit."""
        return partial(self._admit, guards)

    def _admit(self, guards: Sequence[Guard], request: Request) -> None:
        shown = dict(parse_qsl(request.head.query)).get("ticket")
        if shown is not None:
            request.checks.append(partial(_check, self._redeemed(shown)))
            return
        for guard in guards:
            guard(request)

    def _redeemed(self, shown: str) -> Ticket:
        """The ticket that is shown, which is used now; raises `Unauthorized`."""
        hashed = hash_of(shown)
        with self._lock:
            if hashed not in self._tickets:
                raise _refusal("The ticket is not known: it was not issued here, or is forgotten since.")
            ticket = self._tickets[hashed]
            if ticket is None:
                raise _refusal("The ticket was used before: it is good for one stream.")
            if ticket.expires_at <= self._clock():
                raise _refusal(f"The ticket is too old: it was good for {SECONDS:g} seconds.")
            self._tickets[hashed] = None
        return ticket


def _check(ticket: Ticket, fields: StreamRequest) -> None:
    if (fields.peer_id, fields.topic) != (ticket.peer_id, ticket.topic):
        raise Forbidden(f"The ticket is for topic '{ticket.topic}' of peer '{ticket.peer_id}'.")
    ticket.check(fields)


def _refusal(sentence: str) -> Unauthorized:
    return Unauthorized(f"{sentence} Get another one by POST /stream_ticket.")
