"""The errors that calls end with, each with its status, its code and, where repeating helps, when to."""

import json
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

import pytest

from peerbus.broker import Broker
from peerbus.wire.endpoints import Endpoint
from peerbus.wire.protocol import EmptyRequest
from tests.support.endpoints import Row
from tests.support.harness import Api
from tests.support.servers import serve

Call = tuple[str, dict[str, Any]]

REGISTER: Call = ("/register_peer_node", {"peer_id": "peer1"})
UNREGISTER: Call = ("/unregister_peer_node", {"peer_id": "peer1"})
CREATE: Call = ("/create_topic", {"topic": "news"})
SUBSCRIBE: Call = ("/subscribe", {"peer_id": "peer1", "topic": "news"})
SCHEDULE: Call = ("/publish", {"topic": "news", "message": "text", "delay": 60})
CANCEL: Call = ("/cancel_scheduled", {"topic": "news", "ids": [1]})
SCHEDULED: Call = ("/scheduled", {"topic": "news"})
UNSUBSCRIBE: Call = ("/unsubscribe", {"peer_id": "peer1", "topic": "news"})
PULL: Call = ("/pull_messages", {"peer_id": "peer1", "topic": "news"})
WAIT: Call = ("/pull_messages", {"peer_id": "peer1", "topic": "news", "wait": 30})
PUBLISH: Call = ("/publish", {"topic": "news", "message": "text"})
DELETE: Call = ("/delete_topic", {"topic": "news"})
QUERY: Call = ("/query_peers", {"topic": "news"})
SMALL_TOPIC: Call = ("/create_topic", {"topic": "news", "max_messages": 2})
SUBSCRIBED = [REGISTER, CREATE, SUBSCRIBE]


class Case(NamedTuple):
    """After the calls `before`, `call` ends with an error."""

    before: list[Call]
    call: Call
    status: int
    code: str
    limits: Mapping[str, Any] = MappingProxyType({})


CASES = {
    "a peer unregisters that is not registered": Case([], UNREGISTER, 404, "peer_not_found"),
    "a peer subscribes that is not registered": Case([CREATE], SUBSCRIBE, 404, "peer_not_found"),
    "a peer pulls that is not registered": Case([CREATE], PULL, 404, "peer_not_found"),
    "a peer unsubscribes that is not registered": Case([CREATE], UNSUBSCRIBE, 404, "peer_not_found"),
    "a peer publishes that is not registered": Case(
        [CREATE], ("/publish", {"topic": "news", "message": 1, "peer_id": "peer1"}), 404, "peer_not_found"
    ),
    "a peer pulls that unregistered": Case([*SUBSCRIBED, UNREGISTER], PULL, 404, "peer_not_found"),
    "subscribing to an unknown topic": Case([REGISTER], SUBSCRIBE, 404, "topic_not_found"),
    "unsubscribing from an unknown topic": Case([REGISTER], UNSUBSCRIBE, 404, "topic_not_found"),
    "pulling from an unknown topic": Case([REGISTER], PULL, 404, "topic_not_found"),
    "publishing to an unknown topic": Case([], PUBLISH, 404, "topic_not_found"),
    "deleting an unknown topic": Case([], DELETE, 404, "topic_not_found"),
    "asking for the peers of an unknown topic": Case([], QUERY, 404, "topic_not_found"),
    "deleting a topic twice": Case([CREATE, DELETE], DELETE, 404, "topic_not_found"),
    "pulling without a subscription": Case([REGISTER, CREATE], PULL, 404, "not_subscribed"),
    "pulling after unsubscribing": Case([*SUBSCRIBED, UNSUBSCRIBE], PULL, 404, "not_subscribed"),
    "unsubscribing twice": Case([*SUBSCRIBED, UNSUBSCRIBE], UNSUBSCRIBE, 404, "not_subscribed"),
    "creating a topic again with another size": Case([CREATE], SMALL_TOPIC, 409, "topic_exists"),
    "creating a topic again with another overflow": Case(
        [CREATE], ("/create_topic", {"topic": "news", "overflow": "drop_oldest"}), 409, "topic_exists"
    ),
    "pulling from a deleted topic": Case([*SUBSCRIBED, DELETE], PULL, 410, "topic_deleted"),
    "unsubscribing from a deleted topic": Case([*SUBSCRIBED, DELETE], UNSUBSCRIBE, 410, "topic_deleted"),
    "publishing a batch larger than the topic": Case(
        [REGISTER, SMALL_TOPIC, SUBSCRIBE], ("/publish", {"topic": "news", "messages": [1, 2, 3]}), 413, "too_large"
    ),
    "publishing to a full topic": Case(
        [REGISTER, SMALL_TOPIC, SUBSCRIBE, PUBLISH, PUBLISH], PUBLISH, 429, "topic_full"
    ),
    "publishing when the memory is full": Case([*SUBSCRIBED, PUBLISH], PUBLISH, 429, "memory_full", {"max_bytes": 100}),
    "a peer too many": Case(
        [REGISTER], ("/register_peer_node", {"peer_id": "b"}), 429, "too_many_peers", {"max_peers": 1}
    ),
    "a topic too many": Case([CREATE], ("/create_topic", {"topic": "b"}), 429, "too_many_topics", {"max_topics": 1}),
    "a subscription too many": Case(
        [*SUBSCRIBED, ("/create_topic", {"topic": "b"})],
        ("/subscribe", {"peer_id": "peer1", "topic": "b"}),
        429,
        "too_many_subscriptions",
        {"max_subscriptions": 1},
    ),
    "scheduling in an unknown topic": Case([], SCHEDULE, 404, "topic_not_found"),
    "listing what is scheduled in an unknown topic": Case([], SCHEDULED, 404, "topic_not_found"),
    "cancelling in an unknown topic": Case([], CANCEL, 404, "topic_not_found"),
    "a peer cancels that is not registered": Case(
        [CREATE], ("/cancel_scheduled", {"topic": "news", "ids": [1], "peer_id": "peer1"}), 404, "peer_not_found"
    ),
    "scheduling in a topic that is full of what is scheduled": Case(
        [SMALL_TOPIC, SCHEDULE, SCHEDULE], SCHEDULE, 429, "topic_full"
    ),
    "a scheduled message too many": Case([CREATE, SCHEDULE], SCHEDULE, 429, "too_many_scheduled", {"max_scheduled": 1}),
    "a waiting pull too many": Case(SUBSCRIBED, WAIT, 503, "too_many_waiting", {"max_waiting": 0}),
}
METHODS = {"/delete_topic": "DELETE", "/query_peers": "GET", "/scheduled": "GET"}


