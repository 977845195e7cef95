"""The calls that a peer node answers itself."""

from collections.abc import Callable
from typing import Any, Protocol

from msgspec import UNSET

from peerbus.errors import NotReady
from peerbus.future import Future
from peerbus.http.handler import Handover, Pending
from peerbus.http.stream_tickets import StreamTickets
from peerbus.node.event_log import EventLog
from peerbus.node.identity import mismatch
from peerbus.node.membership import Membership
from peerbus.wire.protocol import (
    Answer,
    EmptyRequest,
    EventsAnswer,
    NodeAnswer,
    NodeTicketRequest,
    Notice,
    PeerAnswer,
    SubscriptionRequest,
)
from peerbus.wire.words import counted


class Node(Protocol):
    """The node that answers."""

    peer_id: str
    events: EventLog
    membership: Membership
    tickets: StreamTickets

    def leave(self) -> Future[None]:
        """Unregister the peer, then stop, in the background."""


def exit_peer(node: Node, _: EmptyRequest) -> Pending:
    """Unregister the peer and stop its node, which still sends this answer."""
    answer = PeerAnswer(message=f"Peer '{node.peer_id}' is leaving.", peer_id=node.peer_id)
    return Pending(node.leave(), lambda _: Handover(answer))


def notify(node: Node, notice: Notice) -> Answer:
    """Note an event that the indexing server reports."""
    node.events.note(notice.event, notice.message, notice.topic)
    return Answer(message=f"Peer '{node.peer_id}' has noted it.")


def stream_ticket(node: Node, r: NodeTicketRequest) -> Answer:
    """Issue a ticket for one stream of this peer; raises `PeerMismatch`."""
    if r.peer_id not in (UNSET, node.peer_id):
        raise mismatch(node.peer_id)
    return node.tickets.issue(SubscriptionRequest(peer_id=node.peer_id, topic=r.topic))


def events(node: Node, _: EmptyRequest) -> EventsAnswer:
    """List the events of this peer."""
    noted = node.events.listing()
    return EventsAnswer(message=f"{counted(len(noted), 'event')}.", events=noted)


def about(node: Node, _: EmptyRequest) -> NodeAnswer:
    """Name the peer this node acts for, and say whether it is registered."""
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
    """Answer: the process is alive."""
    return Answer(message="Alive.")


def readyz(node: Node, _: EmptyRequest) -> Answer:
    """Answer if the peer is registered; raises `NotReady` otherwise."""
    if not node.membership.registered:
        raise NotReady(f"Peer '{node.peer_id}' is not registered with the indexing server.")
    return Answer(message="Ready.")


CALLS: dict[str, Callable[[Any, Any], Answer | Pending]] = {
    "exit_peer": exit_peer,
    "notify": notify,
    "stream_ticket": stream_ticket,
    "events": events,
    "node": about,
    "livez": livez,
    "readyz": readyz,
}
"""The function of each row of `NODE_ENDPOINTS`, by its name."""
