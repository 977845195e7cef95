"""Server and node do what their descriptions say: schemathesis makes calls from these, good and bad, all checks on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import settings
from schemathesis import Case
from schemathesis.specs.openapi.schemas import OpenApiSchema

from peerbus.broker import Limits
from tests.http.mending import mend
from tests.support.harness import Api, start_index, start_node

LIMITS = Limits(max_wait=0.05)


@dataclass(frozen=True)
class Services:
    index: Api
    node: Api


@contextmanager
def start() -> Iterator[Services]:
    with start_index(max_wait=LIMITS.max_wait) as index, start_node("peer1", index.url) as node:
        yield Services(index, node)


def schema_of(api: Api) -> OpenApiSchema:
    description = api.get("/openapi.json").body
    del description["paths"]["/stream"]  # it does not end
    schema = schemathesis.openapi.from_dict(description)
    accepted = schema.config.checks.positive_data_acceptance
    accepted.expected_statuses = [*accepted.expected_statuses, "410"]  # a good call about a topic that was deleted
    return schema


with start() as told:
    index_schema, node_schema = schema_of(told.index), schema_of(told.node)
thorough = settings(max_examples=30, derandomize=True, deadline=None)


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with start() as services:
        yield services


def prepare(api: Api) -> None:
    """A subscriber with a message to pull, whatever was done before."""
    api.post("/register_peer_node", peer_id="peer1", address=None, lease_seconds=None)
    api.delete("/delete_topic", topic="news")
    api.subscriber("peer1", "news")
    api.post("/publish", topic="news", message="text")
    api.post("/create_topic", topic="dead")
    api.post("/subscribe", peer_id="peer1", topic="dead", group="dead-letters")


@index_schema.parametrize()
@thorough
def test_the_indexing_server_does_what_it_says(case: Case[Any], services: Services) -> None:
    prepare(services.index)
    mend(case, LIMITS)
    case.call_and_validate(base_url=services.index.url)


@node_schema.parametrize()
@thorough
def test_a_peer_node_does_what_it_says(case: Case[Any], services: Services) -> None:
    if case.operation.path == "/exit_peer":
        with start_node("peer1", services.index.url) as leaving:
            case.call_and_validate(base_url=leaving.url)
        return
    prepare(services.node)
    mend(case, LIMITS)
    case.call_and_validate(base_url=services.node.url)
