"""What a measurement needs at the server before it begins."""

from collections.abc import Iterable, Sequence
from contextlib import closing

import msgspec

from benchmarks.line import END_OF_HEAD, GOOD, Line
from benchmarks.load import Caller, generate
from benchmarks.request import Request, prepare

MESSAGE = "x" * 100
BATCH = 1000
"""Messages published a request."""
CONNECTIONS = 16


class SetupFailed(Exception):
    """What a measurement needs could not be made."""


def make(callers: Sequence[Caller]) -> None:
    """Have calls made that must succeed; raises `SetupFailed`."""
    load = generate(callers)
    if load.first_error:
        raise SetupFailed(f"A benchmark could not be set up: {load.first_error.decode(errors='replace')}")


def make_all(url: str, requests: Iterable[Request]) -> None:
    """Have many calls made that do not depend on each other, on several connections at once."""
    every = list(requests)
    make([Caller(url, every[i::CONNECTIONS]) for i in range(min(CONNECTIONS, len(every)))])


def ask(url: str, request: Request) -> bytes:
    """The answer to one request, on a connection of its own; raises `SetupFailed` if it is not the expected one."""
    with closing(Line(url)) as line:
        answer = line.ask(request.data)
    if request.expected not in answer:
        raise SetupFailed(f"{url} gave another answer to {request.call}: {answer[:500].decode(errors='replace')}")
    return answer


def create_topic(url: str, topic: str, **options: object) -> None:
    """Create a topic."""
    ask(url, prepare("create_topic", {"topic": topic, **options}, expected=GOOD))


def join(url: str, topic: str, peers: Sequence[str]) -> None:
    """Register peers and subscribe each to a topic."""
    make_all(url, [prepare("register_peer_node", {"peer_id": peer}) for peer in peers])
    make_all(url, [prepare("subscribe", {"peer_id": peer, "topic": topic}) for peer in peers])


def move(url: str, topic: str, peers: Sequence[str], start: str | int) -> None:
    """Move the message queues of subscribed peers to an offset, or to the `earliest` message there is."""
    make_all(url, [prepare("subscribe", {"peer_id": peer, "topic": topic, "from": start}) for peer in peers])


def fill(url: str, topic: str, count: int) -> None:
    """Publish `count` messages of 100 bytes."""
    whole, rest = divmod(count, BATCH)
    batch, last = (prepare("publish", {"topic": topic, "messages": [MESSAGE] * size}) for size in (BATCH, rest))
    make([Caller(url, [batch] * whole + [last] * bool(rest))])


def stat(url: str, name: str) -> int:
    """One of the figures that `/stats` tells."""
    body = ask(url, prepare("stats", method="GET", expected=GOOD)).partition(END_OF_HEAD)[2]
    found: int = msgspec.json.decode(body)["stats"][name]
    return found


def names(stem: str, count: int) -> list[str]:
    """`count` names of peers or topics: `peer1`, `peer2`, ..."""
    return [f"{stem}{number}" for number in range(1, count + 1)]
