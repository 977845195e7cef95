"""The wire protocol: a typed request and a typed answer for each call.

An unknown field, a wrong type and a value out of bounds are refused with the path of the fault. Message values are
never decoded: they stay the JSON bytes of the request.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from peerbus.errors import BadRequest
from peerbus.wire import fields
from peerbus.wire.json_scan import MOST_LEVELS, SHALLOW, has_commas, is_deeper, longer_list
from peerbus.wire.views import Event, InFlightView, PeerView, ScheduledView, Stats, SubscriptionView, TopicView

PIECE = 1 << 18
"""Bytes of a value that are copied in one go."""
MANY_COMMAS = 2 * fields.MOST_ENTRIES


class Request(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all requests."""

    one_of: ClassVar[tuple[str, ...]] = ()
    """Fields of which a request has exactly one."""
    lists: ClassVar[tuple[str, ...]] = ()
    """Fields that are arrays of at most `fields.MOST_ENTRIES`."""

    @classmethod
    def check_entries(cls, body: bytes) -> None:
        """Raise `BadRequest` if a JSON body has an array that is much too long, before that is decoded.

        Bodies with few commas are left to the decoder: it takes less time for them than counting entries.
        """
        if cls.lists and has_commas(body, MANY_COMMAS):
            most = fields.MOST_ENTRIES
            if name := longer_list(body, cls.lists, "message", most):
                raise BadRequest(f"Expected array of length <= {most} - at $.{name}")


class Answer(Struct, gc=False):
    """An answer to a call that succeeded: a sentence for a person first, then the fields."""

    message: str


class ErrorAnswer(Struct):
    """An answer to a call that failed."""

    code: str
    message: str


class EmptyRequest(Request):
    """A request without fields."""


class RegisterRequest(Request):
    """Register a peer, or renew its lease. A null removes the address, or the lease; a field left out keeps it."""

    peer_id: fields.Name
    address: fields.Address | UnsetType | None = UNSET
    lease_seconds: fields.Lease | UnsetType | None = UNSET
    token: fields.Token | UnsetType = UNSET


class RegisterAnswer(Answer):
    """`epoch` changes when the server loses its state: the peer must then register and subscribe again.

    If the server asks for tokens, `token` is the one that the peer must send with each call. It is shown once.
    """

    peer_id: str
    created: bool
    epoch: str
    token: str | UnsetType = UNSET


class UnregisterRequest(Request):
    """Remove a peer with its own queues, or with `keep` let it go away, and its queues stand for a time."""

    peer_id: fields.Name
    keep: fields.Keep = False


class PeerAnswer(Answer):
    """`peer_id` is the peer of the call."""

    peer_id: str


class UnregisterAnswer(PeerAnswer):
    """`discarded` counts the messages of the queues that ended that were not pulled, or not acknowledged."""

    discarded: int


class CreateTopicRequest(Request):
    """Create a topic; options left out are the server's defaults."""

    topic: fields.Name
    max_messages: fields.Capacity | None = None
    overflow: fields.Overflow | None = None
    max_age: fields.Age | None = None
    history: fields.History | None = None
    peer_id: fields.Creator | None = None


class CreateTopicAnswer(Answer):
    """`created` is false if the topic existed."""

    topic: str
    created: bool


class CreateTopicsRequest(Request):
    """Create many topics with the same options, none if one is refused; those that exist stay as they are."""

    lists = ("topics",)

    topics: fields.TopicNames
    max_messages: fields.Capacity | None = None
    overflow: fields.Overflow | None = None
    max_age: fields.Age | None = None
    history: fields.History | None = None
    peer_id: fields.Creator | None = None

    def names(self, begin: int = 0, end: int | None = None) -> list[str]:
        """The names from the place `begin` to `end`, each once; raises `BadRequest` for one that is no name."""
        names = self.topics[begin:end]
        wrong = fields.not_a_name(names)
        if wrong is not None:
            meaning = fields.MEANINGS[fields.NAME]
            raise BadRequest(f"Expected {meaning}, got {names[wrong]!r} - at $.topics[{begin + wrong}]")
        return list(dict.fromkeys(names))


