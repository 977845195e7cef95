"""Reads the notes of workers as parts of a history."""

import json
from pathlib import Path
from typing import Any

from tests.history import Delivery, Publish


def publishes(path: Path) -> list[Publish]:
    """What a publisher sent; where it did not note that it was published, the outcome is unknown."""
    last = {event["message"]: event["event"] for event in _events(path)}
    return [Publish(message, event == "published") for message, event in last.items()]


def deliveries(path: Path) -> list[Delivery]:
    """What a consumer got, and which of it the server confirmed as acknowledged."""
    events = _events(path)
    confirmed = {(event["offset"], event["attempt"]) for event in events if event["event"] == "acknowledged"}
    return [
        Delivery(event["message"], event["offset"], event["attempt"], (event["offset"], event["attempt"]) in confirmed)
        for event in events
        if event["event"] == "delivered"
    ]


def _events(path: Path) -> list[dict[str, Any]]:
    """None when the worker was killed before it noted anything."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
