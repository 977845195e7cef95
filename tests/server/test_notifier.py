"""Subscribers of a deleted topic are told at their addresses, in the background."""

import asyncio
import gc
import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from peerbus.http.event_loop import Loop
from peerbus.http.upstream.errors import UpstreamError
from peerbus.server.notifier import MAX_PENDING, TAKEN_AT_ONCE, Notifier
from tests.support.fakes import HANG_UP, SILENCE, FakeServer, fake_server, http
from tests.support.harness import DEADLINE, Api, free_port, in_background, start_index

OK = http(200)
LOST = 33
TOLD = {"event": "topic_deleted", "topic": "news", "message": "Topic 'news' was deleted."}


def notice(fake: FakeServer) -> Any:
    """The next notice that came."""
    head, _, body = fake.next_request().partition(b"\r\n\r\n")
    assert head.startswith(b"POST /notify HTTP/1.1")
    assert b"content-type: application/json" in head.lower()
    return json.loads(body)


def subscribe_at(index: Api, addresses: dict[str, str | None]) -> None:
    index.post("/create_topic", topic="news")
    for peer_id, address in addresses.items():
        index.post("/register_peer_node", peer_id=peer_id, address=address)
        assert index.post("/subscribe", peer_id=peer_id, topic="news").status == 200


def test_each_subscriber_with_an_address_is_told(index: Api) -> None:
    with fake_server(OK) as one, fake_server(OK) as two, fake_server(OK) as stranger:
        subscribe_at(index, {"peer1": one.url, "peer2": f"{two.url}/", "silent": None})
        index.post("/register_peer_node", peer_id="stranger", address=stranger.url)
        assert index.delete("/delete_topic", topic="news").body["notified"] == ["peer1", "peer2"]
        assert [notice(one), notice(two)] == [TOLD, TOLD]
        assert stranger.requests.empty()


@pytest.mark.parametrize(
    "address",
    ["refusing", "silent", "http://127.0.0.1:1/\u00fc", "http://127.0.0.1:1/a b", "http://127.0.0.1:1/\0"],
)
def test_peers_that_cannot_be_told_delay_nobody(index: Api, address: str) -> None:
    with fake_server(OK) as well, fake_server(SILENCE) as silent:
        known = {"refusing": f"http://127.0.0.1:{free_port()}", "silent": silent.url}
        lost: dict[str, str | None] = {f"lost{number}": known.get(address, address) for number in range(LOST)}
        subscribe_at(index, {**lost, "peer1": well.url})
        reply = index.delete("/delete_topic", topic="news")
        assert reply.body["notified"] == [*lost, "peer1"]
        assert notice(well) == TOLD


@pytest.mark.parametrize("failure", [http(500), HANG_UP, http(200, b"x" * (1 << 20))])
def test_a_peer_that_fails_at_first_is_told_again(index: Api, failure: bytes) -> None:
    with fake_server(failure, OK) as fake:
        subscribe_at(index, {"peer1": fake.url})
        index.delete("/delete_topic", topic="news")
        assert [notice(fake), notice(fake)] == [TOLD, TOLD]


def test_a_peer_that_took_the_notice_is_not_told_again(index: Api) -> None:
    with fake_server(http(500), OK) as failing, fake_server(OK) as well:
        subscribe_at(index, {"peer1": well.url, "peer2": failing.url})
        index.delete("/delete_topic", topic="news")
        assert [notice(failing), notice(failing), notice(well)] == [TOLD] * 3
        assert well.requests.empty()


@pytest.mark.parametrize("answer", [http(500), SILENCE])
def test_a_server_stops_while_notices_are_pending(answer: bytes | None) -> None:
    with ExitStack() as fakes:
        addresses = {f"peer{number}": fakes.enter_context(fake_server(answer)) for number in range(3)}
        with start_index() as index:
            subscribe_at(index, {peer_id: fake.url for peer_id, fake in addresses.items()})
            index.delete("/delete_topic", topic="news")
            for fake in addresses.values():
                assert notice(fake) == TOLD


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop("notices")
    yield loop
    loop.close()


def test_after_close_nothing_is_sent(loop: Loop) -> None:
    with fake_server(http(500)) as fake:
        notifier = Notifier(loop)
        notifier.topic_deleted("news", [("peer1", fake.url)])
        assert notice(fake) == TOLD
        in_background(notifier.close).result(DEADLINE)
        notifier.topic_deleted("sport", [("peer1", fake.url)])
        assert fake.requests.empty()


def errors_in_memory() -> int:
    return sum(isinstance(each, UpstreamError) for each in gc.get_objects())


def test_notices_that_fail_leave_no_cycles_for_the_garbage_collector(loop: Loop) -> None:
    notifier = Notifier(loop)
    gc.collect()
    gc.disable()
    try:
        before = errors_in_memory()
        with fake_server(HANG_UP) as fake:
            notifier.topic_deleted("news", [(f"peer{number}", fake.url) for number in range(LOST)])
            assert [notice(fake) for _ in range(LOST)] == [TOLD] * LOST
            in_background(notifier.close).result(DEADLINE)
        assert errors_in_memory() == before
    finally:
        gc.enable()


def test_many_notices_are_taken_in_slices_up_to_a_limit(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """The loop turns many times while they are taken in; those beyond the limit are logged."""
    caplog.set_level(logging.WARNING, "peerbus.server")
    addresses = {f"lost{number}": "http://127.0.0.1:1/a b" for number in range(MAX_PENDING)}
    notifier = Notifier(loop)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while not caplog.records:
            turns += 1
            await asyncio.sleep(0)

    counted = asyncio.run_coroutine_threadsafe(count_turns(), loop.events)
    late = {f"late{number}": "http://127.0.0.1:1" for number in range(2)}
    notifier.topic_deleted("news", [*addresses.items(), *late.items()])
    counted.result(DEADLINE)
    assert turns > MAX_PENDING / TAKEN_AT_ONCE
    notifier.close()
