"""A peer's subscriptions as its node knows them; those that the server may have lost are made again."""

from dataclasses import dataclass
from typing import Any

import msgspec

from peerbus.errors import IndexTimeout, IndexUnreachable, PeerbusError, TopicNotFound
from peerbus.node.event_log import EventLog
from peerbus.node.server_client import ServerClient
from peerbus.wire.protocol import SubscribeAnswer, SubscribeRequest

EXPLICIT_OPTIONS = {"ack_deadline", "max_attempts", "dead_letter_topic"}
PUSH_OPTIONS = {"push_to", "push_batch", "push_at_once", "push_secret"}


@dataclass(slots=True)
class Subscription:
    """A subscription of the server's state `epoch`, with the options that the application named.

    `is_held`: the server has it, as far as the node can tell.
    """

    epoch: str | None
    options: dict[str, Any]
    is_held: bool = True


class Subscriptions:
    """The subscriptions made through this node, updated from the answers to the application's calls.

    Message queues stand while a peer is away, and keep their position when it subscribes again. So a subscription that
    the server may have lost is simply made again. A queue that is gone begins anew with the oldest message kept: a
    restarted server has new topics, and all their messages are new to the peer. A topic that does not exist there yet
    is tried again at each renewal.
    """

    def __init__(self, index: ServerClient, peer_id: str, events: EventLog) -> None:
        self._index = index
        self._peer_id = peer_id
        self._events = events
        self._by_topic: dict[str, Subscription] = {}
        self.epoch: str | None = None
        """The epoch of new subscriptions; None while the peer is not registered."""

    def __contains__(self, topic: str) -> bool:
        return topic in self._by_topic

    def is_pushed(self, topic: str) -> bool:
        """Whether a subscription that was made through this node has a push target."""
        subscription = self._by_topic.get(topic)
        return subscription is not None and "push_to" in subscription.options

    def begun(self, topic: str, named: dict[str, Any], created: bool) -> None:
        """A subscribe call succeeded, with these options; `created`: the subscription is new."""
        before = self._by_topic.get(topic)
        options = {**(before.options if before and not created else {}), **named}
        options.pop("from", None)
        if options.get("ack") == "auto":
            options = {name: value for name, value in options.items() if name not in EXPLICIT_OPTIONS}
        if options.get("push_to") is None:
            options = {name: value for name, value in options.items() if name not in PUSH_OPTIONS}
        self._by_topic[topic] = Subscription(self.epoch, options)

    def used(self, topic: str) -> None:
        """A call about a subscription succeeded: the server has it, though it may have been made by an earlier node."""
        self._by_topic.setdefault(topic, Subscription(self.epoch, {}))

    def ended(self, topic: str) -> None:
        """The subscription ended, or its topic was deleted."""
        self._by_topic.pop(topic, None)

    def all_ended(self) -> None:
        """The peer was unregistered."""
        self.epoch = None
        self._by_topic.clear()

    def doubt(self) -> None:
        """Mark all as possibly lost by the server."""
        for subscription in list(self._by_topic.values()):
            subscription.is_held = False

    def restore(self) -> None:
        """Make those again that the server may have lost; a refused one is noted, and the others follow.

        Raises `IndexUnreachable` and `IndexTimeout`.
        """
        for topic, subscription in list(self._by_topic.items()):
            if not subscription.is_held:
                self._restore_if_possible(topic, subscription)

    def _restore_if_possible(self, topic: str, subscription: Subscription) -> None:
        try:
            self._restore(topic, subscription)
        except (IndexUnreachable, IndexTimeout):
            raise
        except PeerbusError as error:
            sentence = f"The subscription of peer '{self._peer_id}' to topic '{topic}' is not restored: {error}"
            self._events.note("not_resubscribed", sentence, topic)

    def _restore(self, topic: str, subscription: Subscription) -> None:
        fields = {"peer_id": self._peer_id, "topic": topic, "from": "earliest", **subscription.options}
        try:
            answer = self._index.call("/subscribe", msgspec.convert(fields, SubscribeRequest), SubscribeAnswer)
        except TopicNotFound:
            if subscription.epoch == self.epoch:
                self.ended(topic)
                self._events.note("topic_deleted", f"Topic '{topic}' was deleted.", topic)
            return
        if self._by_topic.get(topic) is subscription:
            self._by_topic[topic] = Subscription(self.epoch, subscription.options)
        if answer.created:
            sentence = f"Peer '{self._peer_id}' is subscribed to topic '{topic}' again."
            self._events.note("resubscribed", sentence, topic)
