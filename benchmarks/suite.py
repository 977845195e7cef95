"""The measurement of each of the eight calls, singly and, where it takes messages, in batches.

`python -m benchmarks.suite` measures the ceiling of the load generator itself.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice, pairwise
from random import Random
from typing import NamedTuple

import click
from tqdm import tqdm

from benchmarks.command import FULL_REQUESTS, Counts, errors_in_one_line
from benchmarks.load import Caller, Request, create_topics, generate, make, names, prepare
from benchmarks.processes import indexing_server, services
from benchmarks.stats import Measurement, ResponseTime, measured
from peerbus.cli import options

CALLS = (
    *("register_peer_node", "unregister_peer_node", "create_topic", "delete_topic"),
    *("publish", "subscribe", "pull_messages", "query_peers"),
)
LIVEZ = "livez"
"""Costs the server next to nothing, and so shows what the generator itself can do."""
DIRECT = "direct"
PEER = "peer"
REQUESTS_PER_BATCH = 20
"""Single requests that are measured for each request with a batch."""
STEPS_PER_COUNT = 19
"""Nine through peer nodes, the same directly, and `/livez`."""
ASKED = 10
"""Topics whose subscribers are asked for."""
FEW_TOPICS = 3
"""The exponent of the second number of topics that are measured: 1,000."""


class Step(NamedTuple):
    """Calls measured in one load. Several take turns: unregistering is only possible again after registering."""

    calls: tuple[str, ...]
    callers: list[Caller]
    messages_per_request: int = 0


@dataclass(frozen=True, slots=True)
class Setting:
    """One caller for each of `urls`, which are all the indexing server's if `via` is direct.

    The callers share out the `requests` of each call. A message is a string of `size` bytes.
    """

    via: str
    server: str
    urls: list[str]
    requests: int
    batch: int
    size: int

    @property
    def each(self) -> int:
        """The requests of a call that each caller makes."""
        return max(1, self.requests // len(self.urls))

    @property
    def batches_each(self) -> int:
        """The requests with a batch that each caller makes."""
        return max(1, self.each // REQUESTS_PER_BATCH)

    def identity(self, number: int) -> dict[str, str]:
        """The field with the caller's peer id; empty through a peer node, which fills it in."""
        return {"peer_id": f"direct{number}"} if self.via == DIRECT else {}

    def topic(self, kind: str, number: int = 0, k: int = 0) -> str:
        """The name of a topic of a kind, of its own for a caller number and a request number `k`, if they are given."""
        return f"{self.via}-{kind}-{number}-{k}"


def steps(setting: Setting) -> Iterator[Step]:
    """The measurements in a setting, in order. What each one needs is made before it, unmeasured."""
    _set_up(setting)
    register, unregister = (f"{prefix}register_peer_node" for prefix in ("", "un"))
    each, batches, batch = setting.each, setting.batches_each, setting.batch
    if setting.via == DIRECT:
        yield Step((LIVEZ,), _repeating(setting, lambda _: prepare(LIVEZ, method="GET"), each))
    yield Step((unregister, register), _unregistering_and_registering(setting, unregister, register))
    yield _single(setting, "create_topic", "made")
    yield _single(setting, "subscribe", "offered", identified=True)
    _join(setting)
    yield Step(("query_peers",), _repeating(setting, lambda _: _query(setting), each))
    yield Step(("publish",), _repeating(setting, lambda i: _publish(setting, i), each), 1)
    yield Step(("pull_messages",), _repeating(setting, lambda i: _pull(setting, i), each), 1)
    yield Step(("publish",), _repeating(setting, lambda i: _publish(setting, i, batch), batches), batch)
    yield Step(("pull_messages",), _repeating(setting, lambda i: _pull(setting, i, batch), batches), batch)
    yield _single(setting, "delete_topic", "made", method="DELETE")


def _repeating(setting: Setting, request: Callable[[int], Request], count: int) -> list[Caller]:
    """A caller at each URL that sends the request made for its number `count` times."""
    return [Caller(url, [request(i)] * count) for i, url in enumerate(setting.urls, 1)]


def _single(setting: Setting, call: str, kind: str, method: str = "POST", *, identified: bool = False) -> Step:
    """A call that names another topic of a kind each time."""

    def request(i: int, k: int) -> Request:
        return prepare(
            call, {**(setting.identity(i) if identified else {}), "topic": setting.topic(kind, i, k)}, method
        )

    numbers = range(setting.each)
    return Step((call,), [Caller(url, [request(i, k) for k in numbers]) for i, url in enumerate(setting.urls, 1)])


def _unregistering_and_registering(setting: Setting, unregister: str, register: str) -> list[Caller]:
    turns = [
        [prepare(unregister, setting.identity(i)), prepare(register, setting.identity(i), expected=b'"created":true')]
        for i, _ in enumerate(setting.urls, 1)
    ]
    return [Caller(url, turn * setting.each) for url, turn in zip(setting.urls, turns, strict=True)]


def _query(setting: Setting) -> Request:
    return prepare("query_peers", {"topic": setting.topic("shared")}, "GET", b'"peers":["')


def _publish(setting: Setting, i: int, count: int = 0) -> Request:
    """One message to the topic that all callers share, or a batch of `count` to the caller's own."""
    text = "x" * setting.size
    topic = setting.topic("own", i) if count else setting.topic("shared")
    what = {"messages": [text] * count} if count else {"message": text}
    fields = {**setting.identity(i), "topic": topic, **what}
    return prepare("publish", fields, expected=b'"count":%d,' % (count or 1))


