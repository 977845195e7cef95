"""The catalogue of errors: one class a code, with the HTTP status it is answered with.

Every error body is ``{"code": ..., "message": ...}``. The message is one or two sentences for the
person who reads it: what was wrong, where, and what to do. Clients decide by ``code``.
"""

from typing import ClassVar


class StartError(Exception):
    """A command cannot start; one sentence says what is wrong, where, and what to do."""


class PeerbusError(Exception):
    """Base of every error a caller can be answered with."""

    code: ClassVar[str]
    status: ClassVar[int]
    retry_after: ClassVar[int | None] = None
    """Seconds after which the same call may succeed; None where repeating it cannot help."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadRequest(PeerbusError):
    """The request itself is wrong: malformed JSON, a wrong type, an unknown or a missing field."""

    code, status = "bad_request", 400


class Unauthorized(PeerbusError):
    """The call needs a token, and came with none, or with one that is not known."""

    code, status = "unauthorized", 401


class Forbidden(PeerbusError):
    """The token is known, and is not one for this call."""

    code, status = "forbidden", 403


class PeerMismatch(PeerbusError):
    """A peer node was asked to act for another peer than itself."""

    code, status = "peer_mismatch", 403


class HostNotAllowed(PeerbusError):
    """The request was made to a name that the server is not called by."""

    code, status = "host_not_allowed", 403


class OriginNotAllowed(PeerbusError):
    """The request comes from a web page that may not call this server."""

    code, status = "origin_not_allowed", 403


class AddressNotAllowed(PeerbusError):
    """The peer may not have itself called at this address."""

    code, status = "address_not_allowed", 403


class NotFound(PeerbusError):
    """No call has this path."""

    code, status = "not_found", 404


class PeerNotFound(PeerbusError):
    """The peer never registered, unregistered, or its lease ran out."""

    code, status = "peer_not_found", 404


class TopicNotFound(PeerbusError):
    """The topic was never created, or was deleted."""

    code, status = "topic_not_found", 404


class NotSubscribed(PeerbusError):
    """The peer and the topic exist, but there is no subscription between them."""

    code, status = "not_subscribed", 404


class MethodNotAllowed(PeerbusError):
    """The path exists, with another method."""

    code, status = "method_not_allowed", 405


class TopicExists(PeerbusError):
    """The topic exists with other options than the ones named."""

    code, status = "topic_exists", 409


class SubscriptionExists(PeerbusError):
    """The peer is subscribed already, in another group than the one named."""

    code, status = "subscription_exists", 409


class TopicDeleted(PeerbusError):
    """The topic was deleted since this peer subscribed to it; said once, then `topic_not_found`."""

    code, status = "topic_deleted", 410


class StreamReplaced(PeerbusError):
    """The reader of a stream came back, and follows the topic by another one."""

    code, status = "stream_replaced", 409


class TooSlow(PeerbusError):
    """The reader of a stream took too long for a part of it: the stream's last event, never an answer."""

    code, status = "too_slow", 408


class TooLarge(PeerbusError):
    """The body, or the batch in it, is larger than will ever be accepted."""

    code, status = "too_large", 413


class UnsupportedMediaType(PeerbusError):
    """The body does not say that it is JSON."""

    code, status = "unsupported_media_type", 415


class TopicFull(PeerbusError):
    """The topic holds as many messages waiting for subscribers as it may."""

    code, status, retry_after = "topic_full", 429, 1


class MemoryFull(PeerbusError):
    """The messages waiting in all topics fill the memory set aside for them."""

    code, status, retry_after = "memory_full", 429, 1


class TooManyPeers(PeerbusError):
    """As many peers are registered as the server takes."""

    code, status, retry_after = "too_many_peers", 429, 1


class TooManyTopics(PeerbusError):
    """As many topics exist as the server takes."""

    code, status, retry_after = "too_many_topics", 429, 1


class TooManySubscriptions(PeerbusError):
    """As many subscriptions exist as the server takes."""

    code, status, retry_after = "too_many_subscriptions", 429, 1


class RateLimited(PeerbusError):
    """The client made more requests than it may; nothing was done."""

    code, status, retry_after = "rate_limited", 429, 1


class InternalError(PeerbusError):
    """A fault of the server's own; its log has the trace."""

    code, status = "internal_error", 500


class IndexUnreachable(PeerbusError):
    """A peer node could not reach the indexing server."""

    code, status, retry_after = "index_unreachable", 502, 1


class TooManyWaiting(PeerbusError):
    """As many pulls are waiting for a message as the server takes."""

    code, status, retry_after = "too_many_waiting", 503, 1


class TooManyStreams(PeerbusError):
    """As many streams are open as there may be."""

    code, status, retry_after = "too_many_streams", 503, 1


class NotReady(PeerbusError):
    """The process answers, but cannot do its work yet, or no longer."""

    code, status, retry_after = "not_ready", 503, 1


class IndexTimeout(PeerbusError):
    """A peer node reached the indexing server, which did not answer in time."""

    code, status, retry_after = "index_timeout", 504, 1


class StorageFull(PeerbusError):
    """The disk that the server keeps its state on has no room for what the call changes."""

    code, status, retry_after = "storage_full", 507, 10


CATALOGUE: dict[str, type[PeerbusError]] = {error.code: error for error in PeerbusError.__subclasses__()}
"""Every error by its code, so that a client raises the same class the server did."""
ALWAYS = (
    BadRequest,
    HostNotAllowed,
    OriginNotAllowed,
    TooLarge,
    UnsupportedMediaType,
    RateLimited,
    InternalError,
)
"""What every call may be refused with."""
