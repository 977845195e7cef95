"""Reads the notes of workers as parts of a history."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from tests.system.reliability.history import Delivery, Publish


class Sending(NamedTuple):
    """Messages that were sent in one call, and the offset of the first; None where no answer told it."""

    messages: list[str]
    offset: int | None


class Pull(NamedTuple):
    """An answered pull, and how many pulls before it were sent and never answered."""

    offsets: list[int]
    next_offset: int
    missed: int
    unanswered: int


def sendings(path: Path) -> list[Sending]:
    """What a publisher sent, call by call."""
    calls: list[Sending] = []
    for event in _events(path):
        if event["event"] == "publishing":
            calls.append(Sending(event["messages"], None))
        elif event["event"] == "published":
            calls[-1] = calls[-1]._replace(offset=event["offset"])
    return calls


def publishes(path: Path) -> list[Publish]:
    """What a publisher sent, message by message; where it did not note the answer, the outcome is unknown."""
    return [Publish(message, offset is not None) for messages, offset in sendings(path) for message in messages]


def pulls(path: Path) -> list[Pull]:
    """What a consumer pulled, call by call."""
    answered: list[Pull] = []
    unanswered = 0
    for event in _events(path):
        if event["event"] == "unanswered" and event["call"] == "/pull_messages":
            unanswered += 1
        elif event["event"] == "pulled":
            answered.append(Pull(event["offsets"], event["next_offset"], event["missed"], unanswered))
            unanswered = 0
    return answered


def deliveries(path: Path) -> list[Delivery]:
    """What a consumer got, and which of it the server confirmed as acknowledged."""
    confirmed = {(event["offset"], event["attempt"]) for event in _events(path) if event["event"] == "acknowledged"}
    return [
        Delivery(_text(message), offset, attempt, (offset, attempt) in confirmed)
        for event in _events(path)
        if event["event"] == "pulled"
        for message, offset, attempt in zip(
            event["messages"], event["offsets"], event.get("attempts", [1] * len(event["offsets"])), strict=True
        )
    ]


def doubtful(path: Path) -> set[int]:
    """The offsets whose acknowledgement was not answered at first, and stale then: the first may have counted."""
    events = list(_events(path))
    return {
        event["offset"]
        for before, event in pairwise(events)
        if event["event"] == "stale" and before["event"] == "unanswered"
    }


def count(path: Path, event: str, **fields: object) -> int:
    """How often a worker noted this."""
    return sum(fields.items() <= noted.items() for noted in _events(path) if noted["event"] == event)


def _events(path: Path) -> Iterator[dict[str, Any]]:
    """None when the worker was killed before it noted anything."""
    return map(json.loads, path.read_text().splitlines() if path.exists() else [])


def _text(message: Any) -> str:
    """A message as it was published, also when it comes as a dead letter."""
    return str(message["message"] if isinstance(message, dict) else message)
