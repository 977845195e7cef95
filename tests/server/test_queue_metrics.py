"""The metrics of single topics and queues: those furthest behind, and never more series than the server may show."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from peerbus.http.listener import bind
from peerbus.server import IndexingServer, ServerOptions
from tests.support.harness import Api, serving
from tests.support.metrics import families, read

Series = dict[tuple[str, ...], float]
"""The value of each topic, or of each topic and queue."""


@contextmanager
def showing(queues: int) -> Iterator[Api]:
    """An indexing server that shows so many queues one by one."""
    yield from serving(IndexingServer(bind("127.0.0.1", 0), ServerOptions(metrics_queues=queues)))


def shown(api: Api) -> dict[str, Series]:
    """Everything that is about a topic or a queue, by its name."""
    found: dict[str, Series] = {}
    for family in families(api).values():
        if family.name.startswith(("peerbus_topic_", "peerbus_queue_")):
            found[family.name.removeprefix("peerbus_")] = {
                tuple(sample.labels[label] for label in ("topic", "queue") if label in sample.labels): sample.value
                for sample in family.samples
            }
    return found


def labels(api: Api, name: str) -> list[tuple[str, ...]]:
    return sorted(shown(api)[name])


def backlog(api: Api, topic: str, **peers: int) -> None:
    """A topic with a queue for each peer, that is behind by so many messages."""
    for peer_id in peers:
        api.subscriber(peer_id, topic)
    most = max(peers.values())
    api.post("/publish", topic=topic, messages=[0] * most)
    for peer_id, behind in peers.items():
        if behind < most:
            api.post("/pull_messages", peer_id=peer_id, topic=topic, max_messages=most - behind)


def test_a_queue_is_shown_with_what_was_done_with_it(index: Api) -> None:
    of_group = {"peer_id": "peer1", "topic": "jobs"}
    index.post("/register_peer_node", peer_id="peer1")
    index.post("/create_topic", topic="jobs")
    index.post("/subscribe", **of_group, group="workers", ack="explicit", max_attempts=2, dead_letter_topic="dead")
    index.post("/publish", topic="jobs", messages=[0, 1, 2, 3])
    index.post("/pull_messages", **of_group, max_messages=3)
    index.post("/ack_messages", **of_group, offsets=[1])
    for _ in range(2):
        index.post("/nack_messages", **of_group, offsets=[0])
        index.post("/pull_messages", **of_group, max_messages=1)
    seen = shown(index)
    queue, topic = ("jobs", "group workers"), ("jobs",)
    assert seen["queue_oldest_unread_seconds"].pop(queue) > 0
    del seen["queue_oldest_unread_seconds"]
    assert {name: values[queue] for name, values in seen.items() if name.startswith("queue_")} == {
        "queue_unread_messages": 2,
        "queue_in_flight_messages": 2,
        "queue_messages_pulled": 5,
        "queue_messages_missed": 0,
    }
    assert {name: values[topic] for name, values in seen.items() if name.startswith("topic_")} == {
        "topic_unread_messages": 2,
        "topic_messages_published": 4,
        "topic_messages_dropped": 0,
        "topic_messages_missed": 0,
        "topic_messages_discarded": 0,
        "topic_messages_redelivered": 1,
        "topic_messages_dead_lettered": 1,
        "topic_publishes_refused": 0,
    }
    assert seen["topic_messages_published"]["dead",] == 1


def test_lost_messages_and_refused_publishes_are_shown_where_they_are(index: Api) -> None:
    index.post("/create_topic", topic="leaky", max_messages=2, overflow="drop_oldest")
    index.post("/create_topic", topic="full", max_messages=2)
    for topic in ("leaky", "full"):
        index.subscriber("peer1", topic)
        index.subscriber("peer2", topic)
        for number in range(3):
            index.post("/publish", topic=topic, message=number)
    for _ in range(2):
        index.post("/pull_messages", peer_id="peer1", topic="leaky")
    seen = shown(index)
    assert seen["topic_messages_dropped"] == {("leaky",): 1, ("full",): 0}
    assert seen["topic_publishes_refused"] == {("leaky",): 0, ("full",): 1}
    missed = {key: value for key, value in seen["queue_messages_missed"].items() if value}
    assert missed == {("leaky", "peer1"): 1}, "peer2 has not pulled yet"


def test_totals_of_a_queue_never_fall(index: Api) -> None:
    backlog(index, "news", a=0, b=2)
    assert index.post("/seek", peer_id="a", topic="news", to="earliest").status == 200
    index.post("/pull_messages", peer_id="a", topic="news", max_messages=1)
    assert shown(index)["queue_messages_pulled"] == {("news", "a"): 3, ("news", "b"): 0}


def test_the_largest_backlogs_are_shown_and_no_others() -> None:
    with showing(3) as api:
        backlog(api, "small", a=1, b=0)
        backlog(api, "large", a=9, b=2, c=8)
        backlog(api, "middle", a=3, b=4)
        backlog(api, "empty", a=0)
        for name, series in shown(api).items():
            assert len(series) == 3, name
        assert labels(api, "topic_unread_messages") == [("large",), ("middle",), ("small",)]
        assert labels(api, "queue_unread_messages") == [("large", "a"), ("large", "c"), ("middle", "b")]


def test_of_queues_without_a_backlog_the_busiest_are_shown() -> None:
    with showing(1) as api:
        for topic, published in (("quiet", 1), ("busy", 5), ("calm", 2)):
            api.subscriber("a", topic)
            api.post("/publish", topic=topic, messages=[0] * published)
            api.post("/pull_messages", peer_id="a", topic=topic, max_messages=published)
        assert labels(api, "queue_messages_pulled") == [("busy", "a")]
        assert labels(api, "topic_messages_published") == [("busy",)]


def test_more_topics_and_queues_than_are_read_at_once_are_all_looked_through() -> None:
    server = IndexingServer(bind("127.0.0.1", 0), ServerOptions(metrics_queues=2))
    server.broker.create_topic("crowd")
    for number in range(2_500):
        server.broker.create_topic(f"topic{number}")
        server.broker.register_peer(f"peer{number}")
        server.broker.subscribe(f"peer{number}", "crowd")
    for api in serving(server):
        backlog(api, "crowd", last=3)
        for number in range(2_500):
            server.broker.pull(f"peer{number}", "crowd", 2 + number % 2)
        backlog(api, "other", a=2)
        assert labels(api, "topic_unread_messages") == [("crowd",), ("other",)]
        assert labels(api, "queue_unread_messages") == [("crowd", "last"), ("other", "a")]


def test_none_are_shown_where_none_may_be() -> None:
    with showing(0) as api:
        backlog(api, "news", a=1)
        assert shown(api) == {}
        assert "peerbus_unread_messages 1.0" in read(api)


@pytest.mark.parametrize("gone", ["queue", "topic"])
def test_what_is_gone_is_not_shown(index: Api, gone: str) -> None:
    backlog(index, "news", a=1, b=2)
    if gone == "queue":
        index.post("/unsubscribe", peer_id="a", topic="news")
        assert labels(index, "queue_unread_messages") == [("news", "b")]
    else:
        index.delete("/delete_topic", topic="news")
        assert shown(index)["topic_unread_messages"] == shown(index)["queue_unread_messages"] == {}