class CreateTopicsAnswer(Answer):
    """`created` counts the topics that are new; `existed` has the names of the others, in the order of the request."""

    created: int
    existed: list[str]


class TopicRequest(Request):
    """A request about a topic."""

    topic: fields.Name


class DeleteTopicAnswer(Answer):
    """`notified` lists the subscribers with an address; `discarded` counts the messages left to pull."""

    topic: str
    notified: list[str]
    discarded: int


class PublishRequest(Request):
    """Publish one `message`, or all or none of a batch of `messages`: now, or later with one of `delay` and `at`."""

    one_of = ("message", "messages")
    lists = ("messages",)

    topic: fields.Name
    message: fields.Value | UnsetType = UNSET
    messages: fields.Values | UnsetType = UNSET
    peer_id: fields.Publisher | None = None
    message_id: fields.MessageId | None = None
    delay: fields.PublishDelay | None = None
    at: fields.PublishTime | None = None

    @property
    def count(self) -> int:
        """How many messages there are."""
        return 1 if self.messages is UNSET else len(self.messages)

    def values(self, begin: int = 0, end: int | None = None) -> tuple[list[bytes], int]:
        """The messages from the place `begin` in their list to `end`, copied out of the request, and their size.

        Raises `BadRequest` for none, and for one nested too deeply.
        """
        if self.messages is UNSET:
            if self.message is UNSET:
                raise BadRequest("Object missing required field message (or messages, for several) - at $")
            values = [_copied(self.message)]
        elif self.message is not UNSET:
            raise BadRequest("Expected message or messages, got both - at $")
        else:
            values = list(map(b"".join, zip(self.messages[begin:end])))  # as `bytes` of each, in half the time at most
        sizes = [*map(len, values)]
        if max(sizes) > SHALLOW:
            self._check_depth(values, begin)
        return values, sum(sizes)

    def _check_depth(self, values: list[bytes], begin: int) -> None:
        for at, value in enumerate(values, begin):
            if is_deeper(value, MOST_LEVELS):
                place = "$.message" if self.messages is UNSET else f"$.messages[{at}]"
                raise BadRequest(f"Expected a message nested at most {MOST_LEVELS} levels deep - at {place}")


def _copied(value: Raw) -> bytes:
    """A copy: of a large value in pieces, so that other threads run in between, for `join` lets them run meanwhile."""
    if len(bytes_of := memoryview(value)) <= PIECE:
        return bytes(bytes_of)
    return b"".join([bytes(bytes_of[begin : begin + PIECE]) for begin in range(0, len(bytes_of), PIECE)])


class PublishAnswer(Answer):
    """`offset` is that of the first message; with `duplicate` it was published before, under this message id.

    Messages that are published later have the id `scheduled`, and a null for the offset until they are published.
    """

    topic: str
    offset: int | None
    count: int
    duplicate: bool
    scheduled: int | UnsetType = UNSET


class CancelScheduledRequest(Request):
    """Cancel messages that were to be published later."""

    lists = ("ids",)

    topic: fields.Name
    ids: fields.ScheduledIds
    peer_id: fields.Canceller | None = None


class CancelScheduledAnswer(Answer):
    """`cancelled` counts messages; nothing was scheduled with the `unknown` ids, or it is published or cancelled."""

    topic: str
    cancelled: int
    unknown: list[int]


class SubscribeRequest(Request):
    """Subscribe a peer to a topic, or change those options of its subscription that the request has.

    Without a `group` the peer has a message queue of its own. The members of a group share one queue, with its
    position and options; it stands without members, and so does a peer's own while the peer is away, for
    `expires_after` seconds. A queue that stands keeps its position. With `ack` explicit a pulled message is
    redelivered after `ack_deadline` seconds unless it is acknowledged. After `max_attempts` deliveries it moves to the
    `dead_letter_topic`. With `push_to` the messages that this peer gets are posted to a URL, as `PushRequest`.
    """

    peer_id: fields.Name
    topic: fields.Name
    start: fields.Start | None = field(name="from", default=None)
    group: fields.Group | None = None
    ack: fields.Ack | None = None
    ack_deadline: fields.Deadline | None = None
    max_attempts: fields.Attempts | None = None
    dead_letter_topic: fields.DeadLetters | None = None
    expires_after: fields.Expiry | None = None
    push_to: fields.PushUrl | UnsetType | None = UNSET
    push_batch: fields.PushBatch | None = None
    push_at_once: fields.PushAtOnce | None = None
    push_secret: fields.PushSecret | None = None


