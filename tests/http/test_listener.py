"""What a service listens on, in both families, and how its clients are known."""

import socket
from collections.abc import Callable
from resource import RLIMIT_NOFILE, getrlimit, prlimit

import pytest
import requests

from peerbus.errors import NotYet
from peerbus.http.listener import BindError, bind, client_address
from tests.support.harness import DEADLINE, Api, Process, free_port

Run = Callable[..., Process]
SCRIPTS = ("indexing_server.py", "peer_node.py")
NOWHERE = {"PEERBUS_NODE_INDEX_URL": "http://127.0.0.1:9"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_all_addresses_of_ipv6_are_those_of_ipv4_too(run: Run, script: str) -> None:
    process = run(script, "--port", "0", "--host", "::", "--insecure", **NOWHERE)
    line = process.line()
    assert "(all addresses, IPv4 and IPv6)" in line
    port = line.partition("[::1]:")[2].split()[0].rstrip(",")
    for host in ("[::1]", "127.0.0.1"):
        assert requests.get(f"http://{host}:{port}/livez", timeout=DEADLINE).status_code == 200


@pytest.mark.parametrize("script", SCRIPTS)
def test_all_addresses_of_ipv4_are_told(run: Run, script: str) -> None:
    process = run(script, "--port", "0", "--host", ".".join("0000"), "--insecure", **NOWHERE)
    assert "(all IPv4 addresses)" in process.line()


def test_a_name_with_both_families_is_listened_on_in_both(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(family, socket.SOCK_STREAM, 6, "", name) for family, name in (
        (socket.AF_INET6, ("::1", 0, 0, 0)), (socket.AF_INET, ("127.0.0.1", 0)))]  # fmt: skip
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    listener = bind("both.example", 0)
    assert listener.urls() == [f"http://[::1]:{listener.port}", f"http://127.0.0.1:{listener.port}"]
    assert listener.described() == " and ".join(listener.urls())
    monkeypatch.undo()
    for host in listener.hosts:
        socket.create_connection((host, listener.port), DEADLINE).close()
    listener.close()


@pytest.mark.parametrize(
    ("host", "later"), [("a" * 70, False), ("a..b", False), ("192.0.2.1", True), ("nowhere.invalid", True)]
)
def test_what_time_can_mend_is_told_from_what_it_cannot(host: str, later: bool) -> None:
    with pytest.raises(BindError) as raised:
        bind(host, 0)
    assert isinstance(raised.value, NotYet) == later
    assert raised.value.exit_code == (75 if later else 2)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        (("::ffff:127.0.0.1", 1), "127.0.0.1"),
        (("127.0.0.1", 1), "127.0.0.1"),
        (("::1", 1), "::1"),
        (("fe80::1%eth0", 1), "fe80::1%eth0"),
        (None, ""),
    ],
)
def test_a_client_by_ipv4_has_its_own_address(name: tuple[str, int] | None, address: str) -> None:
    assert client_address(name) == address


def test_a_client_by_ipv4_of_a_server_for_both_may_register_its_own_address(run: Run) -> None:
    port = free_port()
    process = run("indexing_server.py", str(port), "--host", "::", "--insecure")
    process.line()
    api = Api(f"http://127.0.0.1:{port}")
    assert api.post("/register_peer_node", peer_id="a", address="http://127.0.0.1:1").status == 200
    refused = api.post("/register_peer_node", peer_id="a", address="http://10.9.8.7:1")
    assert "calls from 127.0.0.1 " in refused.body["message"]
    api.close()


@pytest.mark.parametrize("host", ["[::1]", "[::ffff:127.0.0.1]", "[::1]:5000", "127.0.0.1:5000"])
def test_a_loopback_address_is_a_name_of_a_server_on_loopback(index: Api, host: str) -> None:
    assert index.send("GET", "/livez", headers={"Host": host}).status == 200


@pytest.mark.parametrize("script", SCRIPTS)
def test_as_many_files_may_be_open_as_the_system_allows(run: Run, script: str) -> None:
    process = run(script, "--port", "0", **NOWHERE)
    process.urls()
    soft, hard = prlimit(process.pid, RLIMIT_NOFILE)
    assert soft == hard == getrlimit(RLIMIT_NOFILE)[1]
