"""So many requests a second for each client."""

import pytest

from peerbus.errors import RateLimited
from peerbus.http import middleware as module
from peerbus.http.middleware import Guards, RateLimit
from tests.http.test_guard import STARTERS, called_from
from tests.support.connections import RawReply, call
from tests.support.harness import Api, Clock, eventually


def allowed(limit: RateLimit, requests: int, address: str = "10.0.0.1") -> int:
    """How many of so many requests at once are."""
    taken = 0
    for _ in range(requests):
        try:
            limit.take(address)
            taken += 1
        except RateLimited:
            pass
    return taken


@pytest.mark.parametrize("rate", [1, 3, 7, 10, 1000])
def test_a_seconds_worth_may_come_at_once_and_then_so_many_a_second(clock: Clock, rate: int) -> None:
    limit = RateLimit(rate, clock)
    assert allowed(limit, 3 * rate) == rate
    for _ in range(20):
        clock.advance(1 / rate)
        assert allowed(limit, 3) == 1
    clock.advance(0.5)
    assert allowed(limit, 3 * rate) == rate // 2
    clock.advance(1000)
    assert allowed(limit, 3 * rate) == rate


def test_who_is_refused_again_and_again_is_served_as_often_as_who_waits(clock: Clock) -> None:
    limit = RateLimit(10, clock)
    assert allowed(limit, 10) == 10
    taken = 0
    for _ in range(1000):
        clock.advance(0.01)
        taken += allowed(limit, 5)
    assert taken == 100


def test_each_client_has_its_own_limit(clock: Clock) -> None:
    limit = RateLimit(2, clock)
    assert [allowed(limit, 5, address) for address in ("10.0.0.1", "10.0.0.2", "::1", "10.0.0.1")] == [2, 2, 2, 0]


def test_a_client_cannot_have_more_by_its_many_ipv6_addresses(clock: Clock) -> None:
    limit = RateLimit(2, clock)
    assert sum(allowed(limit, 1, f"2001:db8::{number:x}") for number in range(1, 1000)) == 2
    assert allowed(limit, 5, "2001:db8:0:1::1") == 2
    assert allowed(limit, 5, "::ffff:10.0.0.1") == 2
    assert allowed(limit, 5, "10.0.0.1") == 0


def test_clients_without_number_take_no_more_memory(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CLIENTS", 3)
    limit = RateLimit(1, clock)
    for number in range(1000):
        assert allowed(limit, 2, f"10.0.{number // 256}.{number % 256}") == 1
        assert allowed(limit, 2, "192.0.2.1") == (number == 0)
    assert len(limit._used_up) == 3


def refusal(api: Api) -> RawReply | None:
    reply = called_from(api, "https://pages.example")
    return reply if reply.status == 429 else None


@pytest.mark.parametrize("kind", STARTERS)
def test_a_request_too_many_is_refused_until_a_second_later(kind: str) -> None:
    with STARTERS[kind](rate_limit=1, origins=["*"]) as api:
        for path in ("/topics", "/", "/nothing", "/livez"):
            eventually(lambda: call(api, "GET", path).status == 429)  # noqa: B023  # called at once
        reply = eventually(lambda: refusal(api))
        assert (reply.json()["code"], reply.headers["retry-after"]) == ("rate_limited", "1")
        assert reply.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("kind", STARTERS)
@pytest.mark.parametrize("asked", ["a preflight", "another host", "another origin", "a stream"])
def test_requests_that_are_no_calls_count_as_well(kind: str, asked: str) -> None:
    page = "https://pages.example"
    headers, status = {
        "a preflight": ({"Host": "localhost", "Origin": page, "Access-Control-Request-Method": "GET"}, 204),
        "another host": ({"Host": "evil.example"}, 403),
        "another origin": ({"Host": "localhost", "Origin": "https://evil.example"}, 403),
        "a stream": ({"Host": "localhost"}, 400),
    }[asked]
    method, path = ("OPTIONS", "/topics") if status == 204 else ("GET", "/stream" if status == 400 else "/topics")
    with STARTERS[kind](rate_limit=1, origins=[page]) as api:
        statuses = {status: False, 429: False}

        def seen() -> bool:
            statuses[call(api, method, path, headers=headers).status] = True
            return all(statuses.values())

        eventually(seen)
        assert statuses.keys() == {status, 429}


def test_there_is_no_limit_unless_one_is_asked_for() -> None:
    assert Guards().rate_limit is None
