"""The systems that are compared give the expected answers."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from benchmarks import brokers, naive
from benchmarks.load import Caller, SetupFailed, ask, generate
from benchmarks.wrk import System
from tests.benchmarks.support import asked_once
from tests.support.harness import Api


@pytest.mark.parametrize("batch", [1, 1000])
def test_a_publisher_publishes(index: Api, batch: int) -> None:
    system = brokers.publisher("peerbus", "naive", index.url, index.url, batch)
    assert (asked_once(system), system.messages) == (batch, batch)


def test_a_puller_pulls_as_much_again_in_each_round(index: Api) -> None:
    system = brokers.puller("peerbus", index.url, 10, messages=20)
    every = [Caller(index.url, list(system.requests) * 2)]
    assert system.total
    for round_number in (1, 2):
        with system.during():
            assert not generate(every).errors
        assert system.total() == round_number * 20 * len(system.requests)
    assert generate(every).errors == {"pull_messages": 2 * len(system.requests)}, "nothing is left"


def test_a_node_is_published_through() -> None:
    with brokers.publishing_through_a_peer() as system:
        assert asked_once(system) == 1


@pytest.mark.parametrize("start", [brokers.naive, brokers.naive_through_a_peer])
def test_the_naive_design_serves(start: Callable[[], AbstractContextManager[System]]) -> None:
    with start() as system:
        assert b"200 OK" in ask(system.url, system.requests[0])


def test_the_naive_design_copies_a_message_for_each_subscriber() -> None:
    client = naive.indexing_server().test_client()
    client.post("/create_topic", json={"topic": "news"})
    for peer_id in ("peer1", "peer2"):
        client.post("/subscribe", json={"topic": "news", "peer_id": peer_id})
    for message in ("a", {"b": 1}):
        assert client.post("/publish", json={"topic": "news", "message": message}).status_code == 200
    for peer_id, messages in (("peer1", ["a", {"b": 1}]), ("peer1", []), ("peer2", ["a", {"b": 1}])):
        answer = client.post("/pull_messages", json={"topic": "news", "peer_id": peer_id})
        assert answer.get_json()["messages"] == messages
    assert client.post("/publish", json={"topic": "else", "message": 1}).status_code == 404
    assert client.post("/subscribe", json={"topic": "else", "peer_id": "peer1"}).status_code == 404
    assert client.post("/pull_messages", json={"topic": "news", "peer_id": "peer3"}).status_code == 404


def test_another_answer_than_the_expected_one_is_an_error(index: Api) -> None:
    system = brokers.publisher("peerbus", "naive", index.url, index.url)
    index.delete("/delete_topic", topic=brokers.TOPIC)
    with pytest.raises(SetupFailed, match="topic_not_found"):
        ask(system.url, system.requests[0])


def test_what_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(brokers, "has_webdis", lambda: False)
    monkeypatch.setattr(brokers, "has_nchan", lambda: False)
    assert brokers.contenders() == list(brokers.ALWAYS)
    assert capsys.readouterr().out.count("left out") == 2
