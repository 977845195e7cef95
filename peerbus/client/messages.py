"""Pulled messages, and how a call names them to acknowledge or reject them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from peerbus.wire.protocol import MessagesAnswer, PullAnswer


class Message(NamedTuple):
    """A message; `attempt` counts its deliveries, and is None if pulling acknowledges.

    With `details`, it has its publisher, None if it named none, and when it was published, in seconds since 1970.
    A value that Python cannot hold, such as 1e999, stays JSON: a `msgspec.Raw`.
    """

    topic: str
    offset: int
    value: Any
    attempt: int | None
    publisher: str | None = None
    published_at: float | None = None


class Pulled(NamedTuple):
    """The result of a pull: `missed` messages were lost since the last one, `remaining` are left to pull.

    Every message before the offset `resume_from` is acknowledged.
    """

    messages: list[Message]
    missed: int
    remaining: int
    resume_from: int


def pulled(topic: str, answer: PullAnswer, *, raw: bool) -> Pulled:
    """An answer as a `Pulled`, with `raw` values left as JSON."""
    messages = messages_in(answer, topic, answer.attempts, raw=raw)
    resume_from = answer.next_offset if answer.resume_from is UNSET else answer.resume_from
    return Pulled(messages, answer.missed, answer.remaining, resume_from)


def messages_in(
    answer: PullAnswer | MessagesAnswer, topic: str, attempts: Sequence[int] | UnsetType = UNSET, *, raw: bool
) -> list[Message]:
    """The messages in an answer, with their attempts if there are any, and with `raw` values left as JSON."""
    values: list[Any] = msgspec.json.decode(answer.messages, type=list[Raw])
    if not raw:
        values = [_decoded(value) for value in values]
    about = (attempts, answer.publishers, answer.published_at)
    columns = [[None] * len(values) if column is UNSET else column for column in about]
    return [Message(topic, *each) for each in zip(answer.offsets, values, *columns, strict=True)]


def claims_of(messages: Sequence[Message]) -> dict[str, Any]:
    """The fields that name messages; raises `ValueError` if they are not of one topic."""
    topic = messages[0].topic
    if any(message.topic != topic for message in messages):
        raise ValueError("messages of one topic at a time")
    offsets = [message.offset for message in messages]
    return {"topic": topic, "offsets": offsets, "attempts": [message.attempt or 1 for message in messages]}


def is_named(message: Message, claims: dict[str, Any]) -> bool:
    """Whether the fields of a call name a message, as some delivery of it."""
    if message.topic != claims["topic"]:
        return False
    return message.offset in claims["offsets"] if "offsets" in claims else message.offset <= claims["up_to"]


def claims_at(topic: str, offsets: Sequence[int], up_to: int | None) -> dict[str, Any]:
    """The fields that name messages by their offsets, or all up to one."""
    return {"topic": topic, "offsets": offsets} if up_to is None else {"topic": topic, "up_to": up_to}


def _decoded(value: Raw) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value
