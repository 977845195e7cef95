"""The wire: a typed request and a typed answer for each call.

A field left out keeps its default; an unknown field, a wrong type or a value out of bounds is refused with
the path of the fault. Message values are never decoded: they travel as the raw JSON bytes that came in.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from peerbus.errors import BadRequest
from peerbus.wire import fields
from peerbus.wire.json_scan import MOST_LEVELS, SHALLOW, is_deeper, longer_list
from peerbus.wire.views import Event, PeerView, Stats, SubscriptionView, TopicView


class Request(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of what a caller sends."""

    one_of: ClassVar[tuple[str, ...]] = ()
    """Fields of which a request names exactly one."""
    lists: ClassVar[tuple[str, ...]] = ()
    """Fields that are arrays of at most `fields.MOST_ENTRIES`."""

    @classmethod
    def check_entries(cls, body: bytes) -> None:
        """Raise `BadRequest` where an array in a JSON body is too long, at far less than the cost of decoding it."""
        if cls.lists and (name := longer_list(body, cls.lists, "message", fields.MOST_ENTRIES)):
            raise BadRequest(f"Expected array of length <= {fields.MOST_ENTRIES} - at $.{name}")


class Answer(Struct):
    """What a caller gets on success: a sentence for a person first, then the fields."""

    message: str


class ErrorAnswer(Struct):
    """What a caller gets on failure."""

    code: str
    message: str


class EmptyRequest(Request):
    """A call without fields."""


class RegisterRequest(Request):
    """Register a peer, or renew its lease; null means no address, no lease."""

    peer_id: fields.Name
    address: fields.Address | UnsetType | None = UNSET
    lease_seconds: fields.Lease | UnsetType | None = UNSET
    token: fields.Token | UnsetType = UNSET


class RegisterAnswer(Answer):
    """`epoch` changes when the server lost its state: register and subscribe again.

    `token` is told once, by a server that asks for tokens: what the peer is to send with each call.
    """

    peer_id: str
    created: bool
    epoch: str
    token: str | UnsetType = UNSET


class PeerRequest(Request):
    """A call that names a peer."""

    peer_id: fields.Name


class PeerAnswer(Answer):
    """`peer_id` is the peer that the call was about."""

    peer_id: str


class UnregisterAnswer(PeerAnswer):
    """`discarded` messages of its subscriptions had not been pulled, or acknowledged."""

    discarded: int


class CreateTopicRequest(Request):
    """Create a topic; the options default to the server's."""

    topic: fields.Name
    max_messages: fields.Capacity | None = None
    overflow: fields.Overflow | None = None
    max_age: fields.Age | None = None
    peer_id: fields.Creator | None = None


class CreateTopicAnswer(Answer):
    """`created` is false when the topic existed."""

    topic: str
    created: bool


class TopicRequest(Request):
    """A call that names a topic."""

    topic: fields.Name


class DeleteTopicAnswer(Answer):
    """`notified` are the subscribed peers with an address, `discarded` the messages somebody had not pulled."""

    topic: str
    notified: list[str]
    discarded: int


class PublishRequest(Request):
    """Publish one `message`, or a batch of `messages`, all or none."""

    one_of = ("message", "messages")
    lists = ("messages",)

    topic: fields.Name
    message: fields.Value | UnsetType = UNSET
    messages: fields.Values | UnsetType = UNSET
    peer_id: fields.Publisher | None = None
    message_id: fields.MessageId | None = None

    def values(self) -> list[bytes]:
        """The messages as bytes of their own, no longer views of the request; raises `BadRequest` for what is wrong."""
        if self.messages is UNSET:
            if self.message is UNSET:
                raise BadRequest("Object missing required field message (or messages, for several) - at $")
            values = [bytes(self.message)]
        elif self.message is UNSET:
            values = list(map(b"".join, zip(self.messages)))  # as `bytes` of each, in half the time at most
        else:
            raise BadRequest("Expected message or messages, got both - at $")
        if max(map(len, values)) > SHALLOW:
            self._check_depth(values)
        return values

    def _check_depth(self, values: list[bytes]) -> None:
        for at, value in enumerate(values):
            if is_deeper(value, MOST_LEVELS):
                place = "$.message" if self.messages is UNSET else f"$.messages[{at}]"
                raise BadRequest(f"Expected a message nested at most {MOST_LEVELS} levels deep - at {place}")


class PublishAnswer(Answer):
    """`offset` is that of the first message; `duplicate` that this message id was published before."""

    topic: str
    offset: int
    count: int
    duplicate: bool


class SubscribeRequest(Request):
    """Subscribe a peer to a topic, or change what is named of its subscription.

    Without a `group` the message queue is the peer's own. The members of a group share one, its position and
    its options. With `ack` explicit a pulled message is handed over again after `ack_deadline` seconds unless
    it is acknowledged, and after `max_attempts` goes to `dead_letter_topic`.
    """

    peer_id: fields.Name
    topic: fields.Name
    start: fields.Start | None = field(name="from", default=None)
    group: fields.Group | None = None
    ack: fields.Ack | None = None
    ack_deadline: fields.Deadline | None = None
    max_attempts: fields.Attempts | None = None
    dead_letter_topic: fields.DeadLetters | None = None


class SubscribeAnswer(Answer):
    """`next_offset` is the offset of the next new message; `members` peers share the message queue."""

    topic: str
    peer_id: str
    created: bool
    next_offset: int
    members: int


