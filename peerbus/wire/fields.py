"""The fields of requests: what they may be, within which bounds, and what they mean."""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, inspect

END = r"$(?!\n)"
"""The end of a text: in Python, `$` alone takes the end of a last line too."""
NAME = rf"^[A-Za-z0-9][A-Za-z0-9._:/-]*{END}"
URL = r"^https?://[!-.0-~]"
WORD = rf"^[A-Za-z0-9._:/-]+{END}"
MEANINGS = {
    NAME: "a name that begins with a letter or digit and goes on with letters, digits and - . _ : or /",
    URL: "a URL that begins with http:// or https://",
    WORD: "a token of letters, digits and - . _ : or /",
}
"""What the patterns stand for, to be said to who did not meet them."""
LARGEST = 2**53 - 1
"""The largest whole number taken: one that every reader of JSON reads as it is, and every disk keeps."""

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
        description="What the peer will show: its id, a dot and a secret; by default the server makes a new one.",
        extra_json_schema={"pattern": WORD.replace(END, "$")},
    ),
]

# Topics
Capacity = Annotated[Count, Meta(description="Messages that wait for some subscriber; by default the server's limit.")]
Overflow = Annotated[
    Literal["reject", "drop_oldest"],
    Meta(description="What gives way when the topic is full: the new message, which is the default, or the oldest."),
]
Age = Annotated[float, Meta(ge=0.001, description="Seconds after which a message is dropped; by default never.")]

Creator = Annotated[Name, Meta(description="Who creates it; its lease is renewed.")]

# Messages
Value = Annotated[Raw, Meta(description="Any JSON value.")]
Values = Annotated[list[Raw], Many, Meta(min_length=1, description="Any JSON values, in their order.")]
Publisher = Annotated[Name, Meta(description="Who publishes; its lease is renewed.")]
MessageId = Annotated[Name, Meta(description="A call repeated with the same id publishes nothing again.")]

# Subscriptions
Start = Annotated[
    Literal["latest", "earliest"] | Offset,
    Meta(description="Where the message queue begins, or is moved to: the next message, the oldest kept, an offset."),
]
Group = Annotated[Name, Meta(description="Whose message queue is shared; by default the peer has one of its own.")]
Ack = Annotated[Literal["auto", "explicit"], Meta(description="Whether pulling acknowledges; the default is auto.")]
Deadline = Annotated[float, Meta(ge=0.001, le=43_200, description="Seconds to acknowledge a message in.")]
Attempts = Annotated[
    int,
    Meta(ge=1, le=1_000_000, description="How often a message is handed over; by default until acknowledged."),
]
DeadLetters = Annotated[Name, Meta(description="Where a message goes after the last attempt; by default it is missed.")]

# Pulling and acknowledging
PullSize = Annotated[Count, Meta(description="Messages taken at most.")]
Seconds = Annotated[float, Meta(ge=0, description="Seconds to wait for a message where there is none.")]
Offsets = Annotated[list[Offset], Many, Meta(description="The messages meant.")]
Deliveries = Annotated[list[Count], Many, Meta(description="Which delivery of each is meant; by default the latest.")]
UpTo = Annotated[Offset, Meta(description="The messages meant are all in the peer's hands up to this offset.")]
Delay = Annotated[float, Meta(ge=0, le=43_200, description="Seconds until a message is handed over again.")]

# Listings
PageSize = Annotated[int, Meta(ge=1, le=1000, description="Entries told at most.")]
After = Annotated[str, Meta(description="The last name of the page before.")]
Matching = Annotated[str, Meta(max_length=128, description="Characters that the names told have in them.")]
Order = Annotated[
    Literal["name", "unread"],
    Meta(description="By name, or those with most unread first, of which there is one page."),
]
PeekBytes = Annotated[Count, Meta(description="Bytes of messages told at most; one larger message still goes.")]

# Notices
Sentence = Annotated[str, Meta(max_length=1000, description="What happened, for a person.")]


NOT_ONE_OF = re.compile(r"Invalid enum value (?P<value>.*) - at `\$\.(?P<field>\w+)`", re.DOTALL)


def describe_fault(error: msgspec.ValidationError, request: type[msgspec.Struct] | None = None) -> str:
    """The fault, with what was expected: also where a field of `request` is one of a few words."""
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
        case _:
            return []
