"""What `GET /metrics` shows is what was done, in Prometheus's own terms."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric

from peerbus import __version__
from peerbus.http.listener import bind
from peerbus.server import IndexingServer, ServerOptions
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from tests.support.harness import DEADLINE, Api, eventually, serving, start_node
from tests.support.metrics import PEER_AND_TOPIC, families, read, work

UNITS = ("_seconds", "_bytes")
OTHER_UNITS = re.compile("_(milliseconds|ms|us|minutes|kilobytes|kb|mb|megabytes|mib|percent)(_|$)")


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Api]:
    """An indexing server that keeps its state."""
    journal = GroupCommit(Storage(tmp_path / "data"), 0)
    yield from serving(IndexingServer(bind("127.0.0.1", 0), ServerOptions(), journal))


def values(api: Api) -> dict[str, float]:
    """Everything without labels, by its name."""
    return {
        sample.name: sample.value for family in families(api).values() for sample in family.samples if not sample.labels
    }


def requests(api: Api) -> dict[tuple[str, str], float]:
    """How many requests there were, by call and status."""
    samples = families(api)["peerbus_request_duration_seconds"].samples
    return {
        (sample.labels["call"], sample.labels["status"]): sample.value
        for sample in samples
        if sample.name.endswith("_count")
    }


def test_the_counts_are_what_was_done(index: Api) -> None:
    work(index)
    seen = values(index)
    assert {name: seen[f"peerbus_messages_{name}_total"] for name in MESSAGES} == MESSAGES
    assert {name: seen[f"peerbus_{name}"] for name in HELD} == HELD
    stats = index.get("/stats").body["stats"]
    assert seen["peerbus_memory_bytes"] == stats["memory_bytes"] > 0
    assert seen["peerbus_stored_bytes"] == 0


MESSAGES = {"published": 5, "pulled": 5, "redelivered": 1, "acknowledged": 1, "dead_lettered": 1, "missed": 0}
HELD = {
    "peers": 1,
    "topics": 3,
    "subscriptions": 3,
    "waiting_pulls": 0,
    "unacknowledged_messages": 2,
    "unread_messages": 4,
    "unread_messages_max": 2,
    "memory_limit_bytes": 1 << 30,
    "peers_expired_total": 0,
    "publishes_refused_total": 1,
}


def test_the_backlog_is_that_of_each_topics_slowest_subscriber(index: Api) -> None:
    for peer_id, topic in (("a", "one"), ("b", "one"), ("a", "two")):
        index.subscriber(peer_id, topic)
    index.post("/publish", topic="one", messages=[1, 2, 3])
    index.post("/publish", topic="two", messages=[1, 2])
    index.post("/pull_messages", peer_id="a", topic="one", max_messages=2)
    seen = values(index)
    assert (seen["peerbus_unread_messages"], seen["peerbus_unread_messages_max"]) == (5, 3)


def test_requests_are_counted_by_call_and_status(index: Api) -> None:
    index.subscriber("peer1", "news")
    for _ in range(3):
        index.post("/publish", topic="news", message=1)
    index.post("/publish", topic="absent", message=1)
    index.post("/publish", topic="news")
    index.send("POST", "/publish", data="{}")
    assert requests(index) == {
        ("register_peer_node", "200"): 1,
        ("create_topic", "200"): 1,
        ("subscribe", "200"): 1,
        ("publish", "200"): 3,
        ("publish", "404"): 1,
        ("publish", "400"): 1,
        ("publish", "415"): 1,
    }


def test_what_is_no_call_is_counted_as_other(index: Api) -> None:
    for number in range(20):
        assert index.get(f"/unknown{number}").status == 404
    assert index.post("/topics").status == 405
    read(index)
    assert requests(index) == {("other", "404"): 20, ("other", "405"): 1, ("other", "200"): 1}


def test_pulls_that_may_wait_are_counted_apart(index: Api) -> None:
    index.subscriber("peer1", "news")
    index.post("/pull_messages", **PEER_AND_TOPIC)
    held = index.in_background("POST", "/pull_messages", **PEER_AND_TOPIC, wait=60)
    eventually(lambda: values(index)["peerbus_waiting_pulls"] == 1)
    index.post("/publish", topic="news", messages=[1])
    assert held.result(DEADLINE).status == 200
    index.post("/pull_messages", **PEER_AND_TOPIC, wait=3600)
    seen = {key: count for key, count in requests(index).items() if key[0].startswith("pull")}
    assert seen == {
        ("pull_messages", "200"): 1,
        ("pull_messages_waiting", "200"): 1,
        ("pull_messages_waiting", "400"): 1,
    }


def test_requests_answered_by_other_threads_are_all_counted(durable: Api) -> None:
    durable.post("/create_topic", topic="news")
    callers = [durable.in_background("POST", "/publish", topic="news", message=number) for number in range(40)]
    assert {caller.result(DEADLINE).status for caller in callers} == {200}
    assert requests(durable)["publish", "200"] == 40


def test_a_server_on_disk_shows_its_commits(durable: Api) -> None:
    before = values(durable)
    durable.post("/create_topic", topic="news")
    seen = values(durable)
    took = "peerbus_journal_commit_duration_seconds"
    assert seen[f"{took}_count"] > before.get(f"{took}_count", 0)
    assert seen[f"{took}_sum"] > before.get(f"{took}_sum", 0)
    assert seen["peerbus_stored_bytes"] > 0


def test_a_node_counts_what_it_forwards(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        node.post("/create_topic", topic="news")
        node.post("/subscribe", topic="news")
        node.post("/publish", topic="absent", message=1)
        node.post("/pull_messages", topic="news", wait=0.01)
        assert requests(node) == {
            ("create_topic", "200"): 1,
            ("subscribe", "200"): 1,
            ("publish", "404"): 1,
            ("pull_messages_waiting", "200"): 1,
        }
        assert values(node)["peerbus_registered"] == 1


def test_servers_and_nodes_say_which_version_they_run(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        for api in (index, node):
            (sample,) = families(api)["peerbus_build_info"].samples
            assert (sample.labels, sample.value) == ({"version": __version__}, 1)


def test_names_units_and_buckets_are_as_prometheus_wants_them(durable: Api) -> None:
    work(durable)
    text = read(durable)
    for name, family in families(durable).items():
        full = f"{name}_total" if family.type == "counter" else name
        assert text.count(f"# HELP {full} ") == text.count(f"# TYPE {full} ") == 1, name
        assert family.documentation, name
        assert family.type in ("counter", "gauge", "histogram"), name
        assert re.fullmatch("(peerbus|process)_[a-z_]+", name), name
        assert not OTHER_UNITS.search(name), name
        assert name.endswith(UNITS) or not {"duration", "memory", "stored"} & set(name.split("_")), name
        for sample in family.samples:
            assert set(sample.labels) <= {"call", "status", "le", "version", "topic", "queue", "outcome"}, name
            assert sample.name.endswith("_total") == (family.type == "counter"), name
        if family.type == "histogram":
            check_buckets(family)


def check_buckets(family: Metric) -> None:
    """They only grow, end with +Inf, and have the count there."""
    rows: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
    counts: dict[tuple[Any, ...], float] = {}
    for sample in family.samples:
        key = tuple(value for name, value in sample.labels.items() if name != "le")
        if sample.name.endswith("_bucket"):
            rows.setdefault(key, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_count"):
            counts[key] = sample.value
    assert rows
    for key, row in rows.items():
        assert row == sorted(row)
        assert [value for _, value in row] == sorted(value for _, value in row)
        assert row[-1] == (float("inf"), counts[key])
