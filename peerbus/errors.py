"""The catalogue of errors: one class a code, with the HTTP status of its answers; and reading an error body.

Every error body is ``{"code": ..., "message": ...}``. The message is one or two sentences for the
person who reads it: what was wrong, where, and what to do. Programs decide by ``code``.
"""

from typing import ClassVar

from msgspec import DecodeError, Struct, json


class StartError(Exception):
    """A command cannot start, and time alone does not mend it; one sentence says what is wrong, where, what to do."""

    exit_code: ClassVar[int] = 2


class NotYet(StartError):
    """A command cannot start now, and may start later: an address, a folder or a disk is not ready, or is in use."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class PeerbusError(Exception):
    """Base of every error in an answer."""

    code: ClassVar[str]
    status: ClassVar[int]
    retry_after: ClassVar[int | None] = None
    """Seconds after which the same call may succeed; None if repeating it cannot help."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadRequest(PeerbusError):
    """The request itself is wrong: malformed JSON, a wrong type, an unknown or a missing field."""

    code, status = "bad_request", 400


class Unauthorized(PeerbusError):
    """The call needs a token and has none, or an unknown one."""

    code, status = "unauthorized", 401


class Forbidden(PeerbusError):
    """The token is known, but does not permit this call."""

    code, status = "forbidden", 403


class PeerMismatch(PeerbusError):
    """The call names another peer than the one this peer node acts for."""

    code, status = "peer_mismatch", 403


class HostNotAllowed(PeerbusError):
    """The Host header names a host that this server does not serve."""

    code, status = "host_not_allowed", 403


class OriginNotAllowed(PeerbusError):
    """The request comes from a web page that may not call this server."""

    code, status = "origin_not_allowed", 403


class AddressNotAllowed(PeerbusError):
    """The peer may not register this address."""

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
    """The path takes another method."""

    code, status = "method_not_allowed", 405


class TopicExists(PeerbusError):
    """The topic exists with other options than those in the call."""

    code, status = "topic_exists", 409


class SubscriptionExists(PeerbusError):
    """The peer is already subscribed, in another group than the one in the call."""

    code, status = "subscription_exists", 409


class TopicDeleted(PeerbusError):
    """The topic was deleted since this peer subscribed to it; answered once, then `topic_not_found`."""

    code, status = "topic_deleted", 410


class StreamReplaced(PeerbusError):
    """Another stream of the same peer and topic took this one's place."""

    code, status = "stream_replaced", 409


class TooSlow(PeerbusError):
    """The reader of a stream was too slow: the stream's last event, never an answer."""

    code, status = "too_slow", 408


class TooLarge(PeerbusError):
    """The body, or the batch in it, exceeds a limit that does not depend on load."""

    code, status = "too_large", 413


class UnsupportedMediaType(PeerbusError):
    """The Content-Type of the body is not JSON in UTF-8, or the body is compressed."""

    code, status = "unsupported_media_type", 415


class NotOwner(PeerbusError):
    """A server of the cluster passed a call on to one that does not own the shard: between servers alone."""

    code, status = "not_owner", 421


class UnsupportedEncoding(UnsupportedMediaType):
    """The body is compressed, or otherwise encoded."""


class ExpectationFailed(PeerbusError):
    """The header Expect asks for something else than 100-continue."""

    code, status = "expectation_failed", 417


class HeadTooLarge(PeerbusError):
    """The head of the request has too many bytes, or too many lines."""

    code, status = "head_too_large", 431


class TransferNotSupported(PeerbusError):
    """The body is transferred in another encoding than chunked."""

    code, status = "transfer_not_supported", 501


class VersionNotSupported(PeerbusError):
    """The version of HTTP is another one than 1.1 or 1.0."""

    code, status = "version_not_supported", 505


class TopicFull(PeerbusError):
    """The topic holds its maximum of messages that wait for subscribers."""

    code, status, retry_after = "topic_full", 429, 1


class MemoryFull(PeerbusError):
    """The messages that wait in all topics fill the memory reserved for them."""

    code, status, retry_after = "memory_full", 429, 1


class TooManyPeers(PeerbusError):
    """The maximum of peers is registered."""

    code, status, retry_after = "too_many_peers", 429, 1


class TooManyTopics(PeerbusError):
    """The maximum of topics exists."""

    code, status, retry_after = "too_many_topics", 429, 1


