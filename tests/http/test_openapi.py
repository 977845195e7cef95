"""What a description has in it, and the page that shows it."""

import re
import shlex
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack
from html import unescape
from typing import Any

import pytest
import requests

from peerbus.errors import ALWAYS, CATALOGUE, NotOwner, PeerbusError
from peerbus.http.dispatch import Dispatch
from peerbus.http.docs.described import described
from peerbus.http.docs.openapi import Service
from peerbus.http.flask_app import FlaskHandler, create_app
from peerbus.http.handler import CallHandler
from peerbus.http.listener import bind
from peerbus.http.pages import Page
from peerbus.server.access import Tokens
from peerbus.wire.endpoints import ENDPOINTS, NODE_ENDPOINTS, SERVER_ENDPOINTS, Access, Endpoint
from peerbus.wire.protocol import Answer, TopicRequest
from tests.support.cluster import start_member
from tests.support.connections import call
from tests.support.endpoints import ROWS, Row, name_of, prepare
from tests.support.harness import DEADLINE, MAX_BODY, Api, start_index, start_node
from tests.support.servers import running_loop, start_server

PAGES = {"/stream", "/", "/pages/{file}", "/metrics", "/openapi.json", "/api"}
CALLS: dict[str, tuple[Endpoint, ...]] = {
    "index": (*ENDPOINTS, *SERVER_ENDPOINTS),
    "guarded index": (*ENDPOINTS, *SERVER_ENDPOINTS),
    "node": (*ENDPOINTS, *NODE_ENDPOINTS),
    "member": (*ENDPOINTS, *SERVER_ENDPOINTS),
}


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, Api]]:
    with ExitStack() as running:
        index = running.enter_context(start_index(max_wait=5))
        yield {
            "index": index,
            "guarded index": running.enter_context(start_index(tokens=Tokens("enrolment" * 4, "admin" * 8))),
            "node": running.enter_context(start_node("peer7", index.url)),
            "member": running.enter_context(start_member()),
        }


@pytest.fixture(scope="module")
def told(services: dict[str, Api]) -> dict[str, Any]:
    """What each says of itself."""
    return {name: api.get("/openapi.json").body for name, api in services.items()}


