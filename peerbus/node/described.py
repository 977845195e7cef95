"""The description of a peer node's calls: its API page and its OpenAPI document."""

from collections.abc import Iterable
from dataclasses import replace

from peerbus.errors import Forbidden, IndexTimeout, IndexUnreachable, PeerMismatch, TooManyStreams, Unauthorized
from peerbus.http.docs.described import described
from peerbus.http.docs.openapi import Service
from peerbus.http.pages import Page
from peerbus.wire.endpoints import ENDPOINTS, NODE_ENDPOINTS, SUBSCRIPTION, Access, Endpoint

OF_TOKENS = (Unauthorized, Forbidden)
OF_FORWARDING = (IndexUnreachable, IndexTimeout)
"""Errors between a node and the indexing server."""


def described_node(pages: Iterable[Page], peer_id: str, asks_for_token: bool) -> tuple[Page, ...]:
    """`pages`, and the pages that describe the calls of a peer's node."""
    service = Service(
        f"peerbus: node of peer {peer_id}",
        "Calls are forwarded to the indexing server, with the peer's own id; answers and errors come back unchanged.",
        peer_id,
        asks_for_token,
        stream_errors=(*SUBSCRIPTION, TooManyStreams, PeerMismatch, *OF_TOKENS, *OF_FORWARDING),
    )
    own = map(_guarded, NODE_ENDPOINTS) if asks_for_token else NODE_ENDPOINTS
    return described(service, (*map(_forwarded, ENDPOINTS), *own), pages)


def _forwarded(endpoint: Endpoint) -> Endpoint:
    """A forwarded call with all its errors; the server may require tokens."""
    of_peers = (PeerMismatch,) if endpoint.has_peer_id else ()
    of_tokens = () if endpoint.access is Access.ANYONE else OF_TOKENS
    return replace(endpoint, errors=(*endpoint.errors, *of_peers, *of_tokens, *OF_FORWARDING))


def _guarded(endpoint: Endpoint) -> Endpoint:
    """A call that the node answers itself, where the node requires its token."""
    return endpoint if endpoint.access is Access.ANYONE else replace(endpoint, errors=(*endpoint.errors, Unauthorized))
