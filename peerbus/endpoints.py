"""The table of calls: method, path, request, what is done for it, answer and errors.

The indexing server serves `ENDPOINTS` and `HEALTH`; a peer node forwards the same `ENDPOINTS`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from peerbus import calls, listings
from peerbus import protocol as wire
from peerbus.errors import (
    AddressNotAllowed,
    Forbidden,
    MemoryFull,
    NotReady,
    NotSubscribed,
    PeerbusError,
    PeerNotFound,
    StorageFull,
    SubscriptionExists,
    TooManyPeers,
    TooManySubscriptions,
    TooManyTopics,
    TooManyWaiting,
    TopicDeleted,
    TopicExists,
    TopicFull,
    TopicNotFound,
)
from peerbus.later import Later

if TYPE_CHECKING:
    from peerbus.broker import Broker

Result = wire.Answer | Later[calls.Handover]
"""What a call answers, now or later."""
Target = TypeVar("Target")
RequestT = TypeVar("RequestT", bound=wire.Request)


class Access(Enum):
    """Who may make a call, where the server asks for tokens. An admin may make all."""

    ANYONE = "anyone, without a token"
    NEWCOMER = "who has the enrolment token, or is the peer that the call names"
    PEER = "a peer, for itself; with the enrolment token where the call names no peer"
    SELF = "a peer, about itself"
    OWNER = "the peer that created the topic"
    ADMIN = "an admin"


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[Target, RequestT]):
    """One call. Its answers' sentences are logged at `level`, or at debug where nothing was changed."""

    method: str
    path: str
    request: type[RequestT]
    call: Callable[[Target, RequestT], Result]
    level: int = logging.INFO
    answer: type[wire.Answer] = wire.Answer
    errors: tuple[type[PeerbusError], ...] = ()
    """What it may be refused with, beside `errors.ALWAYS`."""
    access: Access = Access.PEER
    """Who may make it, where the server asks for tokens."""

    @property
    def name(self) -> str:
        """The call's name, as in its path."""
        return self.path[1:]

    @property
    def changes(self) -> bool:
        """Whether it may change the target's state."""
        return self.method != "GET"

    @property
    def has_peer_id(self) -> bool:
        """Whether a request says which peer calls."""
        return "peer_id" in self.request.__struct_fields__


SUBSCRIPTION = (PeerNotFound, TopicNotFound, NotSubscribed, TopicDeleted)
"""What a call is refused with that lacks the subscription it is about."""

ENDPOINTS: tuple[Endpoint[Broker, Any], ...] = (
    Endpoint(
        "POST",
        "/register_peer_node",
        wire.RegisterRequest,
        calls.register_peer_node,
        answer=wire.RegisterAnswer,
        errors=(AddressNotAllowed, Forbidden, TooManyPeers, StorageFull),
        access=Access.NEWCOMER,
    ),
    Endpoint(
        "POST",
        "/unregister_peer_node",
        wire.PeerRequest,
        calls.unregister_peer_node,
        answer=wire.UnregisterAnswer,
        errors=(PeerNotFound, StorageFull),
    ),
    Endpoint(
        "POST",
        "/create_topic",
        wire.CreateTopicRequest,
        calls.create_topic,
        answer=wire.CreateTopicAnswer,
        errors=(PeerNotFound, TopicExists, TooManyTopics, StorageFull),
    ),
    Endpoint(
        "DELETE",
        "/delete_topic",
        wire.TopicRequest,
        calls.delete_topic,
        answer=wire.DeleteTopicAnswer,
        errors=(TopicNotFound, StorageFull),
        access=Access.OWNER,
    ),
    Endpoint(
        "POST",
        "/publish",
        wire.PublishRequest,
        calls.publish,
        logging.DEBUG,
        answer=wire.PublishAnswer,
        errors=(TopicNotFound, PeerNotFound, TopicFull, MemoryFull, StorageFull),
    ),
    Endpoint(
        "POST",
        "/subscribe",
        wire.SubscribeRequest,
        calls.subscribe,
        answer=wire.SubscribeAnswer,
        errors=(PeerNotFound, TopicNotFound, SubscriptionExists, TooManySubscriptions, StorageFull),
    ),
    Endpoint(
        "POST",
        "/unsubscribe",
        wire.SubscriptionRequest,
        calls.unsubscribe,
        answer=wire.UnsubscribeAnswer,
        errors=(*SUBSCRIPTION, StorageFull),
    ),
    Endpoint(
        "POST",
        "/pull_messages",
        wire.PullRequest,
        calls.pull_messages,
        logging.DEBUG,
        answer=wire.PullAnswer,
        errors=(*SUBSCRIPTION, TooManyWaiting, StorageFull),
    ),
    Endpoint(
        "POST",
        "/ack_messages",
        wire.ClaimRequest,
        calls.ack_messages,
        logging.DEBUG,
        answer=wire.AckAnswer,
        errors=(*SUBSCRIPTION, StorageFull),
    ),
    Endpoint(
        "POST",
        "/nack_messages",
        wire.NackRequest,
        calls.nack_messages,
        logging.DEBUG,
        answer=wire.NackAnswer,
        errors=(*SUBSCRIPTION, StorageFull),
    ),
    Endpoint(
        "GET",
        "/query_peers",
        wire.TopicRequest,
        calls.query_peers,
        answer=wire.QueryPeersAnswer,
        errors=(TopicNotFound,),
    ),
    Endpoint("GET", "/topics", wire.TopicsRequest, listings.topics, answer=wire.TopicsAnswer),
    Endpoint("GET", "/peers", wire.PeersRequest, listings.peers, answer=wire.PeersAnswer, access=Access.ADMIN),
    Endpoint(
        "GET",
        "/subscriptions",
        wire.SubscriptionsRequest,
        listings.subscriptions,
        answer=wire.SubscriptionsAnswer,
        errors=(PeerNotFound, TopicNotFound),
        access=Access.SELF,
    ),
    Endpoint(
        "GET", "/messages", wire.MessagesRequest, listings.messages, answer=wire.MessagesAnswer, errors=(TopicNotFound,)
    ),
    Endpoint("GET", "/stats", wire.EmptyRequest, calls.stats, answer=wire.StatsAnswer, access=Access.ADMIN),
)

HEALTH: tuple[Endpoint[Broker, Any], ...] = (
    Endpoint("GET", "/livez", wire.EmptyRequest, calls.livez, access=Access.ANYONE),
    Endpoint("GET", "/readyz", wire.EmptyRequest, calls.readyz, errors=(NotReady,), access=Access.ANYONE),
)