class SubscriptionRequest(Request):
    """A call that names a subscription by its peer and its topic."""

    peer_id: fields.Name
    topic: fields.Name


class UnsubscribeAnswer(Answer):
    """`discarded` messages had not been pulled."""

    topic: str
    peer_id: str
    discarded: int


class PullRequest(Request):
    """Take messages from a message queue, waiting up to `wait` seconds for the first."""

    peer_id: fields.Name
    topic: fields.Name
    max_messages: fields.PullSize = 1000
    wait: fields.Seconds = 0.0


class PullAnswer(Answer):
    """`messages` are the published values, unchanged, `offsets` and `attempts` theirs, one for one.

    `missed` were lost before this pull, `remaining` are left to pull. `attempts`, and `resume_from`, before
    which every message is acknowledged, come with explicit acknowledgement only.
    """

    messages: Annotated[Raw, Meta(extra_json_schema={"type": "array"})]
    offsets: Sequence[int]
    next_offset: int
    remaining: int
    missed: int
    attempts: Sequence[int] | UnsetType = UNSET
    resume_from: int | UnsetType = UNSET


class StreamRequest(Request):
    """Follow a message queue."""

    peer_id: fields.Name
    topic: fields.Name


class ClaimRequest(Request):
    """Names pulled messages: by their `offsets`, or all in the peer's hands `up_to` an offset.

    `attempts`, one for each of the offsets, says which delivery is meant; without, the latest to this peer.
    """

    one_of = ("offsets", "up_to")
    lists = ("offsets", "attempts")

    peer_id: fields.Name
    topic: fields.Name
    offsets: fields.Offsets | None = None
    attempts: fields.Deliveries | None = None
    up_to: fields.UpTo | None = None

    def claims(self) -> list[tuple[int, int | None]] | int:
        """Offsets with their attempts, or the offset up to which; raises `BadRequest`."""
        if (self.offsets is None) == (self.up_to is None):
            raise BadRequest("Expected either offsets or up_to - at $")
        if self.up_to is not None:
            return self.up_to
        offsets = self.offsets or []
        attempts: Sequence[int | None] = [None] * len(offsets) if self.attempts is None else self.attempts
        if len(attempts) != len(offsets):
            raise BadRequest(f"Expected {len(offsets)} attempts, one for each offset - at $.attempts")
        return list(zip(offsets, attempts, strict=True))


class NackRequest(ClaimRequest):
    """Rejects messages: they are handed over again in `delay` seconds, unless acknowledged before.

    Where pulling acknowledges, the messages pulled last may be rejected, without a delay.
    """

    delay: fields.Delay = 0.0


class AckAnswer(Answer):
    """`acknowledged` counts; the `stale` offsets were not this peer's to acknowledge, or no longer.

    Before `resume_from` every message is acknowledged.
    """

    topic: str
    peer_id: str
    acknowledged: int
    stale: list[int]
    resume_from: int


class NackAnswer(Answer):
    """`rejected` counts; the `stale` offsets were not this peer's to reject, or no longer.

    Before `resume_from` every message is acknowledged.
    """

    topic: str
    peer_id: str
    rejected: int
    stale: list[int]
    resume_from: int


class QueryPeersAnswer(Answer):
    """The subscribers of a topic, and the addresses of those that have one."""

    topic: str
    peers: list[str]
    addresses: dict[str, str]


class ListRequest(Request):
    """A page of a listing: the first `limit` names after `after`."""

    limit: fields.PageSize = 1000
    after: fields.After = ""


class PeersRequest(ListRequest):
    """A page of peers, of those whose id has `matching` in it."""

    matching: fields.Matching = ""


class TopicsRequest(ListRequest):
    """A page of topics, of those whose name has `matching` in it."""

    matching: fields.Matching = ""
    order: fields.Order = "name"


class SubscriptionsRequest(ListRequest):
    """A page of the message queues on a `topic`, of those of a peer, or the one of both.

    `after` names a topic where a peer is named, else a queue.
    """

    topic: fields.Name | None = None
    peer_id: fields.Name | None = None
    order: fields.Order = "name"


class MessagesRequest(Request):
    """Look at the last messages of a topic, up to `limit` of them."""

    topic: fields.Name
    limit: fields.PageSize = 20
    max_bytes: fields.PeekBytes = 1 << 20


class TopicsAnswer(Answer):
    """A page of topics."""

    topics: list[TopicView]


class PeersAnswer(Answer):
    """A page of peers by id."""

    peers: list[PeerView]


class SubscriptionsAnswer(Answer):
    """A page of message queues."""

    subscriptions: list[SubscriptionView]


class MessagesAnswer(Answer):
    """`messages` are the published values, unchanged, `offsets` theirs; before `first_offset` none are kept."""

    topic: str
    messages: Annotated[Raw, Meta(extra_json_schema={"type": "array"})]
    offsets: Sequence[int]
    first_offset: int


class StatsAnswer(Answer):
    """The server's figures."""

    stats: Stats


class Notice(Request):
    """What the indexing server tells a peer node: something happened to a subscription of its peer."""

    event: Literal["topic_deleted"]
    topic: fields.Name
    message: fields.Sentence


class NodeAnswer(Answer):
    """The peer of a node, and its place at the indexing server: `renewed_ago` is in seconds, null before the first."""

    peer_id: str
    address: str | None
    index_url: str
    registered: bool
    lease_seconds: float | None
    renewed_ago: float | None


class EventsAnswer(Answer):
    """What a peer node noted, the oldest first."""

    events: list[Event]