def _pull(setting: Setting, i: int, count: int = 0) -> Request:
    """One message from the topic that all callers share, or a batch of `count` from the caller's own."""
    topic = setting.topic("own", i) if count else setting.topic("shared")
    fields = {**setting.identity(i), "topic": topic, "max_messages": count or 1}
    return prepare("pull_messages", fields, expected=b'"%d message%s from' % (count or 1, b"s" if count else b""))


def _set_up(setting: Setting) -> None:
    """Register the callers that have no peer node, and make the topics to subscribe to."""
    callers = range(1, len(setting.urls) + 1)
    peers = [prepare("register_peer_node", setting.identity(i)) for i in callers if setting.identity(i)]
    offered = [setting.topic("offered", i, k) for i in callers for k in range(setting.each)]
    topics = [setting.topic("shared"), *(setting.topic("own", i) for i in callers), *offered]
    make([Caller(setting.server, peers + [prepare("create_topic", {"topic": topic}) for topic in topics])])


def _join(setting: Setting) -> None:
    """Subscribe every caller to the topic that all share and to its own."""
    callers = []
    for i, url in enumerate(setting.urls, 1):
        topics = (setting.topic("shared"), setting.topic("own", i))
        callers.append(Caller(url, [prepare("subscribe", {**setting.identity(i), "topic": topic}) for topic in topics]))
    make(callers)


def measure_calls(counts: Sequence[int], requests: int, batch: int, size: int) -> list[Measurement]:
    """Measure every call with each number of peers, directly and through their nodes; fresh processes for each."""
    rows: list[Measurement] = []
    with tqdm(total=len(counts) * STEPS_PER_COUNT, unit="run", dynamic_ncols=True) as bar:
        for count in counts:
            bar.set_description(f"starting {_peers(count)}")
            with services(count) as running:
                for via, urls in ((DIRECT, [running.server] * count), (PEER, running.nodes)):
                    setting = Setting(via, running.server, urls, requests, batch, size)
                    for step in steps(setting):
                        rows += _measure(step, via, count, bar.set_description)
                        bar.update()
        bar.set_description("measured")
    return rows


def _measure(step: Step, via: str, count: int, say: Callable[[str], None]) -> list[Measurement]:
    what = " and ".join(step.calls)
    amount = f" of {step.messages_per_request} messages" if step.messages_per_request > 1 else ""
    way = "directly, as" if via == DIRECT else "through"
    say(f"{what}{amount} {way} {_peers(count)}")
    load = generate(step.callers)
    return [measured(load, call, via, count, step.messages_per_request) for call in step.calls]


def measure_queries(counts: Sequence[int], topics: int, requests: int) -> list[ResponseTime]:
    """Measure `query_peers` with more and more topics, up to `topics`, while some of the peers ask at once.

    With each number of topics, each of `counts` peers ask. They ask for `ASKED` topics in turn, drawn at random from
    all; as many peers as the largest count are subscribed to each of these, so that all answers are alike.
    """
    rows: list[ResponseTime] = []
    every = names("topic", topics)
    levels = powers_up_to(topics)
    with tqdm(total=len(levels) * len(counts), unit="run", dynamic_ncols=True) as bar:
        bar.set_description(f"starting {_peers(max(counts))}")
        with services(max(counts)) as running:
            for before, level in pairwise((0, *levels)):
                create_topics(running.server, every[before:level])
                asked = Random(level).sample(every[:level], min(level, ASKED))  # noqa: S311  # guards nothing
                joins = [prepare("subscribe", {"topic": topic}) for topic in asked]
                make([Caller(node, joins) for node in running.nodes])
                queries = [prepare("query_peers", {"topic": topic}, "GET", b'"peers":["') for topic in asked]
                for count in counts:
                    bar.set_description(f"query_peers of {level:,} topics, asked by {_peers(count)} at once")
                    each = list(islice(cycle(queries), max(1, requests // count)))
                    load = generate([Caller(node, each) for node in running.nodes[:count]])
                    measurement = measured(load, "query_peers", PEER, count)
                    rows.append(ResponseTime(**asdict(measurement), topics=level))
                    bar.update()
        bar.set_description("measured")
    return rows


def powers_up_to(most: int) -> list[int]:
    """1, and the powers of ten from `FEW_TOPICS` on, as far as they are smaller than `most`; and `most`."""
    powers = [1, *(10**exponent for exponent in range(FEW_TOPICS, len(str(most))))]
    return [*(power for power in powers if power < most), most]


def _peers(count: int) -> str:
    return "1 peer" if count == 1 else f"{count} peers"


def ceiling(url: str, connections: int, requests: int) -> Measurement:
    """Measure the generator with `/livez` of a server; the connections share out the requests."""
    each = [prepare(LIVEZ, method="GET", expected=b"Alive")] * max(1, requests // connections)
    return measured(generate([Caller(url, each)] * connections), LIVEZ, DIRECT, connections)


@options.command("PEERBUS_CEILING", "--requests")
@click.option("--connections", type=Counts(), default="1,16,100", help="Numbers of connections.")
@click.option("--requests", type=click.IntRange(1, 1_000_000), default=FULL_REQUESTS, help="Requests of a measurement.")
def main(connections: list[int], requests: int) -> None:
    """Show the rate that the load generator reaches with a call that costs the server next to nothing."""
    with errors_in_one_line(), indexing_server() as server:
        for count in connections:
            row = ceiling(server.url, count, requests)
            click.echo(
                f"{count:3} connections: {row.requests_per_s:7,.0f} requests/s, {row.errors} errors; the generator "
                f"used {row.generator_cpu:.0%} of a core, so that all of one is enough for "
                f"{row.requests_per_s / row.generator_cpu:,.0f} requests/s"
            )


if __name__ == "__main__":
    options.run(main)