def make(api: Api, call: Call) -> Any:
    path, fields = call
    return api.send(METHODS.get(path, "POST"), path, json=fields)


@pytest.mark.parametrize("name", CASES)
def test_an_error_has_its_status_code_and_sentence(way: str, name: str) -> None:
    case = CASES[name]
    with serve(way, **case.limits) as api:
        for call in case.before:
            assert make(api, call).status == 200
        reply = make(api, case.call)
    assert (reply.status, reply.body["code"]) == (case.status, case.code)
    assert reply.body["message"].endswith(".")
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers.get("Retry-After") == ("1" if case.status in (429, 503) else None)


def test_a_full_topic_takes_messages_again_once_one_is_pulled(api: Api) -> None:
    for call in (REGISTER, SMALL_TOPIC, SUBSCRIBE, PUBLISH, PUBLISH):
        make(api, call)
    assert make(api, PUBLISH).status == 429
    assert make(api, PULL).body["messages"] == ["text", "text"]
    assert make(api, PUBLISH).status == 200


def test_a_deleted_topic_is_told_once_to_each_subscriber(api: Api) -> None:
    for call in (*SUBSCRIBED, DELETE):
        make(api, call)
    assert [make(api, PULL).body["code"] for _ in range(3)] == ["topic_deleted", "topic_not_found", "topic_not_found"]


def test_a_closed_broker_is_alive_but_not_ready(way: str) -> None:
    broker = Broker()
    with serve(way, broker=broker) as api:
        assert api.get("/readyz").status == 200
        broker.close()
        reply = api.get("/readyz")
        assert (reply.status, reply.body["code"], reply.headers["Retry-After"]) == (503, "not_ready", "1")
        assert api.get("/livez").status == 200


def fail(_: EmptyRequest) -> NoReturn:
    raise RuntimeError("the inside of the server")


FAILING: Row = Endpoint("POST", "/fail", EmptyRequest, "Fail.")


def test_a_fault_of_the_server_is_told_to_its_log_alone(own_way: str, caplog: pytest.LogCaptureFixture) -> None:
    with serve(own_way, {FAILING: fail}) as api:
        reply = api.post("/fail")
        assert api.get("/livez").status == 200
    assert (reply.status, reply.body["code"]) == (500, "internal_error")
    assert "inside" not in json.dumps(reply.body)
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage() == "POST /fail failed"
    assert "in fail" in caplog.text
    assert "RuntimeError: the inside of the server" in caplog.text
