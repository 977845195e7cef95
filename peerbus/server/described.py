"""The description of the indexing server's calls and pages."""

from collections.abc import Iterable
from dataclasses import replace

from peerbus.broker import Limits
from peerbus.errors import Forbidden, PeerbusError, TooManyStreams, Unauthorized
from peerbus.http.docs.described import described
from peerbus.http.docs.openapi import Service
from peerbus.http.pages import Page
from peerbus.wire.endpoints import ENDPOINTS, SERVER_ENDPOINTS, SUBSCRIPTION, Access, Endpoint
from peerbus.wire.protocol import CreateTopicRequest, PullRequest


def described_index(
    pages: Iterable[Page], limits: Limits, asks_for_tokens: bool, more_errors: tuple[type[PeerbusError], ...] = ()
) -> tuple[Page, ...]:
    """`pages`, and the pages that describe an indexing server with these limits.

    `more_errors` are those of all calls but the ones that anyone may make.
    """
    service = Service(
        "peerbus: indexing server",
        "Publish, subscribe, pull, acknowledge, reject and redeliver over plain HTTP.",
        asks_for_tokens=asks_for_tokens,
        stream_errors=(*SUBSCRIPTION, TooManyStreams, Unauthorized, Forbidden, *more_errors),
        bounds={
            (CreateTopicRequest, "max_messages"): limits.max_messages,
            (PullRequest, "wait"): limits.max_wait,
        },
    )
    rows = (*ENDPOINTS, *SERVER_ENDPOINTS)
    more_errors = (*((Unauthorized, Forbidden) if asks_for_tokens else ()), *more_errors)
    return described(service, [_with_errors(row, more_errors) for row in rows], pages)


def _with_errors(endpoint: Endpoint, errors: tuple[type[PeerbusError], ...]) -> Endpoint:
    if endpoint.access is Access.ANYONE:
        return endpoint
    return replace(endpoint, errors=(*endpoint.errors, *errors))
