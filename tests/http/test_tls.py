"""Servers and nodes behind TLS, who trusts them, and who does not."""

import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from peerbus.client import Client
from peerbus.errors import IndexUnreachable, StartError
from peerbus.http.event_loop import Loop
from peerbus.http.listener import bind
from peerbus.http.timeouts import Timeouts
from peerbus.http.tls import Certificate, certificate_in, trust
from peerbus.http.types import Reply, Request, Sink
from peerbus.http.upstream.errors import Unreachable
from peerbus.http.upstream.pool import ConnectionPool
from peerbus.node import NodeOptions, PeerNode
from peerbus.server import IndexingServer, ServerOptions
from tests.support.cli import CommandLine
from tests.support.cluster import start_cluster
from tests.support.connections import request
from tests.support.harness import DEADLINE, Api, Process, error_of, eventually, serving
from tests.support.servers import start_answering

Run = Callable[..., Process]
END_OF_PEM = "-----END CERTIFICATE-----\n"
SECRET = b"kept to itself"


class Authority(NamedTuple):
    """Who signs certificates: the file to trust it by, and what it signed for 127.0.0.1 and localhost."""

    file: Path
    own: Certificate
    elsewhere: Certificate
    """One for another host."""


def authority(folder: Path) -> Authority:
    folder.mkdir()
    made = trustme.CA()
    made.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificates = []
    for name, hosts in (("own", ("127.0.0.1", "localhost", "::1")), ("elsewhere", ("bus.example",))):
        issued = made.issue_cert(*hosts)
        file, key = folder / f"{name}.pem", folder / f"{name}.key"
        issued.private_key_pem.write_to_path(str(key))
        file.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        certificates.append(Certificate(file, key))
    return Authority(folder / "ca.pem", *certificates)


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("trusted") / "ca")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("stranger") / "ca")


@contextmanager
def start_index(certificate: Certificate, peer_ca: Path | None = None) -> Iterator[Api]:
    options = ServerOptions(certificate=certificate, peer_ca=peer_ca)
    server = IndexingServer(bind("127.0.0.1", 0), options)
    for api in serving(server):
        api.session.verify = False
        yield api


@contextmanager
def start_node(index: Api, certificate: Certificate | None, index_ca: Path | None) -> Iterator[Api]:
    options = NodeOptions(index.url, certificate=certificate, index_ca=index_ca)
    for api in serving(PeerNode("peer1", bind("127.0.0.1", 0), options)):
        api.session.verify = False
        yield api


pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")


def test_messages_go_through_a_node_and_a_server_that_are_both_behind_tls(trusted: Authority) -> None:
    with start_index(trusted.own, trusted.file) as index, start_node(index, trusted.own, trusted.file) as node:
        assert index.url.startswith("https://")
        assert node.url.startswith("https://")
        with Client(node.url, ca=trusted.file) as client:
            client.create_topic("news")
            client.subscribe("news")
            for size in (1, 100_000, 5_000_000):
                client.publish("news", "x" * size)
                assert [len(message.value) for message in client.pull("news").messages] == [size]
            client.publish_batch("news", list(range(1000)))
            assert [message.value for message in client.pull("news", wait=1).messages] == list(range(1000))
            client.delete_topic("news")
        assert index.get("/peers").body["peers"][0]["address"] == node.url
        eventually(lambda: "topic_deleted" in node.events())


def test_many_calls_at_once_share_the_connections_of_a_node(trusted: Authority) -> None:
    with start_index(trusted.own) as index, start_node(index, None, trusted.file) as node:
        index.subscriber("reader", "news")

        def publish(number: int) -> None:
            with Client(node.url) as client:
                for each in range(50):
                    client.publish("news", [number, each])

        with ThreadPoolExecutor(8) as publishers:
            list(publishers.map(publish, range(8)))
        pulled = index.post("/pull_messages", peer_id="reader", topic="news", max_messages=1000).body["messages"]
    assert sorted(pulled) == [[number, each] for number in range(8) for each in range(50)]


def test_a_stream_comes_through_a_node_and_a_server_that_are_both_behind_tls(trusted: Authority) -> None:
    with start_index(trusted.own) as index, start_node(index, trusted.own, trusted.file) as node:
        node.subscriber("peer1", "news")
        with node.session.get(f"{node.url}/stream", params={"topic": "news"}, stream=True, timeout=DEADLINE) as stream:
            assert stream.status_code == 200
            node.post("/publish", topic="news", message="hello")
            assert b'data: "hello"' in (line for line in stream.iter_lines())


