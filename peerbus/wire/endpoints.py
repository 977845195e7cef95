"""The table of calls: method, path, request, summary, log level, answer, errors and access; no functions.

The indexing server serves `ENDPOINTS` and `SERVER_ENDPOINTS`. A peer node forwards `ENDPOINTS` and serves
`NODE_ENDPOINTS`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from enum import Enum

from peerbus.errors import (
    STORAGE,
    AddressNotAllowed,
    Forbidden,
    HookTimeout,
    HookUnreachable,
    MemoryFull,
    NotFound,
    NotReady,
    NotSubscribed,
    PeerbusError,
    PeerMismatch,
    PeerNotFound,
    SubscriptionExists,
    TooManyPeers,
    TooManyScheduled,
    TooManySubscriptions,
    TooManyTopics,
    TooManyWaiting,
    TopicDeleted,
    TopicExists,
    TopicFull,
    TopicNotFound,
    Unauthorized,
)
from peerbus.wire import protocol as wire


class Access(Enum):
    """Callers that a call admits, if the server asks for tokens. Admins may make every call."""

    ANYONE = "anyone, without a token"
    NEWCOMER = "callers with the enrolment token, and the peer that the call names"
    PEER = "a peer, for itself; callers with the enrolment token if the call names no peer"
    SELF = "a peer, about itself"
    LEAVING = "a peer, for itself; the queue of a group is ended by its members and the peer that created the topic"
    OWNER = "the peer that created the topic"
    METRICS = "callers with the metrics token, and admins"
    ADMIN = "admins"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One call. The `message` of its answers is logged at `level`; at debug level if nothing was changed."""

    method: str
    path: str
    request: type[wire.Request]
    summary: str
    level: int = logging.INFO
    answer: type[wire.Answer] = wire.Answer
    errors: tuple[type[PeerbusError], ...] = ()
    """Errors that it may answer with, in addition to `errors.ALWAYS`."""
    access: Access = Access.PEER
    idempotent: bool = False
    """Whether making it twice does no more than making it once, though it may change state."""

    @property
    def name(self) -> str:
        """The call's name, as in its path."""
        return self.path[1:]

    @property
    def changes(self) -> bool:
        """Whether it may change state."""
        return self.method != "GET"

    @property
    def repeatable(self) -> bool:
        """Whether a node or a server may make it again, unasked, if it may have been carried out."""
        return self.idempotent or not self.changes

    @property
    def has_peer_id(self) -> bool:
        """Whether a request has the field `peer_id`."""
        return "peer_id" in self.request.__struct_fields__


SUBSCRIPTION = (PeerNotFound, TopicNotFound, NotSubscribed, TopicDeleted)
"""Errors of calls about a subscription, if it does not exist."""