class SubscribeAnswer(Answer):
    """`next_offset` is the offset of the next new message; `members` counts the peers that share the message queue."""

    topic: str
    peer_id: str
    created: bool
    next_offset: int
    members: int


class SubscriptionRequest(Request):
    """A request about the subscription of a peer to a topic."""

    peer_id: fields.Name
    topic: fields.Name


class UnsubscribeRequest(Request):
    """End the subscription of a peer: its own queue ends, a group's stands, for a time if it was the last member.

    With `end`, the message queue of the peer's group ends, for all members; or that of the `group` named, for which
    no peer is needed.
    """

    topic: fields.Name
    peer_id: fields.Name | None = None
    group: fields.Ended | None = None
    end: fields.End = False

    def check(self) -> None:
        """Raise `BadRequest` unless the fields fit together."""
        if self.group is not None and not self.end:
            raise BadRequest("group only means something with end: true - at $.group")
        if self.group is None and self.peer_id is None:
            raise BadRequest("Object missing required field peer_id (or group, with end) - at $")


class UnsubscribeAnswer(Answer):
    """`discarded` counts the messages that were not pulled, or not acknowledged."""

    topic: str
    peer_id: str | None
    discarded: int


class Moment(Struct, forbid_unknown_fields=True):
    """The first message published at or after a time."""

    time: fields.Time


class SeekRequest(Request):
    """Move the message queue of a peer, or of its group for all members, forwards or back.

    What is in flight is not any more: it is new again, or passed over.
    """

    peer_id: fields.Name
    topic: fields.Name
    to: fields.Place | Moment


class SeekAnswer(Answer):
    """`next_offset` is the offset of the next message."""

    topic: str
    peer_id: str
    next_offset: int


class PullRequest(Request):
    """Take messages from a message queue, waiting up to `wait` seconds for the first."""

    peer_id: fields.Name
    topic: fields.Name
    max_messages: fields.PullSize = 1000
    wait: fields.Seconds = 0.0
    details: fields.Details = False


class PullAnswer(Answer):
    """`messages` are the published values, unchanged; `offsets` has the offset of each.

    `missed` counts the messages lost since the last pull, `remaining` those left to pull. With explicit
    acknowledgement only, `attempts` has the number of deliveries of each message, and all messages before the offset
    `resume_from` are acknowledged. With `details` only, `publishers` has the peer that published each message, null if
    it named none, and `published_at` the time, in seconds since 1970.
    """

    messages: Annotated[Raw, Meta(extra_json_schema={"type": "array"})]
    offsets: Sequence[int]
    next_offset: int
    remaining: int
    missed: int
    attempts: Sequence[int] | UnsetType = UNSET
    resume_from: int | UnsetType = UNSET
    publishers: Sequence[str | None] | UnsetType = UNSET
    published_at: Sequence[float] | UnsetType = UNSET


class StreamRequest(Request):
    """Stream the messages of a message queue."""

    peer_id: fields.Name
    topic: fields.Name
    in_flight: fields.InFlight = 100
    details: fields.StreamDetails = False
    last_event_id: fields.LastEventId = field(name="lastEventId", default="")
    ticket: fields.Ticket = ""


class NodeTicketRequest(Request):
    """Ask a peer node for a ticket for one stream of its own peer."""

    topic: fields.Name
    peer_id: fields.Name | UnsetType = UNSET


class StreamTicketAnswer(Answer):
    """`ticket` replaces the token of one `GET /stream` of this peer and topic, within `expires_in` seconds."""

    ticket: str
    expires_in: float


