"""A publisher or a consumer as a process of its own, which notes what happens to it until it is killed.

`python -m tests.reliability.worker --help`. It needs nothing but the standard library, so that it starts at once.
Every note is a line of JSON, and is in the file before the worker does anything more.
"""

import argparse
import json
import time
from http.client import HTTPConnection, HTTPException
from itertools import count, islice
from pathlib import Path
from typing import Any

PAGE = 10
"""Messages a consumer pulls at once: those it still has to note when it is killed must come again."""
WAIT = 1.0
RETRY_SECONDS = 20.0
PAUSE = 0.05
TOO_MANY_REQUESTS = 429

EXPIRED = {"peer_not_found", "not_subscribed"}
"""The server gave this peer up for dead: it has to join again."""
ENDED = {"topic_deleted", "topic_not_found"}


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, body: dict[str, str]) -> None:
        super().__init__(body["message"])
        self.code = body["code"]


class Busy(Refused):
    """The server has no room now."""


class Notes:
    """A file of what happened, complete up to the moment the process is killed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")

    def add(self, event: str, **fields: Any) -> None:
        self._file.write(json.dumps({"event": event, **fields}) + "\n")
        self._file.flush()


class Caller:
    """Makes one peer's calls over one kept connection, each again until it is answered and there is room."""

    def __init__(self, address: str, peer_id: str) -> None:
        self._connection = HTTPConnection(address, timeout=RETRY_SECONDS)
        self._peer_id = peer_id

    def call(self, path: str, **fields: Any) -> dict[str, Any]:
        """The answer; raises `Refused`, and after `RETRY_SECONDS` in vain what went wrong last."""
        body = json.dumps({"peer_id": self._peer_id, **fields}).encode()
        give_up = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                return self._send(path, body)
            except (OSError, HTTPException, Busy):
                self._connection.close()
                if time.monotonic() > give_up:
                    raise
                time.sleep(PAUSE)

    def _send(self, path: str, body: bytes) -> dict[str, Any]:
        self._connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        if response.status != 200:
            raise Busy(answer) if response.status == TOO_MANY_REQUESTS else Refused(answer)
        return answer


def publish(caller: Caller, notes: Notes, options: argparse.Namespace) -> None:
    """Publish numbered messages, each under an id, so that repeating it is safe, until the peer is unregistered."""
    for number in islice(count(), options.count):
        message = f"{options.peer_id}:{number}"
        notes.add("publishing", message=message)
        try:
            answer = caller.call("/publish", topic=options.topic, message=message, message_id=message)
        except Refused as refusal:
            if refusal.code != "peer_not_found":
                raise
            return
        notes.add("published", message=message, offset=answer["offset"])


def consume(caller: Caller, notes: Notes, options: argparse.Namespace) -> None:
    """Consume until the topic is deleted, joining again whenever the lease ran out."""
    while True:
        try:
            join(caller, options)
            while True:
                consume_some(caller, notes, options.topic)
        except Refused as refusal:
            if refusal.code in ENDED:
                return
            if refusal.code not in EXPIRED:
                raise


def join(caller: Caller, options: argparse.Namespace) -> None:
    caller.call("/register_peer_node", lease_seconds=options.lease)
    caller.call("/subscribe", topic=options.topic, group=options.group)


def consume_some(caller: Caller, notes: Notes, topic: str) -> None:
    """Pull, then note and acknowledge message by message; with automatic acknowledgement, only note."""
    pulled = caller.call("/pull_messages", topic=topic, max_messages=PAGE, wait=WAIT)
    explicit = "attempts" in pulled
    attempts = pulled["attempts"] if explicit else [1] * len(pulled["messages"])
    for message, offset, attempt in zip(pulled["messages"], pulled["offsets"], attempts, strict=True):
        notes.add("delivered", message=message, offset=offset, attempt=attempt)
        if explicit:
            answer = caller.call("/ack_messages", topic=topic, offsets=[offset], attempts=[attempt])
            notes.add("acknowledged" if answer["acknowledged"] else "stale", offset=offset, attempt=attempt)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["publisher", "consumer"])
    parser.add_argument("--url", required=True, help="of the indexing server or a peer node")
    parser.add_argument("--peer-id", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--notes", required=True, type=Path, help="file to note events in")
    parser.add_argument("--count", type=int, help="messages to publish at most")
    parser.add_argument("--group", help="to consume in; without, the subscription is the consumer's own")
    parser.add_argument("--lease", type=float, help="seconds after which a silent consumer is given up")
    return parser.parse_args()


def main() -> None:
    options = parse()
    caller = Caller(options.url.removeprefix("http://"), options.peer_id)
    work = publish if options.role == "publisher" else consume
    work(caller, Notes(options.notes), options)


if __name__ == "__main__":
    main()
