"""A peer's place at the indexing server: registered, its lease renewed, its subscriptions kept."""

import logging
import threading
from dataclasses import dataclass

from peerbus.errors import PeerbusError, PeerNotFound, TopicNotFound
from peerbus.peer.events import Events
from peerbus.peer.index import Index
from peerbus.protocol import PeerAnswer, PeerRequest, RegisterAnswer, RegisterRequest, SubscribeAnswer, SubscribeRequest

log = logging.getLogger(__name__)

RENEWALS_PER_LEASE = 3
CHECK_SECONDS = 10.0
"""How often a peer without a lease looks whether the server still knows it."""
RETRY_SECONDS = 1.0
UNREGISTER_SECONDS = 1.0
"""How long leaving may take; a server that does not answer then will find the lease run out."""


@dataclass(slots=True)
class Subscription:
    """A subscription as this node knows it.

    `next_offset` is where its next pull begins, in the life `epoch` of the server; `lost` says that the
    server does not have it at present.
    """

    next_offset: int
    epoch: str | None
    lost: bool = False


class Membership:
    """Registers the peer, renews its lease in the background, and restores what the server lost.

    A server that restarted has another epoch and new topics: everything retained in them is new to this
    peer, so its subscriptions begin with the first offset; a topic that is not there yet is tried again. A
    server that let the lease run out still has the topics: the subscriptions go on where they stood.
    """

    def __init__(self, index: Index, peer_id: str, address: str, lease_seconds: float, events: Events) -> None:
        self._index = index
        self._events = events
        self._registration = RegisterRequest(peer_id=peer_id, address=address, lease_seconds=lease_seconds)
        self._lock = threading.RLock()
        self._epoch: str | None = None
        self._wanted = True
        self._reachable = True
        self._subscriptions: dict[str, Subscription] = {}
        self._stopping = False
        self._hurry = threading.Event()
        self._renewals = threading.Thread(target=self._renew_until_stopped, name="renewals", daemon=True)

    @property
    def peer_id(self) -> str:
        """The peer this node stands for."""
        return self._registration.peer_id

    @property
    def registration(self) -> RegisterRequest:
        """What this node registers with."""
        return self._registration

    @property
    def registered(self) -> bool:
        """Whether the last registration or renewal went through, and none since was undone."""
        return self._wanted and self._reachable and self._epoch is not None

    def start(self) -> None:
        """Register, and keep the lease; a server that cannot be reached yet is tried again."""
        self.renew()
        self._renewals.start()

    def stop(self) -> None:
        """Stop renewing and unregister, as far as the server can be reached at once."""
        self._stopping = True
        self._hurry.set()
        wanted, self._wanted = self._wanted, False
        if not wanted:
            return
        request = PeerRequest(peer_id=self.peer_id)
        try:
            self._index.call("/unregister_peer_node", request, PeerAnswer, UNREGISTER_SECONDS)
        except PeerNotFound:
            pass
        except PeerbusError as error:
            log.warning("Peer '%s' could not unregister: %s", self.peer_id, error)
        else:
            self._events.note("unregistered", f"Peer '{self.peer_id}' is unregistered.")

    def renew(self) -> bool:
        """Register or renew, and restore lost subscriptions; false when the server did not do it."""
        with self._lock:
            if not self._wanted:
                return True
            try:
                answer = self._index.call("/register_peer_node", self._registration, RegisterAnswer)
                self._registered(answer)
            except PeerbusError as error:
                if self._reachable:
                    self._events.note("index_lost", f"Peer '{self.peer_id}' is not renewed: {error}")
                self._reachable = False
                return False
            if not self._reachable:
                self._events.note("index_back", f"The indexing server at {self._index.url} answers again.")
            self._reachable = True
            return True

    # What the calls forwarded for the application change

    def joined(self, registration: RegisterRequest, epoch: str) -> None:
        """The application registered the peer itself; renewals keep to what it named."""
        with self._lock:
            self._registration = registration
            self._wanted, self._epoch = True, epoch
        self._hurry.set()

    def left(self) -> None:
        """The application unregistered the peer; it stays so until the application registers it."""
        self._wanted = False
        self._subscriptions.clear()

    def subscribed(self, topic: str, next_offset: int) -> None:
        """The subscription exists, and its next pull begins at `next_offset`."""
        self._subscriptions[topic] = Subscription(next_offset, self._epoch)

    def pulled(self, topic: str, next_offset: int) -> None:
        """A pull went through."""
        subscription = self._subscriptions.get(topic)
        if subscription:
            subscription.next_offset = next_offset

    def unsubscribed(self, topic: str) -> None:
        """The subscription, or its topic, is gone."""
        self._subscriptions.pop(topic, None)

    def can_restore(self, topic: str | None) -> bool:
        """Whether the peer, or its subscription to `topic`, should be there although the server says it is not."""
        return self._wanted and (topic is None or topic in self._subscriptions)

    def _registered(self, answer: RegisterAnswer) -> None:
        restarted = self._epoch is not None and answer.epoch != self._epoch
        if restarted:
            self._events.note(
                "index_restarted", f"The indexing server restarted; peer '{self.peer_id}' is registered again."
            )
        elif answer.created and self._epoch is not None:
            self._events.note("lease_lost", f"The lease of peer '{self.peer_id}' ran out; it is registered again.")
        elif self._epoch is None:
            self._events.note("registered", f"Peer '{self.peer_id}' is registered at {self._index.url}.")
        self._epoch = answer.epoch
        for topic, subscription in list(self._subscriptions.items()):
            subscription.lost |= restarted or answer.created
            if subscription.lost:
                self._restore(topic, subscription)

    def _restore(self, topic: str, subscription: Subscription) -> None:
        same_life = subscription.epoch == self._epoch
        start = subscription.next_offset if same_life else 0
        request = SubscribeRequest(peer_id=self.peer_id, topic=topic, start=start)
        try:
            answer = self._index.call("/subscribe", request, SubscribeAnswer)
        except TopicNotFound:
            if same_life:
                self.unsubscribed(topic)
                self._events.note("topic_deleted", f"Topic '{topic}' was deleted while the lease was lost.", topic)
        else:
            self.subscribed(topic, answer.next_offset)
            self._events.note("resubscribed", f"Peer '{self.peer_id}' is subscribed to topic '{topic}' again.", topic)

    def _renew_until_stopped(self) -> None:
        while not self._stopping:
            lease = self._registration.lease_seconds
            pause = lease / RENEWALS_PER_LEASE if isinstance(lease, float) else CHECK_SECONDS
            if not self._hurry.wait(pause if self._reachable else min(RETRY_SECONDS, pause)):
                self.renew()
            self._hurry.clear()