class ClaimRequest(Request):
    """Names pulled messages: by their `offsets`, or all in flight to the peer `up_to` an offset.

    `attempts` has the delivery meant for each of the offsets; without it, the latest to this peer is meant.
    """

    one_of = ("offsets", "up_to")
    lists = ("offsets", "attempts")

    peer_id: fields.Name
    topic: fields.Name
    offsets: fields.Offsets | None = None
    attempts: fields.Deliveries | None = None
    up_to: fields.UpTo | None = None

    def check(self) -> None:
        """Raise `BadRequest` unless the fields fit together."""
        if (self.offsets is None) == (self.up_to is None):
            raise BadRequest("Expected either offsets or up_to - at $")
        if self.up_to is None and self.attempts is not None and len(self.attempts) != len(self.offsets or ()):
            raise BadRequest(f"Expected {len(self.offsets or ())} attempts, one for each offset - at $.attempts")

    def claims(self, begin: int = 0, end: int | None = None) -> list[tuple[int, int | None]]:
        """The offsets from the place `begin` in their list to `end`, with their attempts."""
        offsets = (self.offsets or [])[begin:end]
        if self.attempts is None:
            return [(offset, None) for offset in offsets]
        return list(zip(offsets, self.attempts[begin:end], strict=True))


class NackRequest(ClaimRequest):
    """Rejects messages: they are redelivered in `delay` seconds, unless they are acknowledged before.

    With `attempted` false they are handed back untouched: this delivery does not count as an attempt. If pulling
    acknowledges, only the messages of the last pull can be rejected, without a delay.
    """

    delay: fields.Delay = 0.0
    attempted: fields.Attempted = True


class ExtendRequest(ClaimRequest, kw_only=True):
    """Extends the deadline of messages: they must be acknowledged within `seconds` from now.

    A message that was rejected with a delay, and is not redelivered yet, is in flight as before.
    """

    seconds: fields.Extension


class AckAnswer(Answer):
    """`acknowledged` counts messages; those at the `stale` offsets are not, or no longer, in flight to this peer.

    All messages before the offset `resume_from` are acknowledged.
    """

    topic: str
    peer_id: str
    acknowledged: int
    stale: list[int]
    resume_from: int


class NackAnswer(Answer):
    """`rejected` counts messages; those at the `stale` offsets are not, or no longer, in flight to this peer.

    All messages before the offset `resume_from` are acknowledged.
    """

    topic: str
    peer_id: str
    rejected: int
    stale: list[int]
    resume_from: int


class ExtendAnswer(Answer):
    """`extended` counts messages; those at the `stale` offsets are not, or no longer, in flight to this peer.

    All messages before the offset `resume_from` are acknowledged.
    """

    topic: str
    peer_id: str
    extended: int
    stale: list[int]
    resume_from: int


class RedriveRequest(Request):
    """Publish the messages of dead letters again, and acknowledge the letters: named by `offsets`, or `all`."""

    one_of = ("offsets", "all")
    lists = ("offsets",)

    topic: fields.Name
    offsets: fields.Letters | None = None
    all: fields.All = False
    to: fields.Target | None = None
    peer_id: fields.Publisher | None = None

    def check(self) -> None:
        """Raise `BadRequest` unless the fields fit together."""
        if (self.offsets is None) is not self.all:
            raise BadRequest("Expected either offsets or all: true - at $")


class RedriveAnswer(Answer):
    """`redriven` counts messages. Dead letters at the `failed` offsets could not be published and stay.

    Those at the `stale` offsets are acknowledged, redriven before, or not there.
    """

    topic: str
    redriven: int
    stale: list[int]
    failed: list[int]


class QueryPeersAnswer(Answer):
    """The subscribers of a topic, and the addresses of those with one."""

    topic: str
    peers: list[str]
    addresses: dict[str, str]


class ListRequest(Request):
    """A page of a listing: the first `limit` names after `after`."""

    limit: fields.PageSize = 1000
    after: fields.After = ""


class PeersRequest(ListRequest):
    """A page of the peers whose id contains `matching`."""

    matching: fields.Matching = ""


class TopicsRequest(ListRequest):
    """A page of the topics whose name contains `matching`."""

    matching: fields.Matching = ""
    order: fields.Order = "name"


class SubscriptionsRequest(ListRequest):
    """A page of the message queues of a `topic`, of those of a peer, or the one of both.

    `after` is a topic if the request has a `peer_id`, else a queue.
    """

    topic: fields.Name | None = None
    peer_id: fields.Name | None = None
    order: fields.Order = "name"


class InFlightRequest(Request):
    """A page of the messages in flight in the message queue of a `group`, or of a peer."""

    topic: fields.Name
    group: fields.OfGroup | None = None
    peer_id: fields.OfPeer | None = None
    limit: fields.PageSize = 1000
    after: fields.AfterOffset | None = None


class MessagesRequest(Request):
    """Show up to `limit` of the last messages of a topic, or of those `from` an offset, without taking them.

    If the oldest message kept comes after that offset, it is the first that is shown.
    """

    topic: fields.Name
    limit: fields.PageSize = 20
    max_bytes: fields.PeekBytes = 1 << 20
    start: fields.From | None = field(name="from", default=None)
    details: fields.Details = False


class ScheduledRequest(Request):
    """A page of the scheduled messages of a topic by due time: the first `limit` entries after the previous page."""

    topic: fields.Name
    limit: fields.PageSize = 1000
    after: fields.AfterPlace | None = None

    @property
    def place(self) -> tuple[int, int] | None:
        """The time in milliseconds and the id in `after`."""
        if self.after is None:
            return None
        time, number = self.after.split("-")
        return int(time), int(number)


class TopicsAnswer(Answer):
    """A page of topics."""

    topics: list[TopicView]


class PeersAnswer(Answer):
    """A page of peers by id."""

    peers: list[PeerView]


class SubscriptionsAnswer(Answer):
    """A page of message queues."""

    subscriptions: list[SubscriptionView]


class ScheduledAnswer(Answer):
    """A page of scheduled messages by due time; `next` is the `after` of the next page, null if there is none."""

    topic: str
    scheduled: list[ScheduledView]
    next: str | None


class InFlightAnswer(Answer):
    """A page of messages in flight, by offset."""

    topic: str
    in_flight: list[InFlightView]


class MessagesAnswer(Answer):
    """`messages` are the published values, unchanged; `offsets` has the offset of each.

    `first_offset` is that of the oldest message kept. With `details` only, `publishers` has the peer that published
    each message, null if it named none, and `published_at` the time, in seconds since 1970.
    """

    topic: str
    messages: Annotated[Raw, Meta(extra_json_schema={"type": "array"})]
    offsets: Sequence[int]
    first_offset: int
    publishers: Sequence[str | None] | UnsetType = UNSET
    published_at: Sequence[float] | UnsetType = UNSET


class StatsAnswer(Answer):
    """The server's figures."""

    stats: Stats


class Notice(Request):
    """A notice from the indexing server to a peer node, about a subscription of its peer."""

    event: Literal["topic_deleted"]
    topic: fields.Name
    message: fields.Sentence


class PushedMessage(Struct):
    """A message that is pushed: its value, unchanged, with the number of its delivery.

    `publisher` is the peer that published it, if it named itself, at `published_at`, in seconds since 1970.
    """

    offset: fields.Offset
    message: fields.Value
    attempt: fields.Count
    publisher: str | None
    published_at: float


class PushRequest(Request):
    """Messages of a topic that the server pushes. Any status of 2xx acknowledges all of them.

    `missed` is there if messages were lost before these could be pushed, and counts them.
    """

    topic: fields.Name
    messages: list[PushedMessage]
    missed: fields.Missed = 0


class NodeAnswer(Answer):
    """The peer of a node, and its registration, last renewed `renewed_ago` seconds ago; null before the first time."""

    peer_id: str
    address: str | None
    index_url: str
    registered: bool
    lease_seconds: float | None
    renewed_ago: float | None


class EventsAnswer(Answer):
    """The events of a peer node, the oldest first."""

    events: list[Event]
