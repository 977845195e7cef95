"""Tickets for streams: on a clock the test moves, and at a server that asks for no token."""

from typing import Any

import pytest

from peerbus.errors import Forbidden, PeerbusError, Unauthorized
from peerbus.http.stream_tickets import MOST, SECONDS, Check, StreamTickets
from peerbus.http.types import Head, Request
from peerbus.wire.protocol import StreamRequest, SubscriptionRequest
from tests.support.harness import Api, Clock
from tests.support.streams import Reader

FOLLOWED: dict[str, Any] = {"peer_id": "peer1", "topic": "news"}


@pytest.fixture
def tickets(clock: Clock) -> StreamTickets:
    return StreamTickets(clock=clock)


def issue(tickets: StreamTickets) -> str:
    return tickets.issue(SubscriptionRequest(**FOLLOWED)).ticket


def refuse(_: Request) -> None:
    raise Unauthorized("This server asks for a token.")


def follow(tickets: StreamTickets, query: str, **others: str) -> None:
    """Ask for a stream, which needs a token or a ticket."""
    request = Request(Head("GET", "/stream", query, {}), b"", "127.0.0.1")
    tickets.or_else([refuse])(request)
    for check in request.checks:
        check(StreamRequest(**(FOLLOWED | others)))


def refused(tickets: StreamTickets, query: str, **others: str) -> str:
    """The sentence that a stream is refused with."""
    with pytest.raises(PeerbusError) as raised:
        follow(tickets, query, **others)
    return raised.value.message


def test_a_ticket_is_good_once(tickets: StreamTickets) -> None:
    ticket = issue(tickets)
    follow(tickets, f"topic=news&ticket={ticket}")
    for _ in range(2):
        assert refused(tickets, f"topic=news&ticket={ticket}").startswith("The ticket was used before")
    follow(tickets, f"ticket={issue(tickets)}")


def test_a_ticket_is_good_for_a_time(tickets: StreamTickets, clock: Clock) -> None:
    early, late = issue(tickets), issue(tickets)
    clock.advance(SECONDS - 0.1)
    follow(tickets, f"ticket={early}")
    clock.advance(0.1)
    for _ in range(2):
        assert refused(tickets, f"ticket={late}").startswith("The ticket is too old: it was good for 30 seconds.")


@pytest.mark.parametrize("ticket", ["x", "%C3%A9", "a" * 43])
def test_a_ticket_that_was_not_issued_is_not_known(tickets: StreamTickets, ticket: str) -> None:
    issue(tickets)
    assert refused(tickets, f"ticket={ticket}").startswith("The ticket is not known")


@pytest.mark.parametrize("query", ["", "ticket=", "topic=news", "tickets=x"])
def test_without_a_ticket_a_token_is_asked_for(tickets: StreamTickets, query: str) -> None:
    issue(tickets)
    assert refused(tickets, query) == "This server asks for a token."


@pytest.mark.parametrize("other", [{"topic": "other"}, {"peer_id": "peer2"}])
def test_a_ticket_is_good_for_its_own_peer_and_topic(tickets: StreamTickets, other: dict[str, str]) -> None:
    ticket = issue(tickets)
    with pytest.raises(Forbidden, match=r"The ticket is for topic 'news' of peer 'peer1'\."):
        follow(tickets, f"ticket={ticket}", **other)
    assert refused(tickets, f"ticket={ticket}").startswith("The ticket was used before")


def test_the_oldest_of_too_many_tickets_is_forgotten(tickets: StreamTickets) -> None:
    oldest, second, *_ = [issue(tickets) for _ in range(MOST + 1)]
    assert refused(tickets, f"ticket={oldest}").startswith("The ticket is not known")
    follow(tickets, f"ticket={second}")


def test_a_stream_is_checked_as_its_peer_was_when_the_ticket_was_issued(clock: Clock) -> None:
    ended: set[str] = set()

    def check_of(peer_id: str) -> Check:
        def check(_: StreamRequest) -> None:
            if peer_id in ended:
                raise Unauthorized("ended")

        return check

    tickets = StreamTickets(check_of, clock)
    request = Request(Head("GET", "/stream", f"ticket={issue(tickets)}", {}), b"", "127.0.0.1")
    tickets.or_else([])(request)
    (check,) = request.checks
    check(StreamRequest(**FOLLOWED))
    ended.add("peer1")
    with pytest.raises(Unauthorized, match="ended"):
        check(StreamRequest(**FOLLOWED))


def test_where_no_token_is_asked_for_tickets_are_the_same(index: Api) -> None:
    index.subscriber("peer1", "news")
    index.post("/publish", topic="news", message="one")
    answer = index.post("/stream_ticket", **FOLLOWED).body
    assert answer["message"] == "This ticket is good for one stream of topic 'news' within 30 seconds."
    assert (len(answer["ticket"]), answer["expires_in"]) == (43, 30.0)
    with Reader(index, **FOLLOWED, ticket=answer["ticket"]) as reader:
        assert reader.messages(1) == ["one"]
    again = index.get("/stream", **FOLLOWED, ticket=answer["ticket"])
    assert (again.status, again.body["code"]) == (401, "unauthorized")
    with Reader(index, **FOLLOWED, ticket="") as reader:
        index.post("/publish", topic="news", message="two")
        assert reader.messages(1) == ["two"]


def test_a_ticket_that_comes_twice_is_refused(index: Api) -> None:
    ticket = index.post("/stream_ticket", **FOLLOWED).body["ticket"]
    reply = index.send("GET", "/stream", params=[*FOLLOWED.items(), ("ticket", ticket), ("ticket", ticket)])
    assert (reply.status, reply.body["message"]) == (400, "Expected one value, got several - at $.ticket")
