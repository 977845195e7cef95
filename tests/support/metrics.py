"""Metrics as Prometheus reads them."""

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.harness import DEADLINE, Api

PEER_AND_TOPIC = {"peer_id": "peer1", "topic": "news"}


def read(api: Api) -> str:
    response = api.session.get(f"{api.url}/metrics", timeout=DEADLINE)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return response.text


def families(api: Api) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(read(api))}


def work(api: Api) -> None:
    """Something of everything that is counted."""
    api.subscriber("peer1", "news")
    api.post("/subscribe", **PEER_AND_TOPIC, ack="explicit", ack_deadline=60, max_attempts=2, dead_letter_topic="dead")
    api.post("/publish", topic="news", messages=[1, 2, 3, 4])
    for count in (2, 1):
        api.post("/pull_messages", **PEER_AND_TOPIC, max_messages=count)
    api.post("/ack_messages", **PEER_AND_TOPIC, offsets=[0])
    for _ in range(2):
        api.post("/nack_messages", **PEER_AND_TOPIC, offsets=[1])
        api.post("/pull_messages", **PEER_AND_TOPIC, max_messages=1)
    api.post("/create_topic", topic="full", max_messages=1)
    api.post("/subscribe", peer_id="peer1", topic="full")
    for _ in range(2):
        api.post("/publish", topic="full", message=1)
