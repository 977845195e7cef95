"""The Python client and the command line where tokens are asked for."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from peerbus.client import Client
from peerbus.errors import Forbidden, Unauthorized
from peerbus.server.access import Tokens
from tests.support.cli import CommandLine
from tests.support.harness import Api, eventually, start_index, start_node
from tests.support.servers import Restartable

ENROLMENT, ADMIN, NODE = "enrolment-secret", "administration-secret", "node-caller-secret"
TOKENS = Tokens(ENROLMENT, ADMIN)


@pytest.fixture
def index() -> Iterator[Api]:
    with start_index(tokens=TOKENS) as index:
        yield index


def test_a_client_shows_its_token_and_then_the_one_it_was_given(index: Api) -> None:
    with Client(index.url, "a", token=ENROLMENT) as client:
        for _ in range(2):
            assert client.register().created
            assert not client.register().created
            client.create_topic("news")
            client.subscribe("news")
            client.publish("news", 1)
            assert [message.value for message in client.pull("news").messages] == [1]
            client.unregister()
    with Client(index.url, "a") as client, pytest.raises(Unauthorized):
        client.register()


def test_a_client_through_a_node_shows_the_token_of_the_node(index: Api) -> None:
    with start_node("a", index.url, index_token=ENROLMENT, token=NODE) as node, Client(node.url, token=NODE) as client:
        client.unregister()
        client.register()
        client.create_topic("news")
        client.subscribe("news")
        client.publish("news", 1)
        assert [message.value for message in client.pull("news").messages] == [1]


def test_a_client_goes_on_when_the_server_no_longer_knows_its_token() -> None:
    server = Restartable()
    server.tokens = TOKENS
    server.start()
    with Client(server.url, "a", token=ENROLMENT) as client:
        client.register()
        client.create_topic("news")
        client.publish("news", 1)
        following = client.messages("news", start="earliest")
        assert next(following).value == 1
        server.restart()
        with Client(server.url, token=ADMIN) as admin:
            admin.create_topic("news")
            admin.publish("news", 2)
        assert next(following).value == 2
        following.close()
    server.stop()


def extensions(server: Api) -> float:
    """How many times the server extended deadlines, and answered so."""
    text = server.session.get(f"{server.url}/metrics").text
    sample = re.search(r'_count\{call="extend_messages",status="200"\} (\S+)', text)
    return float(sample[1]) if sample else 0.0


def test_messages_stay_in_hand_by_the_token_that_the_peer_has_now() -> None:
    server = Restartable()
    server.tokens = TOKENS
    server.start()
    with Client(server.url, "a", token=ENROLMENT) as client:
        client.register()
        client.create_topic("news")
        client.publish("news", 1)
        followed = client.messages("news", start="earliest", ack_deadline=0.3)
        assert next(followed).value == 1
        admin = server.restart().showing(ADMIN)
        admin.post("/create_topic", topic="news")
        admin.post("/publish", topic="news", message=2)
        assert next(followed).value == 2
        eventually(lambda: extensions(admin) > 1)
        followed.close()
        admin.close()
    server.stop()


def test_a_peer_that_another_registered_is_not_taken_over(index: Api) -> None:
    with Client(index.url, "a", token=ENROLMENT) as first, Client(index.url, "a", token=ENROLMENT) as second:
        first.register()
        with pytest.raises(Forbidden):
            second.register()


def test_the_command_line_shows_a_token_from_a_file_or_the_environment(index: Api, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{ADMIN}\n")
    peerbus = CommandLine(index.url)
    assert peerbus("topics").exit_code == 1
    assert peerbus("topics", "--token-file", str(tmp_path / "none")).exit_code == 2
    peerbus.says("create", "news", PEERBUS_TOKEN=ADMIN)
    for shown in (ENROLMENT, ADMIN):
        peerbus.says("publish", "news", "hello", PEERBUS_TOKEN=shown)
        assert peerbus.says("subscribe", "news", "--from", "earliest", "--max", "1", PEERBUS_TOKEN=shown) == '"hello"\n'
    joined = peerbus("subscribe", "news", "--peer-id", "worker", PEERBUS_TOKEN=ENROLMENT)
    own = joined.stderr.rpartition("PEERBUS_TOKEN=")[2].strip()
    assert own.startswith("worker.")
    peerbus.says("publish", "news", "again", PEERBUS_TOKEN=own)
    assert peerbus.says("pull", "news", "--peer-id", "worker", PEERBUS_TOKEN=own) == '"again"\n'
    for place in (["--token-file", str(tmp_path / "token"), "stats"], ["stats", "--token-file", f"{tmp_path}/token"]):
        assert "published" in peerbus.says(*place)
