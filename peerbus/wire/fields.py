"""The fields of requests: types, bounds and meanings; and the description of a field at fault."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, inspect

END = r"$(?!\n)"
"""The end of a text: in Python, `$` alone also matches before a last line break."""
NAME = rf"^[A-Za-z0-9][A-Za-z0-9._:/-]*{END}"
URL = r"^https?://[!-.0-~]"
HOOK = rf"^https?://[A-Za-z0-9.:_\[\]-]+(/[!-\"$-~]*)?{END}"
SECRET = rf"^[!-~]+{END}"
WORD = rf"^[A-Za-z0-9._:/-]+{END}"
PLACE = rf"^[0-9]{{1,15}}-[0-9]{{1,15}}{END}"
MEANINGS = {
    NAME: "a name that begins with a letter or digit and goes on with letters, digits and - . _ : or /",
    URL: "a URL that begins with http:// or https://",
    HOOK: "a URL such as https://app.example/hook, without a user name",
    SECRET: "printable ASCII characters without spaces",
    WORD: "a token of letters, digits and - . _ : or /",
    PLACE: "the next of a page",
}
"""The patterns in words, for error messages."""
LARGEST = 2**53 - 1
"""The largest integer accepted: every JSON parser reads it exactly, and the database can store it."""

Name = Annotated[
    str,
    Meta(
        title="name",
        min_length=1,
        max_length=128,
        pattern=NAME,
        description=MEANINGS[NAME],
        extra_json_schema={"pattern": NAME.replace(END, "$")},
    ),
]
Missed = Annotated[int, Meta(ge=0, description="Messages that were lost before they could be pushed.")]
Offset = Annotated[int, Meta(ge=0, le=LARGEST)]
Count = Annotated[int, Meta(ge=1, le=LARGEST)]
MOST_ENTRIES = 100_000
"""Entries of the longest array in a request: decoding more would keep others waiting."""
Many = Meta(max_length=MOST_ENTRIES)

# Peers
Address = Annotated[str, Meta(title="URL", pattern=URL, max_length=2048, description=MEANINGS[URL])]
Lease = Annotated[float, Meta(ge=0.001, le=86_400, description="Seconds the peer may stay silent.")]

Token = Annotated[
    str,
    Meta(
        title="token",
        min_length=32,
        max_length=256,
        pattern=WORD,
        description="The token the peer will send: its id, a dot and a secret; by default the server makes a new one.",
        extra_json_schema={"pattern": WORD.replace(END, "$")},
    ),
]

# Topics
Capacity = Annotated[Count, Meta(description="Messages that may wait for subscribers; by default the server's limit.")]
Overflow = Annotated[
    Literal["reject", "drop_oldest"],
    Meta(
        description="What a publish to a full topic does: it fails, which is the default, or drops the oldest messages."
    ),
]
Age = Annotated[float, Meta(ge=0.001, description="Seconds after which a message is dropped; by default never.")]

History = Annotated[
    int,
    Meta(
        ge=0,
        le=LARGEST,
        description="Messages kept for replay after all subscribers have pulled them; by default the server's number.",
    ),
]
Creator = Annotated[Name, Meta(description="The peer that creates the topic; its lease is renewed.")]
TopicNames = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema={"pattern": NAME.replace(END, "$")})]],
    Many,
    Meta(min_length=1, description="Names of topics. A name that comes twice counts once."),
]
"""The pattern is left to `not_a_name`: for 100,000 names it would take 25 ms, in which nothing else runs."""

# Messages
Value = Annotated[Raw, Meta(description="Any JSON value.")]
Values = Annotated[list[Raw], Many, Meta(min_length=1, description="Any JSON values, in order.")]
Publisher = Annotated[Name, Meta(description="The peer that publishes; its lease is renewed.")]
Canceller = Annotated[Name, Meta(description="The peer that cancels; its lease is renewed.")]
MessageId = Annotated[
    Name, Meta(description="Makes the call idempotent: one with an id already seen publishes nothing.")
]
PublishDelay = Annotated[float, Meta(gt=0, le=2_592_000, description="Seconds until the messages are published.")]
PublishTime = Annotated[
    float, Meta(ge=0, description="When to publish the messages, in seconds since 1970: at most 30 days ahead.")
]
ScheduledIds = Annotated[list[Offset], Many, Meta(description="The ids with which the messages were scheduled.")]

# Subscriptions
Start = Annotated[
    Literal["latest", "earliest"] | Offset,
    Meta(description="First message of a new queue: the next, the oldest kept, or an offset. Other queues stay."),
]
Expiry = Annotated[
    float,
    Meta(
        ge=0,
        le=31_622_400,
        description="Seconds for which the queue stands without members; 0: it ends with them. By default the "
        "server's: 7 days for a group, 1 hour for a peer's own.",
    ),
]
Keep = Annotated[bool, Meta(description="Whether the peer's own queues stand, as if its lease had run out.")]
End = Annotated[bool, Meta(description="Whether the message queue of the group ends, for all its members.")]
Ended = Annotated[Name, Meta(description="Group whose message queue ends; the peer need not be a member.")]
Place = Annotated[
    Literal["earliest", "latest"] | Offset,
    Meta(description="The oldest message kept, the next one published, or an offset."),
]
Time = Annotated[float, Meta(ge=0, description="Seconds since 1970.")]
Group = Annotated[
    Name, Meta(description="Group whose members share one message queue; by default the peer has its own.")
]
Ack = Annotated[
    Literal["auto", "explicit"],
    Meta(description="auto: pulling acknowledges, the default. explicit: messages must be acknowledged."),
]
Deadline = Annotated[float, Meta(ge=0.001, le=43_200, description="Seconds in which a message must be acknowledged.")]
Attempts = Annotated[
    int,
    Meta(ge=1, le=1_000_000, description="Deliveries of a message at most; by default any number."),
]
DeadLetters = Annotated[
    Name,
    Meta(description="Topic for messages not acknowledged after the last attempt; by default they count as missed."),
]

# Pushing
PushUrl = Annotated[
    str,
    Meta(
        title="URL",
        pattern=HOOK,
        max_length=2048,
        description="URL to which the server posts the messages that this peer gets; null removes it.",
        extra_json_schema={"pattern": HOOK.replace(END, "$")},
    ),
]
PushBatch = Annotated[int, Meta(ge=1, le=1000, description="Maximum of messages in a request; by default 1.")]
PushAtOnce = Annotated[int, Meta(ge=1, le=100, description="Maximum of requests under way; by default 1.")]
PushSecret = Annotated[
    str,
    Meta(
        title="secret",
        min_length=16,
        max_length=256,
        pattern=SECRET,
        description="Secret by which the requests are signed. It is not shown again.",
        extra_json_schema={"pattern": SECRET.replace(END, "$")},
    ),
]

# Pulling and acknowledging
PullSize = Annotated[Count, Meta(description="Maximum of messages.")]
Seconds = Annotated[float, Meta(ge=0, description="Seconds to wait for the first message if there is none.")]
Offsets = Annotated[list[Offset], Many, Meta(description="Offsets of the messages.")]
Deliveries = Annotated[
    list[Count], Many, Meta(description="The delivery of each message, counted from 1; by default the latest.")
]
UpTo = Annotated[Offset, Meta(description="All messages in flight to the peer, up to this offset.")]
Attempted = Annotated[
    bool, Meta(description="false: the messages are handed back untouched, and this delivery counts as no attempt.")
]
Extension = Annotated[
    float, Meta(ge=0.001, le=43_200, description="Seconds from now in which the messages must be acknowledged.")
]
Delay = Annotated[float, Meta(ge=0, le=43_200, description="Seconds until a message is redelivered.")]

# Streams
InFlight = Annotated[
    Count,
    Meta(
        description="With explicit acknowledgement: maximum of messages in flight to the peer. "
        "The stream continues as soon as some are acknowledged, rejected or overdue."
    ),
]
LastEventId = Annotated[
    str,
    Meta(
        description="Last-Event-ID for clients that cannot send a header. The header counts if both are there.",
        extra_json_schema={"pattern": "^([0-9]{0,16}|stream_replaced)$"},
    ),
]

Ticket = Annotated[str, Meta(description="A ticket from POST /stream_ticket: it replaces the token, once.")]

Details = Annotated[bool, Meta(description="Whether the answer has the publisher and the time of each message.")]

StreamDetails = Annotated[
    bool,
    Meta(
        description="Whether the data of an event is an object with message, offset, attempt, publisher and "
        "published_at, instead of the message alone."
    ),
]

# Dead letters
Target = Annotated[Name, Meta(description="Topic to publish to; by default the one that each message came from.")]
Letters = Annotated[list[Offset], Many, Meta(description="Offsets of the dead letters.")]
All = Annotated[bool, Meta(description="All dead letters that are not acknowledged.")]

# Listings
PageSize = Annotated[int, Meta(ge=1, le=1000, description="Maximum of entries.")]
OfGroup = Annotated[Name, Meta(description="The group whose message queue is meant.")]
OfPeer = Annotated[Name, Meta(description="The peer whose message queue is meant: its own, or that of its group.")]
AfterOffset = Annotated[Offset, Meta(description="The last offset of the previous page.")]
After = Annotated[str, Meta(description="The last name of the previous page.")]
Matching = Annotated[str, Meta(max_length=128, description="Text that the names contain.")]
Order = Annotated[
    Literal["name", "unread"],
    Meta(description="By name, or by unread messages, the most first, which has one page only."),
]
AfterPlace = Annotated[
    str,
    Meta(
        title="place",
        pattern=PLACE,
        description="The next of the previous page.",
        extra_json_schema={"pattern": PLACE.replace(END, "$")},
    ),
]
From = Annotated[Offset, Meta(description="First message to show; by default the last ones are shown.")]
PeekBytes = Annotated[
    Count, Meta(description="Maximum of bytes in all messages; the last one is shown even if it is larger.")
]

# Notices
Sentence = Annotated[str, Meta(max_length=1000, description="What happened, in a sentence.")]


_is_name = re.compile(NAME).match


def not_a_name(names: Sequence[str]) -> int | None:
    """The place of the first of `names` that does not match the pattern of a name, None if all do: 0.1 us for each."""
    return None if all(map(_is_name, names)) else next(at for at, name in enumerate(names) if not _is_name(name))


NOT_ONE_OF = re.compile(r"Invalid enum value (?P<value>.*) - at `\$\.(?P<field>\w+)`", re.DOTALL)


def describe_fault(error: msgspec.ValidationError, request: type[msgspec.Struct] | None = None) -> str:
    """An error of decoding in plain words; for a field of `request` that takes a few values, with those values."""
    fault = str(error)
    for pattern, meaning in MEANINGS.items():
        fault = fault.replace(f"`str` matching regex {pattern!r}", meaning)
    if request is not None and (found := NOT_ONE_OF.fullmatch(fault)):
        fault = f"Expected {_words_for(request, found['field'])}, got {found['value']} - at $.{found['field']}"
    return fault.replace("`", "")


def _words_for(request: type[msgspec.Struct], name: str) -> str:
    (field,) = [field for field in msgspec.structs.fields(request) if field.encode_name == name]
    return " or ".join(_words(inspect.type_info(field.type)))


def _words(kind: inspect.Type) -> list[str]:
    match kind:
        case inspect.Metadata():
            return _words(kind.type)
        case inspect.UnionType():
            return [word for each in kind.types for word in _words(each)]
        case inspect.LiteralType():
            return [repr(value) for value in kind.values]
        case inspect.IntType():
            return ["int"]
        case inspect.StructType():
            return [f"an object with {' and '.join(field.encode_name for field in kind.fields)}"]
        case _:
            return []
