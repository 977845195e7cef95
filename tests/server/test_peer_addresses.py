"""Whom a peer may have called: the server sends notices to the addresses that peers register."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from peerbus.errors import AddressNotAllowed, BadRequest, StartError
from peerbus.http.listener import bind
from peerbus.http.types import Head, Request
from peerbus.server import IndexingServer, ServerOptions
from peerbus.server.access import Tokens
from peerbus.server.peer_addresses import PeerAddresses
from peerbus.wire.protocol import RegisterRequest
from tests.support.fakes import fake_server, http
from tests.support.harness import Api, serving, start_index, start_node

REMOTE = "10.0.0.7"
FROM_REMOTE = {
    "http://10.0.0.7:5001": True,
    "https://10.0.0.7/deep/er": True,
    "http://[::ffff:10.0.0.7]:5001": True,
    "http://10.0.0.8:5001": False,
    "http://127.0.0.1:5000": False,
    "http://localhost:5000": False,
    "http://[::1]:5000": False,
    "http://0.0.0.0:5000": False,
    "http://169.254.169.254/latest/meta-data": False,
    "http://[fe80::1]:80": False,
    "http://[fd00:ec2::254]/": False,
    "http://metadata.google.internal": False,
    "http://10.0.0.7.evil.example": False,
    "http://10.0.0.7@169.254.169.254": False,
    "http://10.0.0.7:80@169.254.169.254": False,
    "http://169.254.169.254#@10.0.0.7": False,
    "http://169.254.169.254?@10.0.0.7/": False,
    "http://169.254.169.254\\@10.0.0.7": True,  # which is called at 10.0.0.7
    "http://10.0.0.7\\@169.254.169.254": False,
    "http://2852039166/": False,
    "http://0xa9fea9fe/": False,
    "http://0177.0.0.1": False,
    "http://127.1": False,
    "http://[::ffff:169.254.169.254]": False,
    "http://[::ffff:127.0.0.1]": False,
}
FROM_LOOPBACK = {
    "http://127.0.0.1:5001": True,
    "http://127.9.9.9": True,
    "http://localhost:5001": True,
    "http://LOCALHOST:5001": True,
    "http://[::1]:5001": True,
    "http://[::ffff:127.0.0.1]:1": True,
    "http://10.0.0.7:5001": False,
    "http://evil.localhost": False,
    "http://0.0.0.0:5001": False,
    "http://169.254.169.254": False,
    "http://localhost.evil.example": False,
    "http://localhost@evil.example": False,
    "http://localhost.": False,
}
ALLOWED = {
    "http://node7.example:5001": True,
    "http://NODE7.example": True,
    "http://x.node7.example": False,
    "http://192.168.3.4:5001": True,
    "http://192.169.0.1": False,
    "http://172.16.0.1": True,
    "http://172.16.0.2": False,
    "http://[2001:db8::5]": True,
    "http://[2001:db9::5]": False,
    "http://169.254.7.7": True,
    "http://169.254.7.8": False,
}
LIST = ["Node7.example", "192.168.1.1/16", "172.16.0.1", "2001:db8::/32", "169.254.7.7"]


def admitted(addresses: PeerAddresses, caller: str, address: str | None) -> bool:
    request = Request(Head("POST", "/register_peer_node", "", {}), b"", caller)
    addresses.admit(request)
    try:
        for check in request.checks:
            check(RegisterRequest(peer_id="peer1", address=address))
    except AddressNotAllowed:
        return False
    return True


@pytest.mark.parametrize("address", FROM_REMOTE)
def test_from_another_machine_a_peer_may_name_the_address_it_calls_from(address: str) -> None:
    assert admitted(PeerAddresses(), REMOTE, address) is FROM_REMOTE[address]
    assert admitted(PeerAddresses(), f"::ffff:{REMOTE}", address) is FROM_REMOTE[address]


@pytest.mark.parametrize("caller", ["127.0.0.1", "::1", "127.0.0.2"])
@pytest.mark.parametrize("address", FROM_LOOPBACK)
def test_from_this_machine_a_peer_may_name_any_loopback_address(address: str, caller: str) -> None:
    assert admitted(PeerAddresses(), caller, address) is FROM_LOOPBACK[address]


@pytest.mark.parametrize("address", ALLOWED)
def test_hosts_and_networks_may_be_allowed_for_all(address: str) -> None:
    assert admitted(PeerAddresses(LIST), REMOTE, address) is ALLOWED[address]


def test_a_link_local_address_is_not_its_own_unless_it_is_allowed() -> None:
    for own in ("169.254.7.7", "fe80::1"):
        url = f"http://[{own}]" if ":" in own else f"http://{own}"
        assert not admitted(PeerAddresses(), own, url)
        assert admitted(PeerAddresses([own]), own, url)


@pytest.mark.parametrize("address", ["http://[", "http://127.0.0.1:99999", "http://:80", "http://127.0.0.1:x"])
def test_an_address_that_cannot_be_called_is_refused(address: str) -> None:
    with pytest.raises(BadRequest, match=r"at \$\.address"):
        admitted(PeerAddresses(), "127.0.0.1", address)


@pytest.mark.parametrize("entry", ["", " ", "10.0.0.0/33", "http://node7.example", "node7.example:5001", "a/b"])
def test_what_is_no_host_and_no_network_cannot_be_allowed(entry: str) -> None:
    with pytest.raises(StartError, match="--allow-address"):
        PeerAddresses([entry])


# In a server


@contextmanager
def start(*allowed: str) -> Iterator[Api]:
    server = IndexingServer(bind("127.0.0.1", 0), ServerOptions(addresses=PeerAddresses(allowed)))
    yield from serving(server)


def test_a_refused_address_changes_nothing_and_says_what_to_do(index: Api) -> None:
    index.post("/register_peer_node", peer_id="peer1", address="http://127.0.0.1:1")
    for peer_id in ("peer1", "peer2"):
        reply = index.post("/register_peer_node", peer_id=peer_id, address="http://169.254.169.254/x")
        assert (reply.status, reply.body["code"]) == (403, "address_not_allowed")
        assert "169.254.169.254" in reply.body["message"]
        assert "--allow-address 169.254.169.254" in reply.body["message"]
    assert [peer["address"] for peer in index.get("/peers").body["peers"]] == ["http://127.0.0.1:1"]


def test_an_address_may_be_left_out_or_taken_back(index: Api) -> None:
    for fields in ({}, {"address": "http://localhost:1"}, {"address": None}):
        assert index.post("/register_peer_node", peer_id="peer1", **fields).status == 200


def test_a_server_takes_the_addresses_it_was_told_to() -> None:
    with start("node7.example") as api:
        assert api.post("/register_peer_node", peer_id="peer1", address="http://node7.example:5001").status == 200


def test_a_caller_shows_its_token_before_anything_is_said_of_its_address() -> None:
    with start_index(tokens=Tokens("enrolment")) as api:
        fields = {"peer_id": "peer1", "address": "http://169.254.169.254"}
        for token, code in (("wrong", "unauthorized"), ("enrolment", "address_not_allowed")):
            api.session.headers["Authorization"] = f"Bearer {token}"
            assert api.post("/register_peer_node", **fields).body["code"] == code
        fields["address"] = "http://127.0.0.1:1"
        assert api.post("/register_peer_node", **fields).body["created"]


def test_a_node_that_advertises_another_host_is_refused_and_says_so(index: Api) -> None:
    with start_node("peer1", index.url, advertise="node7.example") as node:
        (event,) = node.get("/events").body["events"]
        assert event["event"] == "index_lost"
        assert "--allow-address node7.example" in event["message"]


def test_a_notice_follows_no_redirection(index: Api) -> None:
    with fake_server(http(200)) as other:
        away = http(307, b"{}", "application/json", f"Location: {other.url}/notify")
        with fake_server(away, http(200)) as own:
            index.subscriber("peer1", "news")
            index.post("/register_peer_node", peer_id="peer1", address=own.url)
            index.delete("/delete_topic", topic="news")
            for _ in range(2):
                assert own.next_request().startswith(b"POST /notify ")
        assert other.requests.empty()
