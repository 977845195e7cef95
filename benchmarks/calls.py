"""What is measured: each of the eight calls, singly and, where it takes messages, in batches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.load import Caller
from benchmarks.request import Request, prepare
from benchmarks.setup import make

CALLS = (
    *("register_peer_node", "unregister_peer_node", "create_topic", "delete_topic"),
    *("publish", "subscribe", "pull_messages", "query_peers"),
)
LIVEZ = "livez"
"""Costs the server next to nothing: what the generator itself can do."""
DIRECT = "direct"
PEER = "peer"
REQUESTS_PER_BATCH = 20
"""So many single requests are measured for each request with a batch."""


class Step(NamedTuple):
    """Calls measured in one load. Several take turns: unregistering is only possible again after registering."""

    calls: tuple[str, ...]
    callers: list[Caller]
    messages_per_request: int = 0


@dataclass(frozen=True, slots=True)
class Setting:
    """Who calls what: one caller for each of `urls`, which are the indexing server's own where `via` is direct.

    `requests` of each call are shared out among the callers. A message is a string of `size` bytes.
    """

    via: str
    server: str
    urls: list[str]
    requests: int
    batch: int
    size: int

    @property
    def each(self) -> int:
        """How many requests of a call each caller makes."""
        return max(1, self.requests // len(self.urls))

    @property
    def batches_each(self) -> int:
        """How many requests with a batch each caller makes."""
        return max(1, self.each // REQUESTS_PER_BATCH)

    def who(self, number: int) -> dict[str, str]:
        """The field that says who calls: a peer node fills it in itself."""
        return {"peer_id": f"direct{number}"} if self.via == DIRECT else {}

    def topic(self, kind: str, number: int = 0, k: int = 0) -> str:
        """The name of a topic; topics of a kind are one for each caller and request, or fewer."""
        return f"{self.via}-{kind}-{number}-{k}"


def steps(setting: Setting) -> Iterator[Step]:
    """The measurements in a setting, in order; what the next one needs is made, unmeasured, between them."""
    _set_up(setting)
    register, unregister = (f"{prefix}register_peer_node" for prefix in ("", "un"))
    each, batches, batch = setting.each, setting.batches_each, setting.batch
    if setting.via == DIRECT:
        yield Step((LIVEZ,), _repeating(setting, lambda _: prepare(LIVEZ, method="GET"), each))
    yield Step((unregister, register), _leaving_and_coming(setting, unregister, register))
    yield _single(setting, "create_topic", "made")
    yield _single(setting, "subscribe", "offered", who=True)
    _join(setting)
    yield Step(("query_peers",), _repeating(setting, lambda _: _query(setting), each))
    yield Step(("publish",), _repeating(setting, lambda i: _publish(setting, i), each), 1)
    yield Step(("pull_messages",), _repeating(setting, lambda i: _pull(setting, i), each), 1)
    yield Step(("publish",), _repeating(setting, lambda i: _publish(setting, i, batch), batches), batch)
    yield Step(("pull_messages",), _repeating(setting, lambda i: _pull(setting, i, batch), batches), batch)
    yield _single(setting, "delete_topic", "made", method="DELETE")


def _repeating(setting: Setting, request: Callable[[int], Request], count: int) -> list[Caller]:
    """A caller at each URL that sends the same request, made of the caller's number, `count` times."""
    return [Caller(url, [request(i)] * count) for i, url in enumerate(setting.urls, 1)]


def _single(setting: Setting, call: str, kind: str, method: str = "POST", *, who: bool = False) -> Step:
    """A call that each time names another topic of a kind."""

    def request(i: int, k: int) -> Request:
        return prepare(call, {**(setting.who(i) if who else {}), "topic": setting.topic(kind, i, k)}, method)

    numbers = range(setting.each)
    return Step((call,), [Caller(url, [request(i, k) for k in numbers]) for i, url in enumerate(setting.urls, 1)])


def _leaving_and_coming(setting: Setting, unregister: str, register: str) -> list[Caller]:
    turns = [
        [prepare(unregister, setting.who(i)), prepare(register, setting.who(i), expected=b'"created":true')]
        for i, _ in enumerate(setting.urls, 1)
    ]
    return [Caller(url, turn * setting.each) for url, turn in zip(setting.urls, turns, strict=True)]


def _query(setting: Setting) -> Request:
    return prepare("query_peers", {"topic": setting.topic("shared")}, "GET", b'"peers":["')


def _publish(setting: Setting, i: int, count: int = 0) -> Request:
    """One message to the topic that all share, or a batch of `count` to the caller's own."""
    text = "x" * setting.size
    topic = setting.topic("own", i) if count else setting.topic("shared")
    what = {"messages": [text] * count} if count else {"message": text}
    fields = {**setting.who(i), "topic": topic, **what}
    return prepare("publish", fields, expected=b'"count":%d,' % (count or 1))


def _pull(setting: Setting, i: int, count: int = 0) -> Request:
    """One message from the topic that all share, or a batch of `count` from the caller's own."""
    topic = setting.topic("own", i) if count else setting.topic("shared")
    fields = {**setting.who(i), "topic": topic, "max_messages": count or 1}
    return prepare("pull_messages", fields, expected=b'"%d message%s from' % (count or 1, b"s" if count else b""))


def _set_up(setting: Setting) -> None:
    """Make the callers that no peer node registers, and the topics to subscribe to."""
    callers = range(1, len(setting.urls) + 1)
    peers = [prepare("register_peer_node", setting.who(i)) for i in callers if setting.who(i)]
    offered = [setting.topic("offered", i, k) for i in callers for k in range(setting.each)]
    topics = [setting.topic("shared"), *(setting.topic("own", i) for i in callers), *offered]
    make([Caller(setting.server, peers + [prepare("create_topic", {"topic": topic}) for topic in topics])])


def _join(setting: Setting) -> None:
    """Subscribe every caller to the topic all share and to its own."""
    callers = []
    for i, url in enumerate(setting.urls, 1):
        topics = (setting.topic("shared"), setting.topic("own", i))
        callers.append(Caller(url, [prepare("subscribe", {**setting.who(i), "topic": topic}) for topic in topics]))
    make(callers)