class TooManySubscriptions(PeerbusError):
    """The maximum of subscriptions exists."""

    code, status, retry_after = "too_many_subscriptions", 429, 1


class TooManyScheduled(PeerbusError):
    """The maximum of messages is scheduled to be published later."""

    code, status, retry_after = "too_many_scheduled", 429, 1


class RateLimited(PeerbusError):
    """The client exceeded its rate of requests; nothing was done."""

    code, status, retry_after = "rate_limited", 429, 1


class InternalError(PeerbusError):
    """A fault of the server; its log has the trace."""

    code, status = "internal_error", 500


class IndexUnreachable(PeerbusError):
    """A peer node, or the client, could not reach the indexing server."""

    code, status, retry_after = "index_unreachable", 502, 1


class HookUnreachable(PeerbusError):
    """A peer node could not reach the hook of its application."""

    code, status, retry_after = "hook_unreachable", 502, 1


class TooManyWaiting(PeerbusError):
    """The maximum of pulls waits for messages."""

    code, status, retry_after = "too_many_waiting", 503, 1


class TooManyStreams(PeerbusError):
    """The maximum of streams is open."""

    code, status, retry_after = "too_many_streams", 503, 1


class NotReady(PeerbusError):
    """The process answers, but is starting, stopping, or cannot reach the indexing server."""

    code, status, retry_after = "not_ready", 503, 1


class ShardUnavailable(PeerbusError):
    """No server of the cluster owns the shard now; nothing was changed."""

    code, status, retry_after = "shard_unavailable", 503, 1


class IndexTimeout(PeerbusError):
    """The indexing server did not answer a peer node, or the client, in time; the call may have been carried out."""

    code, status, retry_after = "index_timeout", 504, 1


class HookTimeout(PeerbusError):
    """The hook of an application did not answer its peer node in time; it may have taken the messages."""

    code, status, retry_after = "hook_timeout", 504, 1


class StorageFull(PeerbusError):
    """The disk with the server's state has no room for the changes of the call."""

    code, status, retry_after = "storage_full", 507, 10


class StorageLocked(PeerbusError):
    """Another program holds the database with the server's state."""

    code, status, retry_after = "storage_locked", 503, 5


class StorageFailed(PeerbusError):
    """The disk with the server's state cannot be written, for another reason than its room."""

    code, status, retry_after = "storage_failed", 503, 10


class StorageDamaged(PeerbusError):
    """The database with the server's state is damaged; it does not mend by itself."""

    code, status = "storage_damaged", 500


CATALOGUE: dict[str, type[PeerbusError]] = {error.code: error for error in PeerbusError.__subclasses__()}
"""Every error by its code: a client raises the same class as the server."""
STORAGE = (StorageFull, StorageLocked, StorageFailed, StorageDamaged)
"""Errors of calls whose changes are kept on disk, if they cannot be."""
UNKEPT = (*STORAGE, InternalError)
"""The same, and the error for a fault of the server that keeps changes from being written."""
ALWAYS = (
    BadRequest,
    HostNotAllowed,
    OriginNotAllowed,
    TooLarge,
    UnsupportedMediaType,
    ExpectationFailed,
    RateLimited,
    HeadTooLarge,
    InternalError,
    TransferNotSupported,
    VersionNotSupported,
)
"""Errors that every call may answer with."""


class _ErrorBody(Struct):
    code: str
    message: str


_decode = json.Decoder(_ErrorBody).decode


def error_in(status: int, body: bytes) -> PeerbusError:
    """The error in an answer; an `InternalError` for an unknown code, and for a body that is not peerbus's."""
    try:
        error = _decode(body)
    except (DecodeError, RecursionError):
        return not_peerbus(status)
    return CATALOGUE.get(error.code, InternalError)(error.message)


def not_peerbus(status: int) -> InternalError:
    """The error for an answer that no peerbus server gives."""
    return InternalError(f"The answer with status {status} is not peerbus's.")


def unreachable(server: str, reason: object) -> IndexUnreachable:
    """The error for a server that cannot be reached; `server` names it in a sentence."""
    return IndexUnreachable(f"{server} cannot be reached: {reason}.")


def timed_out(server: str, missing: object) -> IndexTimeout:
    """The error for a server that was reached; `missing` is such as "no answer within 10 seconds"."""
    return IndexTimeout(f"{server} gave {missing}.")