def test_calls_and_streams_go_between_the_servers_of_a_cluster(trusted: Authority, stranger: Authority) -> None:
    for ca, status in ((trusted.file, 200), (stranger.file, 503)):
        with start_cluster(patience=1, ca=ca, options={"certificate": trusted.own}) as cluster:
            owner, other = cluster
            owner.api.subscriber("peer1", "news")
            assert other.api.post("/publish", topic="news", messages=list(range(1000))).status == status
            if status == 200:
                held = other.api.session.get(f"{other.api.url}/stream?peer_id=peer1&topic=news", stream=True)
                lines = held.iter_lines()
                assert [next(lines) for _ in range(5)] == [b": ping", b"", b"id: 0", b"data: 0", b""]
                held.close()


def test_several_streams_come_over_one_connection_behind_tls(trusted: Authority) -> None:
    async def parts(sink: Sink) -> None:
        await sink.write(b"one,")
        await sink.write(b"two")

    with start_answering(lambda _: Reply(200, b"", (), stream=parts), certificate=trusted.own) as api:
        api.session.verify = False
        for _ in range(5):
            assert api.session.get(api.url, timeout=DEADLINE).text == "one,two"


def shown_by(url: str) -> str:
    """The certificate, in PEM, that a server shows to a new connection."""
    return ssl.get_server_certificate((url.split("/")[2].split(":")[0], int(url.rpartition(":")[2])), timeout=DEADLINE)


def installed(folder: Path, certificate: Certificate) -> Certificate:
    """Copies of a certificate and its key, in a folder by the names that a server reads."""
    folder.mkdir(exist_ok=True)
    copied = Certificate(folder / "tls.pem", folder / "tls.key")
    copied.file.write_bytes(certificate.file.read_bytes())
    copied.key.write_bytes(certificate.key.read_bytes())
    return copied


@pytest.mark.parametrize("service", ["a server", "a node"])
def test_new_connections_have_a_new_certificate_and_a_broken_pair_keeps_the_old(
    trusted: Authority, tmp_path: Path, service: str, caplog: pytest.LogCaptureFixture
) -> None:
    used = installed(tmp_path / "used", trusted.own)
    with ExitStack() as started:
        api = started.enter_context(start_index(used))
        if service == "a node":
            api = started.enter_context(start_node(api, used, trusted.file))
        kept, before = api.get("/livez"), shown_by(api.url)
        used.file.write_bytes(trusted.elsewhere.file.read_bytes())
        assert [shown_by(api.url) for _ in range(2)] == [before] * 2  # its key has yet to come
        assert kept.status == api.get("/livez").status == 200
        assert sum("cannot be used" in record.message for record in caplog.records) in (1, 2)  # of each service, one
        used.key.write_bytes(trusted.elsewhere.key.read_bytes())
        assert shown_by(api.url) == trusted.elsewhere.file.read_text().partition("-----END")[0] + END_OF_PEM
        used.file.unlink()
        assert shown_by(api.url) != before
        assert api.get("/livez").status == 200


def test_a_certificate_is_replaced_by_another_link(trusted: Authority, tmp_path: Path) -> None:
    for name, certificate in (("one", trusted.own), ("two", trusted.elsewhere)):
        installed(tmp_path / name, certificate)
    current = tmp_path / "current"
    current.symlink_to(tmp_path / "one")
    linked = certificate_in(current / "tls.pem", current / "tls.key")
    assert linked
    with start_index(linked) as index:
        before = shown_by(index.url)
        (tmp_path / "next").symlink_to(tmp_path / "two")
        (tmp_path / "next").replace(current)
        assert shown_by(index.url) != before


