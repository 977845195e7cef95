"""The calls a peer node answers itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from peerbus.calls import counted, livez
from peerbus.endpoints import Access, Endpoint
from peerbus.errors import NotReady
from peerbus.protocol import Answer, EmptyRequest, EventsAnswer, NodeAnswer, Notice, PeerAnswer

if TYPE_CHECKING:
    from peerbus.peer.node import PeerNode


def exit_peer(node: PeerNode, _: EmptyRequest) -> PeerAnswer:
    """Unregister the peer and end its node, after this answer."""
    node.leave()
    return PeerAnswer(message=f"Peer '{node.peer_id}' is leaving.", peer_id=node.peer_id)


def notify(node: PeerNode, notice: Notice) -> Answer:
    """Take a notice of the indexing server's."""
    node.events.note(notice.event, notice.message, notice.topic)
    return Answer(message=f"Peer '{node.peer_id}' has noted it.")


def events(node: PeerNode, _: EmptyRequest) -> EventsAnswer:
    """Show what happened to this peer."""
    noted = node.events.listing()
    return EventsAnswer(message=f"{counted(len(noted), 'event')}.", events=noted)


def about(node: PeerNode, _: EmptyRequest) -> NodeAnswer:
    """Show for whom this node acts, and whether that peer is registered."""
    membership = node.membership
    registration = membership.registration
    state = "is registered" if membership.registered else "is not registered"
    return NodeAnswer(
        message=f"Peer '{node.peer_id}' {state} with {membership.index_url}.",
        peer_id=node.peer_id,
        address=registration.address or None,
        index_url=membership.index_url,
        registered=membership.registered,
        lease_seconds=registration.lease_seconds or None,
        renewed_ago=membership.renewed_ago,
    )


def readyz(node: PeerNode, _: EmptyRequest) -> Answer:
    """Say whether the peer is registered."""
    if not node.registered:
        raise NotReady(f"Peer '{node.peer_id}' is not registered with the indexing server.")
    return Answer(message="Ready.")


OWN_CALLS: tuple[Endpoint[PeerNode, Any], ...] = (
    Endpoint("POST", "/exit_peer", EmptyRequest, exit_peer, answer=PeerAnswer),
    Endpoint("POST", "/notify", Notice, notify, logging.DEBUG, access=Access.ANYONE),
    Endpoint("GET", "/events", EmptyRequest, events, answer=EventsAnswer),
    Endpoint("GET", "/node", EmptyRequest, about, answer=NodeAnswer),
    Endpoint("GET", "/livez", EmptyRequest, livez, access=Access.ANYONE),
    Endpoint("GET", "/readyz", EmptyRequest, readyz, errors=(NotReady,), access=Access.ANYONE),
)
