"""The calls a peer node answers itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from peerbus.errors import NotReady
from peerbus.future import Future
from peerbus.http.handler import Handover
from peerbus.wire.protocol import Answer, EmptyRequest, EventsAnswer, NodeAnswer, Notice, PeerAnswer
from peerbus.wire.words import counted

if TYPE_CHECKING:
    from peerbus.node.app import PeerNode


def exit_peer(node: PeerNode, _: EmptyRequest) -> Future[Handover]:
    """Unregister the peer and end its node, after this answer."""
    answer = PeerAnswer(message=f"Peer '{node.peer_id}' is leaving.", peer_id=node.peer_id)
    return node.leave().then(lambda _: Handover(answer, None))


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


def livez(_: object, __: EmptyRequest) -> Answer:
    """Say that the process answers."""
    return Answer(message="Alive.")


def readyz(node: PeerNode, _: EmptyRequest) -> Answer:
    """Say whether the peer is registered."""
    if not node.registered:
        raise NotReady(f"Peer '{node.peer_id}' is not registered with the indexing server.")
    return Answer(message="Ready.")


CALLS: dict[str, Callable[[Any, Any], Answer | Future[Handover]]] = {
    "exit_peer": exit_peer,
    "notify": notify,
    "events": events,
    "node": about,
    "livez": livez,
    "readyz": readyz,
}
"""The function of each row of `NODE_ENDPOINTS`, by its name."""