def body_of(description: Any, path: str) -> Any:
    schema = description["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return description["components"]["schemas"][schema["$ref"].rpartition("/")[2]]


def codes_of(operation: Any) -> dict[str, set[str]]:
    """The codes of errors by status."""
    return {
        status: set(response["content"]["application/json"]["examples"])
        for status, response in operation["responses"].items()
        if status >= "400"
    }


def listed(description: Any) -> list[Any]:
    entries: list[Any] = description["components"]["schemas"]["ErrorAnswer"]["properties"]["code"]["oneOf"]
    return entries


@pytest.mark.parametrize("service", CALLS)
def test_every_call_and_page_is_described(told: dict[str, Any], service: str) -> None:
    routes = {(row.path, row.method.lower()) for row in CALLS[service]} | {(path, "get") for path in PAGES}
    assert routes == {(path, method) for path, methods in told[service]["paths"].items() for method in methods}


def test_every_error_is_described_with_its_meaning(told: dict[str, Any]) -> None:
    meanings = {
        entry["const"]: (entry["title"], entry["description"]) for each in told.values() for entry in listed(each)
    }
    assert meanings.keys() == CATALOGUE.keys() - {NotOwner.code}, "no caller gets that one"
    for code, (title, meaning) in meanings.items():
        assert title.startswith(f"{CATALOGUE[code].status} ")
        assert meaning.endswith(".")


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_a_call_is_described_with_all_its_errors(told: dict[str, Any], row: Row) -> None:
    operation = told["index"]["paths"][row.path][row.method.lower()]
    expected: dict[str, set[str]] = {}
    errors: tuple[type[PeerbusError], ...] = (*row.errors, *ALWAYS)
    for error in errors:
        expected.setdefault(str(error.status), set()).add(error.code)
    assert codes_of(operation) == expected
    assert operation["summary"]


def test_a_stream_is_described_with_what_it_brings_and_is_refused_with(told: dict[str, Any]) -> None:
    for service, more in (("index", set()), ("guarded index", {"401"}), ("node", {"401", "502", "504"})):
        operation = told[service]["paths"]["/stream"]["get"]
        assert operation["responses"]["200"]["content"].keys() == {"text/event-stream"}
        assert codes_of(operation)["503"] == {"too_many_streams"}
        assert more <= codes_of(operation).keys()
        parameters = {(each["name"], each["required"]) for each in operation["parameters"]}
        named = {("topic", True), ("peer_id", service != "node")}
        others = ("in_flight", "details", "Last-Event-ID", "lastEventId", "ticket")
        assert parameters == named | {(name, False) for name in others}


def test_what_may_pass_says_when_to_call_again(told: dict[str, Any]) -> None:
    responses = told["index"]["paths"]["/publish"]["post"]["responses"]
    assert responses["429"]["headers"]["Retry-After"]["required"]
    assert "headers" not in responses["404"]


def test_the_server_tells_its_own_limits(told: dict[str, Any]) -> None:
    assert body_of(told["index"], "/pull_messages")["properties"]["wait"]["maximum"] == 5


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_a_server_that_asks_for_tokens_says_where(told: dict[str, Any], services: dict[str, Api], row: Row) -> None:
    operation = told["guarded index"]["paths"][row.path][row.method.lower()]
    refused = call(services["guarded index"], row.method, row.path).status == 401
    assert refused == ("security" in operation) == ("401" in codes_of(operation)) == (row.access is not Access.ANYONE)
    assert "security" not in told["index"]["paths"][row.path][row.method.lower()]


def test_a_node_fills_in_its_peer(told: dict[str, Any]) -> None:
    pull = body_of(told["node"], "/pull_messages")
    assert pull["properties"]["peer_id"]["const"] == "peer7"
    assert pull["required"] == ["topic"]
    operation = told["node"]["paths"]["/pull_messages"]["post"]
    assert "peer_id" not in operation["requestBody"]["content"]["application/json"]["example"]


def test_a_server_of_a_cluster_tells_of_its_line_to_the_owner(told: dict[str, Any]) -> None:
    codes = codes_of(told["member"]["paths"]["/topics"]["get"])
    assert (codes["502"], codes["503"], codes["504"]) == (
        {"index_unreachable"},
        {"shard_unavailable"},
        {"index_timeout"},
    )


def test_a_node_tells_of_its_line_to_the_server(told: dict[str, Any]) -> None:
    codes = codes_of(told["node"]["paths"]["/pull_messages"]["post"])
    assert (codes["502"], codes["504"]) == ({"index_unreachable"}, {"index_timeout"})
    assert "peer_mismatch" in codes["403"]
    assert "peer_mismatch" not in codes_of(told["node"]["paths"]["/topics"]["get"])["403"]


def look(r: TopicRequest) -> Answer:
    return Answer(message=f"Topic '{r.topic}' looks fine.")


LOOK: Endpoint = Endpoint("GET", "/look", TopicRequest, "Look at a topic.")


def test_a_new_row_and_a_new_page_describe_themselves() -> None:
    pages = described(Service("test", "A test."), [LOOK], [Page("/", "text/plain", bytes, description="Nothing much.")])
    with running_loop() as loop:
        handlers = {LOOK: CallHandler(LOOK, look, MAX_BODY, loop.run_steps)}
        router = Dispatch(FlaskHandler(create_app(handlers, pages)), handlers).route
        with start_server(router, loop, bind("127.0.0.1", 0)) as api:
            paths = api.get("/openapi.json").body["paths"]
            shown = call(api, "GET", "/api").body.decode()
    assert paths.keys() == {"/look", "/", "/openapi.json", "/api"}
    assert paths["/look"]["get"]["summary"] == "Look at a topic."
    (topic,) = paths["/look"]["get"]["parameters"]
    assert (topic["name"], topic["in"], topic["required"]) == ("topic", "query", True)
    assert paths["/"]["get"]["responses"]["200"]["content"] == {"text/plain": {"schema": {"type": "string"}}}
    assert "Nothing much." in shown


@pytest.mark.parametrize("service", CALLS)
def test_the_page_shows_every_call_and_loads_nothing_from_elsewhere(services: dict[str, Api], service: str) -> None:
    reply = call(services[service], "GET", "/api")
    page = reply.body.decode()
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    anchors = {f"#{name}" for name in re.findall(r'id="([^"]*)"', page)}
    asked = set(re.findall(r'(?:src|href|action)="([^"]*)"', page)) - anchors
    assert asked == {"./", "openapi.json", "pages/icon.svg", "pages/style.css", "pages/api.css"}
    assert {f"#{row.name}" for row in CALLS[service]} <= anchors


def commands(api: Api) -> list[str]:
    page = requests.get(f"{api.url}/api", timeout=DEADLINE).text
    return [unescape(each) for each in re.findall(r'<pre class="command"><code>(.*)</code>', page)]


def test_the_commands_on_the_page_are_good_calls_of_who_shows_it(index: Api) -> None:
    shown = commands(index)
    assert len(shown) == len(ROWS) + len(PAGES)
    for command in shown:
        index.post("/register_peer_node", peer_id="peer1", address=None)
        prepare(index)
        assert run(command).status_code == 200, command


def test_the_commands_carry_a_token_where_one_is_asked_for(services: dict[str, Api]) -> None:
    carrying = {command for command in commands(services["guarded index"]) if "Bearer TOKEN" in command}
    guarded = [row for row in ROWS if row.access is not Access.ANYONE]
    assert len(carrying) == len(guarded) + len(["/metrics", "/stream"])


@pytest.mark.parametrize("path", ["/metrics", "/stats"])
def test_the_metrics_token_is_described_where_it_is_enough(told: dict[str, Any], path: str) -> None:
    assert "callers with the metrics token" in told["guarded index"]["paths"][path]["get"]["description"]
    assert "metrics token" not in told["index"]["paths"][path]["get"].get("description", "")


def run(command: str) -> requests.Response:
    """What curl gets."""
    parser = ArgumentParser()
    for option in ("-X", "-H", "-d"):
        parser.add_argument(option)
    parser.add_argument("-N", action="store_true")
    parser.add_argument("url")
    name, *arguments = shlex.split(command)
    assert name == "curl"
    asked = parser.parse_args(arguments)
    headers = dict([asked.H.split(": ")]) if asked.H else {}
    url = f"http://{asked.url}"
    with requests.request(
        asked.X or "GET", url, data=asked.d, headers=headers, timeout=DEADLINE, stream=asked.N
    ) as reply:
        return reply