# fmt: off
ENDPOINTS: tuple[Endpoint, ...] = (
    # Peers
    Endpoint("POST", "/register_peer_node", wire.RegisterRequest, "Register a peer, or renew its lease.",
             answer=wire.RegisterAnswer, errors=(AddressNotAllowed, Forbidden, TooManyPeers, *STORAGE),
             access=Access.NEWCOMER, idempotent=True),
    Endpoint("POST", "/unregister_peer_node", wire.UnregisterRequest,
             "Remove a peer with its own queues, or let them stand while it is away.",
             answer=wire.UnregisterAnswer, errors=(PeerNotFound, *STORAGE)),
    # Topics
    Endpoint("POST", "/create_topic", wire.CreateTopicRequest, "Create a topic.",
             answer=wire.CreateTopicAnswer, errors=(PeerNotFound, TopicExists, TooManyTopics, *STORAGE),
             idempotent=True),
    Endpoint("POST", "/create_topics", wire.CreateTopicsRequest, "Create many topics with the same options.",
             answer=wire.CreateTopicsAnswer, errors=(PeerNotFound, TopicExists, TooManyTopics, *STORAGE),
             idempotent=True),
    Endpoint("DELETE", "/delete_topic", wire.TopicRequest, "Delete a topic with its messages and subscriptions.",
             answer=wire.DeleteTopicAnswer, errors=(TopicNotFound, *STORAGE), access=Access.OWNER),
    Endpoint("POST", "/publish", wire.PublishRequest, "Publish one message or a batch to a topic.", logging.DEBUG,
             answer=wire.PublishAnswer,
             errors=(TopicNotFound, PeerNotFound, TopicFull, MemoryFull, TooManyScheduled, *STORAGE)),
    Endpoint("POST", "/cancel_scheduled", wire.CancelScheduledRequest,
             "Cancel messages that are to be published later.",
             answer=wire.CancelScheduledAnswer, errors=(TopicNotFound, PeerNotFound, *STORAGE)),
    # Subscriptions
    Endpoint("POST", "/subscribe", wire.SubscribeRequest, "Subscribe a peer to a topic.",
             answer=wire.SubscribeAnswer,
             errors=(AddressNotAllowed, PeerNotFound, TopicNotFound, SubscriptionExists, TooManySubscriptions,
                     *STORAGE), idempotent=True),
    Endpoint("POST", "/unsubscribe", wire.UnsubscribeRequest, "End a subscription, or the message queue of a group.",
             answer=wire.UnsubscribeAnswer, errors=(*SUBSCRIPTION, *STORAGE), access=Access.LEAVING),
    Endpoint("POST", "/seek", wire.SeekRequest, "Move a message queue to an offset or to a time.",
             answer=wire.SeekAnswer, errors=(*SUBSCRIPTION, *STORAGE)),
    Endpoint("POST", "/pull_messages", wire.PullRequest, "Take the next messages from a peer's message queue.",
             logging.DEBUG, answer=wire.PullAnswer, errors=(*SUBSCRIPTION, TooManyWaiting, *STORAGE)),
    Endpoint("POST", "/ack_messages", wire.ClaimRequest, "Acknowledge pulled messages: they are settled for good.",
             logging.DEBUG, answer=wire.AckAnswer, errors=(*SUBSCRIPTION, *STORAGE)),
    Endpoint("POST", "/nack_messages", wire.NackRequest,
             "Reject pulled messages: they are redelivered, now or after a delay.",
             logging.DEBUG, answer=wire.NackAnswer, errors=(*SUBSCRIPTION, *STORAGE)),
    Endpoint("POST", "/extend_messages", wire.ExtendRequest, "Extend the deadline of pulled messages.",
             logging.DEBUG, answer=wire.ExtendAnswer, errors=(*SUBSCRIPTION, *STORAGE)),
    Endpoint("POST", "/redrive", wire.RedriveRequest,
             "Publish the messages of dead letters again, and acknowledge the letters.",
             answer=wire.RedriveAnswer, errors=(TopicNotFound, PeerNotFound, TopicFull, MemoryFull, *STORAGE)),
    # Listings
    Endpoint("GET", "/query_peers", wire.TopicRequest, "List the subscribers of a topic.",
             answer=wire.QueryPeersAnswer, errors=(TopicNotFound,)),
    Endpoint("GET", "/topics", wire.TopicsRequest, "List topics.", answer=wire.TopicsAnswer),
    Endpoint("GET", "/peers", wire.PeersRequest, "List peers by id.", answer=wire.PeersAnswer, access=Access.ADMIN),
    Endpoint("GET", "/subscriptions", wire.SubscriptionsRequest, "List the message queues of a topic, or of a peer.",
             answer=wire.SubscriptionsAnswer, errors=(PeerNotFound, TopicNotFound), access=Access.SELF),
    Endpoint("GET", "/in_flight", wire.InFlightRequest, "List the messages in flight in a message queue.",
             answer=wire.InFlightAnswer, errors=(PeerNotFound, TopicNotFound, NotSubscribed), access=Access.SELF),
    Endpoint("GET", "/messages", wire.MessagesRequest, "Show messages of a topic, without taking them.",
             answer=wire.MessagesAnswer, errors=(TopicNotFound,)),
    Endpoint("GET", "/scheduled", wire.ScheduledRequest, "List the messages of a topic that are published later.",
             answer=wire.ScheduledAnswer, errors=(TopicNotFound,)),
    Endpoint("GET", "/stats", wire.EmptyRequest, "Show the server's totals, and what it holds now.",
             answer=wire.StatsAnswer, access=Access.METRICS),
)

LIVEZ = Endpoint("GET", "/livez", wire.EmptyRequest, "Say that the process answers.", access=Access.ANYONE)

STREAM_TICKET = Endpoint("POST", "/stream_ticket", wire.SubscriptionRequest,
                         "Get a ticket that replaces the token of one stream.", logging.DEBUG,
                         answer=wire.StreamTicketAnswer)

SERVER_ENDPOINTS: tuple[Endpoint, ...] = (
    STREAM_TICKET,
    LIVEZ,
    Endpoint("GET", "/readyz", wire.EmptyRequest, "Say whether calls will be served.",
             errors=(NotReady,), access=Access.ANYONE),
)

NODE_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("POST", "/exit_peer", wire.EmptyRequest, "Unregister the peer, answer, and end its node.",
             answer=wire.PeerAnswer),
    Endpoint("POST", "/notify", wire.Notice, "Take a notice from the indexing server.", logging.DEBUG,
             access=Access.ANYONE),
    Endpoint("POST", "/push", wire.PushRequest, "Take messages that the indexing server pushes, for the application.",
             logging.DEBUG, errors=(Unauthorized, NotFound, NotReady, HookUnreachable, HookTimeout),
             access=Access.ANYONE),
    replace(STREAM_TICKET, request=wire.NodeTicketRequest, errors=(PeerMismatch,)),
    Endpoint("GET", "/events", wire.EmptyRequest, "Show what happened to this peer.", answer=wire.EventsAnswer),
    Endpoint("GET", "/node", wire.EmptyRequest, "Show which peer this node acts for, and whether it is registered.",
             answer=wire.NodeAnswer),
    LIVEZ,
    Endpoint("GET", "/readyz", wire.EmptyRequest, "Say whether the peer is registered.",
             errors=(NotReady,), access=Access.ANYONE),
)
# fmt: on