def test_authorities_are_read_again_for_new_connections(
    trusted: Authority, stranger: Authority, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(stranger.file.read_bytes())
    with start_index(trusted.own) as index, closing_pool(ca) as pool:
        refused = error_of(pool.send("GET", f"{index.url}/livez", b"", (), DEADLINE))
        assert isinstance(refused, Unreachable)
        ca.write_bytes(b"nothing")
        assert isinstance(error_of(pool.send("GET", f"{index.url}/livez", b"", (), DEADLINE)), Unreachable)
        ca.write_bytes(trusted.file.read_bytes())
        assert pool.send("GET", f"{index.url}/livez", b"", (), DEADLINE).result(DEADLINE).status == 200


@contextmanager
def closing_pool(ca: Path) -> Iterator[ConnectionPool]:
    loop = Loop("loop")
    pool = ConnectionPool(loop, DEADLINE, ca)
    try:
        yield pool
    finally:
        pool.close()
        loop.close()


@pytest.mark.parametrize("ending", [{}, {"Connection": "close"}])
def test_who_reads_slowly_gets_all_of_an_answer_behind_tls(trusted: Authority, ending: dict[str, str]) -> None:
    large = 16 << 20

    def answer(asked: Request) -> Reply:
        return Reply(200, b"x" * large if asked.head.path == "/large" else b"", ())

    with (
        start_answering(answer, timeouts=Timeouts(head=1.5, idle=1.5), certificate=trusted.own) as api,
        secured(api, trusted) as slow,
        slow.makefile("rb") as reader,
        secured(api, trusted) as idle,
    ):
        slow.sendall(request("GET", "/large", headers=ending))
        while reader.readline().strip():
            pass
        idle.sendall(request("GET", "/small"))
        while idle.recv(1000):
            pass  # until it is closed, for it asks for nothing more
        assert len(reader.read(large)) == large


def secured(api: Api, trusted: Authority) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2])), DEADLINE)
    return trust(trusted.file).wrap_socket(plain, server_hostname="localhost")


# Who is not trusted


def test_a_node_does_not_speak_to_a_server_that_it_does_not_trust(trusted: Authority, stranger: Authority) -> None:
    for certificate, ca in ((trusted.own, stranger.file), (trusted.own, None), (trusted.elsewhere, trusted.file)):
        with start_index(certificate) as index, start_node(index, None, ca) as node:
            reply = node.post("/create_topic", topic="news")
            assert (reply.status, reply.body["code"]) == (502, "index_unreachable")
            assert "its certificate is not trusted" in reply.body["message"]
            assert index.get("/topics").body["topics"] == []
            assert index.get("/peers").body["peers"] == []


def test_a_client_does_not_speak_to_a_server_that_it_does_not_trust(trusted: Authority, stranger: Authority) -> None:
    for certificate, ca in ((trusted.own, stranger.file), (trusted.own, None), (trusted.elsewhere, trusted.file)):
        with start_index(certificate) as index, Client(index.url, "peer1", patience=0, ca=ca) as client:
            with pytest.raises(IndexUnreachable, match=r"certificate|hostname|IP address"):
                client.create_topic("news")
            assert index.get("/topics").body["topics"] == []


def test_the_command_line_trusts_by_a_file(trusted: Authority, stranger: Authority, tmp_path: Path) -> None:
    with start_index(trusted.own) as index:
        peerbus = CommandLine(index.url)
        assert peerbus.says("--ca", str(trusted.file), "create", "news") == "Topic 'news' is created.\n"
        assert peerbus.says("topics", "--ca", str(trusted.file)).splitlines()[1].startswith("news")
        assert peerbus("topics", PEERBUS_CA=str(trusted.file)).exit_code == 0
        for arguments in (("--ca", str(stranger.file), "topics"), ("topics",)):
            assert "certificate verify failed" in peerbus.refused(3, *arguments)
        assert "does not exist" in peerbus.refused(2, "topics", "--ca", str(tmp_path / "none.pem"))
        (tmp_path / "empty.pem").write_text("none")
        peerbus.refused(3, "topics", "--ca", str(tmp_path / "empty.pem"))


def test_a_notice_is_not_sent_to_a_node_that_is_not_trusted(trusted: Authority, stranger: Authority) -> None:
    with start_index(trusted.own, stranger.file) as index, start_node(index, trusted.own, trusted.file) as node:
        index.post("/create_topic", topic="news")
        assert node.post("/subscribe", topic="news").status == 200
        index.delete("/delete_topic", topic="news")
        loop = Loop("transport")
        transport = ConnectionPool(loop, DEADLINE, stranger.file)
        error = error_of(transport.send("POST", f"{node.url}/notify", b"{}", (), DEADLINE))
        transport.close()
        loop.close()
        assert isinstance(error, Unreachable)
        assert "its certificate is not trusted" in str(error)
        assert "topic_deleted" not in node.events()


# Who does not speak TLS, or badly


NO_TLS = {
    "plain http": request("POST", "/create_topic", b'{"topic": "news"}'),
    "nothing": b"",
    "half a record": b"\x16\x03\x01",
    "no handshake": b"\x16\x03\x01\x02\x00" + bytes(512),
}


