"""A publisher or a consumer as a process of its own, which notes what happens to it until it is killed.

`python -m tests.system.reliability.worker --help`. It needs only the standard library, so it starts at once.
Every note is a line of JSON, and is in the file before the worker does anything more.
"""

import argparse
import json
import time
from http.client import HTTPConnection, HTTPException
from itertools import islice
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


class Unanswered(ConnectionError):
    """The connection broke after the call was sent: nobody knows what became of it."""


class Notes:
    """A file of what happened, complete up to the moment the process is killed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")

    def add(self, event: str, **fields: Any) -> None:
        self._file.write(json.dumps({"event": event, **fields}) + "\n")
        self._file.flush()


class Caller:
    """Makes one peer's calls over one kept connection, each again until it is answered and there is room."""

    def __init__(self, address: str, peer_id: str, notes: Notes) -> None:
        self._connection = HTTPConnection(address, timeout=RETRY_SECONDS)
        self._peer_id = peer_id
        self._notes = notes

    def call(self, path: str, *, repeat: bool = True, **fields: Any) -> dict[str, Any]:
        """The answer; raises `Refused`, and after `RETRY_SECONDS` in vain what went wrong last.

        What is not to `repeat` is sent once: it raises `Unanswered`.
        """
        body = json.dumps({"peer_id": self._peer_id, **fields}).encode()
        give_up = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                if self._connection.sock is None:
                    self._connection.connect()
                return self._send(path, body)
            except (OSError, Busy) as error:
                self._connection.close()
                if time.monotonic() > give_up or (isinstance(error, Unanswered) and not repeat):
                    raise
                time.sleep(PAUSE)

    def _send(self, path: str, body: bytes) -> dict[str, Any]:
        try:
            self._connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (OSError, HTTPException) as error:
            self._notes.add("unanswered", call=path)
            raise Unanswered(path) from error
        if response.status != 200:
            raise Busy(answer) if response.status == TOO_MANY_REQUESTS else Refused(answer)
        return answer


def publish(caller: Caller, notes: Notes, options: argparse.Namespace) -> None:
    """Publish numbered messages, each under an id, so that repeating it is safe, until the peer is unregistered.

    Anonymous ones have no id: they are sent once.
    """
    numbers = iter(range(options.count))
    while batch := list(islice(numbers, options.batch)):
        messages = [f"{options.peer_id}:{number}".ljust(options.size, ".") for number in batch]
        fields: dict[str, Any] = {"messages": messages} if options.batch > 1 else {"message": messages[0]}
        if not options.anonymous:
            fields["message_id"] = f"{options.peer_id}:{batch[0]}"
        notes.add("publishing", messages=messages)
        try:
            answer = caller.call("/publish", repeat=not options.anonymous, topic=options.topic, **fields)
        except Unanswered:
            continue
        except Refused as refusal:
            if refusal.code != "peer_not_found":
                raise
            return
        notes.add("published", offset=answer["offset"], duplicate=answer["duplicate"])


def consume(caller: Caller, notes: Notes, options: argparse.Namespace) -> None:
    """Consume until the topic is deleted, joining again whenever the lease ran out."""
    while True:
        try:
            if options.lease:
                join(caller, options)
            while True:
                consume_some(caller, notes, options)
        except Refused as refusal:
            if refusal.code in ENDED:
                return
            if refusal.code not in EXPIRED or not options.lease:
                raise


def join(caller: Caller, options: argparse.Namespace) -> None:
    caller.call("/register_peer_node", lease_seconds=options.lease)
    caller.call("/subscribe", topic=options.topic, group=options.group)


def consume_some(caller: Caller, notes: Notes, options: argparse.Namespace) -> None:
    """Pull, note, then settle message by message, where they are to be acknowledged."""
    pulled = caller.call("/pull_messages", topic=options.topic, max_messages=PAGE, wait=WAIT)
    notes.add("pulled", **{name: value for name, value in pulled.items() if name != "message"})
    if "attempts" not in pulled:
        return
    for offset, attempt in zip(pulled["offsets"], pulled["attempts"], strict=True):
        claim = {"topic": options.topic, "offsets": [offset], "attempts": [attempt]}
        action = neglectful(offset, attempt) if options.neglect else "acknowledge"
        if action == "reject":
            caller.call("/nack_messages", **claim)
        elif action == "acknowledge":
            answer = caller.call("/ack_messages", **claim)
            notes.add("acknowledged" if answer["acknowledged"] else "stale", offset=offset, attempt=attempt)


def neglectful(offset: int, attempt: int) -> str:
    """What a consumer does with a message that does not always care, so that each comes to its end in some way."""
    if offset % 50 == 9:
        return "forget"
    if attempt == 1 and offset % 10 == 3:
        return "reject"
    return "forget" if attempt == 1 and offset % 10 == 7 else "acknowledge"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["publisher", "consumer"])
    parser.add_argument("--url", required=True, help="of the indexing server or a peer node")
    parser.add_argument("--peer-id", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--notes", required=True, type=Path, help="file to note events in")
    parser.add_argument("--count", type=int, default=10**9, help="messages to publish at most")
    parser.add_argument("--batch", type=int, default=1, help="messages to publish at once")
    parser.add_argument("--size", type=int, default=0, help="characters of a message at least")
    parser.add_argument("--anonymous", action="store_true", help="publish without message ids")
    parser.add_argument("--group", help="to consume in; without, the subscription is the consumer's own")
    parser.add_argument("--lease", type=float, help="seconds after which a silent consumer is given up; it then joins")
    parser.add_argument("--neglect", action="store_true", help="reject or forget some messages")
    return parser.parse_args()


def main() -> None:
    options = parse()
    notes = Notes(options.notes)
    caller = Caller(options.url.removeprefix("http://"), options.peer_id, notes)
    work = publish if options.role == "publisher" else consume
    work(caller, notes, options)


if __name__ == "__main__":
    main()
