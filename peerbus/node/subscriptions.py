"""A peer's subscriptions as its node knows them; those that the server lost are restored."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from peerbus.errors import IndexTimeout, IndexUnreachable, PeerbusError, TopicNotFound
from peerbus.node.event_log import EventLog
from peerbus.node.server_client import ServerClient
from peerbus.wire.protocol import SubscribeAnswer, SubscribeRequest

EXPLICIT_OPTIONS = {"ack_deadline", "max_attempts", "dead_letter_topic"}


class Standing(Enum):
    """Whether the server has a subscription, as far as the node can tell."""

    HELD = "the server has it"
    IN_DOUBT = "a renewal went unanswered, and may have found the lease run out"
    LOST = "the server does not have it"


@dataclass(slots=True)
class Subscription:
    """A subscription, with the options that the application named.

    Every message before `resume_from` is settled; the offset belongs to the server's state `epoch`.
    """

    resume_from: int
    epoch: str | None
    options: dict[str, Any]
    standing: Standing = Standing.HELD


class Subscriptions:
    """The subscriptions made through this node, updated from the answers to the application's calls.

    A restarted server has another epoch and new topics. All their messages are new to the peer, so restored
    subscriptions begin at the first offset; a topic that does not exist yet is retried at each renewal. After a lost
    lease the topics still exist: subscriptions resume where they stood. A group that still has members has kept its
    position.
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

    def find(self, topic: str) -> Subscription | None:
        """The current subscription to a topic; pass it to `moved_on` after the call that it was read for."""
        return self._by_topic.get(topic)

    def begun(self, topic: str, next_offset: int, named: dict[str, Any], created: bool) -> None:
        """A subscribe call succeeded: a new subscription, or one moved by `from`, continues at `next_offset`."""
        before = self._by_topic.get(topic)
        options = {**(before.options if before and not created else {}), **named}
        if options.get("ack") == "auto":
            options = {name: value for name, value in options.items() if name not in EXPLICIT_OPTIONS}
        moved = options.pop("from", None) is not None
        resume_from = before.resume_from if before and not created and not moved else next_offset
        self._by_topic[topic] = Subscription(resume_from, self.epoch, options)

    def moved_on(self, topic: str, subscription: Subscription | None, resume_from: int) -> None:
        """Messages were pulled, acknowledged or extended. The answers of concurrent calls may come in any order.

        `subscription` is the result of `find` before the call; one that has ended or moved since is not changed.
        """
        if subscription is None:
            subscription = self._by_topic.setdefault(topic, Subscription(resume_from, self.epoch, {}))
        subscription.resume_from = max(resume_from, subscription.resume_from)

    def moved_back(self, topic: str, resume_from: int) -> None:
        """Pulled messages were rejected or handed back."""
        if subscription := self._by_topic.get(topic):
            subscription.resume_from = min(resume_from, subscription.resume_from)

    def ended(self, topic: str) -> None:
        """The subscription ended, or its topic was deleted."""
        self._by_topic.pop(topic, None)

    def all_ended(self) -> None:
        """The peer was unregistered."""
        self.epoch = None
        self._by_topic.clear()

    def all_lost(self) -> None:
        """Mark all as unknown to the server."""
        for subscription in list(self._by_topic.values()):
            subscription.standing = Standing.LOST

    def doubt(self) -> None:
        """Mark those that the server had as possibly lost."""
        for subscription in list(self._by_topic.values()):
            if subscription.standing is Standing.HELD:
                subscription.standing = Standing.IN_DOUBT

    def restore(self) -> None:
        """Subscribe again where the server lost a subscription; a refused one is noted, and the others follow.

        Raises `IndexUnreachable` and `IndexTimeout`.
        """
        for topic, subscription in list(self._by_topic.items()):
            if subscription.standing is not Standing.HELD:
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
        same_epoch = subscription.epoch == self.epoch
        begin = {"from": subscription.resume_from if same_epoch else 0}
        may_stand = subscription.standing is Standing.IN_DOUBT or "group" in subscription.options
        try:
            answer = self._subscribe(topic, subscription.options if may_stand else subscription.options | begin)
            if may_stand and answer.created and answer.members == 1:
                self._subscribe(topic, begin)
        except TopicNotFound:
            subscription.standing = Standing.LOST
            if same_epoch:
                self.ended(topic)
                self._events.note("topic_deleted", f"Topic '{topic}' was deleted.", topic)
        else:
            if self._by_topic.get(topic) is subscription:
                self._by_topic[topic] = Subscription(begin["from"], self.epoch, subscription.options)
            if answer.created:
                sentence = f"Peer '{self._peer_id}' is subscribed to topic '{topic}' again."
                self._events.note("resubscribed", sentence, topic)

    def _subscribe(self, topic: str, named: dict[str, Any]) -> SubscribeAnswer:
        request = msgspec.convert({"peer_id": self._peer_id, "topic": topic, **named}, SubscribeRequest)
        return self._index.call("/subscribe", request, SubscribeAnswer)