@pytest.mark.parametrize("name", NO_TLS)
def test_who_does_not_speak_tls_harms_nobody(trusted: Authority, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with start_index(trusted.own) as index:
        clients = []
        for _ in range(30):
            client = socket.create_connection(("127.0.0.1", int(index.url.rpartition(":")[2])), DEADLINE)
            client.sendall(NO_TLS[name])
            clients.append(client)
        assert index.get("/topics").body["topics"] == []
        if name == "plain http":
            assert b"HTTP/1.1 200" not in clients[0].recv(1000)
        for client in clients:
            client.close()
        assert index.get("/livez").status == 200
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_of_either_version_is_spoken(trusted: Authority, version: ssl.TLSVersion) -> None:
    context = trust(trusted.file)
    context.minimum_version = context.maximum_version = version
    with start_index(trusted.own) as index:
        plain = socket.create_connection(("127.0.0.1", int(index.url.rpartition(":")[2])), DEADLINE)
        with context.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(request("GET", "/livez"))
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_handshakes_that_are_not_taken_at_once_leave_no_fault_in_the_log(
    trusted: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with start_answering(lambda _: Reply(200, b"", ()), certificate=trusted.own) as api:
        for _ in range(20):
            with secured(api, trusted) as client:
                client.sendall(request("GET", "/"))
                assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert caplog.records == []


def test_who_sends_a_body_slowly_is_cut_off_behind_tls_too(trusted: Authority) -> None:
    answering = start_answering(
        lambda _: Reply(200, SECRET, ()), threads=4, timeouts=Timeouts(body=0.0), certificate=trusted.own
    )
    with answering as api:
        plain = socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2])), DEADLINE)
        with trust(trusted.file).wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=True) as client:
            client.sendall(request("POST", "/", b"half", length=100))
            assert SECRET not in client.recv(1000)


# Files that cannot be used


def test_a_certificate_needs_its_key_and_a_key_its_certificate(trusted: Authority) -> None:
    assert certificate_in(None, None) is None
    assert certificate_in(*trusted.own) == trusted.own
    for file, key in ((trusted.own.file, None), (None, trusted.own.key)):
        with pytest.raises(StartError, match="go together"):
            certificate_in(file, key)


def test_files_that_are_not_what_they_should_be_are_refused_in_one_line(
    trusted: Authority, stranger: Authority, tmp_path: Path, run: Run
) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_bytes(bytes(range(256)))
    locked = tmp_path / "locked.key"
    locked.write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGjMF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBA=\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    file, key = trusted.own
    wrong = [
        (tmp_path / "none.pem", key),
        (file, tmp_path / "none.key"),
        (garbage, key),
        (file, garbage),
        (file, stranger.own.key),
        (file, locked),
        (key, file),
    ]
    for pair in wrong:
        with pytest.raises(StartError, match=r"^The certificate in .* cannot be used: .*\.$"):
            certificate_in(*pair)
    for ca in (garbage, tmp_path / "none.pem", key):
        with pytest.raises(StartError, match=r"^There are no certificates to trust in .*\.$"):
            trust(ca)
    for script, arguments in (
        ("indexing_server.py", ("--certificate", str(garbage), "--key", str(key))),
        ("indexing_server.py", ("--certificate", str(file))),
        ("indexing_server.py", ("--peer-ca", str(garbage))),
        ("peer_node.py", ("--certificate", str(file), "--key", str(stranger.own.key))),
        ("peer_node.py", ("--count", "3", "--index-ca", str(garbage))),
    ):
        assert "certificate" in run(script, "--port", "0", *arguments).refusal()


def test_the_command_lines_serve_by_https_and_trust(trusted: Authority, run: Run) -> None:
    shown = ("--certificate", str(trusted.own.file), "--key", str(trusted.own.key))
    (index,) = run("indexing_server.py", "--port", "0", *shown, "--peer-ca", str(trusted.file)).urls()
    nodes = run(
        "peer_node.py", "--port", "0", "--count", "2", "--index-url", index, *shown, "--index-ca", str(trusted.file)
    )
    with Client(index, ca=trusted.file) as client:
        urls = nodes.urls(2)
        assert all(url.startswith("https://") for url in urls)
        eventually(lambda: {peer.address for peer in client.peers().peers} == set(urls))
