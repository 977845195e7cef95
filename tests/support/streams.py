"""A reader of streams."""

import json
import socket
from collections.abc import Mapping
from http.client import HTTPConnection
from types import MappingProxyType
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

from tests.support.harness import DEADLINE, Api

PING = "ping"


class Event(NamedTuple):
    """An event as a browser has it; a comment has that for its name."""

    name: str
    data: Any = None
    number: int | None = None
    last_id: str | None = None


class Reader:
    """Follows a topic as a browser's EventSource does."""

    def __init__(
        self, api: Api, last_id: int | None = None, headers: Mapping[str, str] = MappingProxyType({}), **query: str
    ) -> None:
        sent = {**headers, **({} if last_id is None else {"Last-Event-ID": str(last_id)})}
        self._connection = HTTPConnection(api.url.removeprefix("http://"), timeout=DEADLINE)
        self._connection.request("GET", f"/stream?{urlencode(query)}", headers=sent)
        self.response = self._connection.getresponse()
        assert self.response.status == 200, self.response.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Go away at once, as a reader does that is killed."""
        self._connection.close()
        self.response.close()

    def next(self) -> Event:
        """The next event, or comment."""
        name, last_id = "message", None
        data: list[str] = []
        while line := self.response.readline():
            field, _, value = line.decode().removesuffix("\n").partition(": ")
            if line == b"\n" and data:
                number = int(last_id) if last_id and last_id.isdigit() else None
                return Event(name, json.loads("\n".join(data)), number, last_id)
            if line == b"\n" and name == PING:
                return Event(PING)
            match field:
                case "":
                    name = value
                case "event":
                    name = value
                case "id":
                    last_id = value
                case "data":
                    data.append(value)
        raise AssertionError("the stream ended without a last event")

    def events(self, count: int) -> list[Event]:
        """The next so many events, without comments."""
        found: list[Event] = []
        while len(found) < count:
            event = self.next()
            found += [event] * (event.name != PING)
        return found

    def messages(self, count: int) -> list[Any]:
        """What the next so many events carry, which are messages in the order of their offsets."""
        events = self.events(count)
        assert {event.name for event in events} == {"message"}
        assert [event.number for event in events] == sorted(event.number or 0 for event in events)
        return [event.data for event in events]

    def end(self) -> str:
        """The code of the last event, which is the next; nothing follows."""
        (event,) = self.events(1)
        assert event.name == "end", event
        assert event.data["message"].endswith(".")
        assert event.last_id == (event.data["code"] if event.data["code"] == "stream_replaced" else None)
        assert self.response.read() == b""
        return str(event.data["code"])


def stuck(api: Api, **query: str) -> socket.socket:
    """A connection that asks for a stream and reads nothing of it."""
    host, _, port = api.url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)))
    text = "&".join(f"{name}={value}" for name, value in query.items())
    connection.sendall(f"GET /stream?{text} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection
