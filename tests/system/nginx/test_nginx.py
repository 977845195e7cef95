"""docs/nginx.conf in front of a server."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from peerbus.http.listener import bind
from peerbus.http.middleware import Guards
from peerbus.server import IndexingServer, ServerOptions
from tests.support.connections import Connection
from tests.support.harness import MAX_BODY, ROOT, Api, Reply, eventually, free_port, in_background, serving

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
THREADS = 4
AROUND = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; events {{ }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {shown}
}}
"""

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")


@pytest.fixture
def server() -> Iterator[Api]:
    guards = Guards(hosts=["bus.example"], origins=["https://bus.example"])
    yield from serving(IndexingServer(bind("127.0.0.1", 0), ServerOptions(threads=THREADS, guards=guards)))


@pytest.fixture
def front(server: Api, tmp_path: Path) -> Iterator[Api]:
    """nginx as it is shown, with another port and another certificate."""
    assert NGINX, "There is no nginx to put in front: apt-get install -y nginx"
    trustme.CA().issue_cert("bus.example").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    port, shown = free_port(), (ROOT / "docs" / "nginx.conf").read_text()
    changes = (
        ("127.0.0.1:5000", server.url.removeprefix("http://")),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("/etc/ssl/bus.example.pem", str(tmp_path / "both.pem")),
        ("/etc/ssl/bus.example.key", str(tmp_path / "both.pem")),
        ("rate=1000r/s", "rate=1r/s"),
        ("burst=1000", "burst=20"),
    )
    for told, used in changes:
        assert shown.count(told) == 1
        shown = shown.replace(told, used)
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(AROUND.format(folder=tmp_path, shown=shown))
    nginx = subprocess.Popen([NGINX, "-p", tmp_path, "-c", configuration, "-e", tmp_path / "error.log"])
    api = Api(f"https://127.0.0.1:{port}")
    api.session.verify = False
    api.session.headers["Host"] = "bus.example"
    try:
        eventually(lambda: answers(port))
        yield api
    finally:
        api.close()
        nginx.terminate()
        nginx.wait()


def answers(port: int) -> bool:
    try:
        with Connection(f"http://127.0.0.1:{port}"):
            return True
    except ConnectionRefusedError:
        return False


def test_calls_pages_and_refusals_go_through_it(front: Api) -> None:
    front.subscriber("peer1", "news")
    assert front.post("/publish", topic="news", message="x" * 1_000_000).status == 200
    assert len(front.post("/pull_messages", peer_id="peer1", topic="news").body["messages"][0]) == 1_000_000
    assert front.session.get(f"{front.url}/").status_code == 200
    page = {"Origin": "https://bus.example"}
    assert front.send("POST", "/create_topic", json={"topic": "sport"}, headers=page).status == 200
    page = {"Origin": "https://evil.example"}
    assert front.send("POST", "/create_topic", json={"topic": "x"}, headers=page).body["code"] == "origin_not_allowed"
    reply = front.send("POST", "/publish", data=b"x" * (MAX_BODY + 1), headers={"Content-Type": "application/json"})
    assert (reply.status, reply.body["code"]) == (413, "too_large")


def test_browsers_get_one_connection_for_all_by_http_2(front: Api) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    port = int(front.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as secured:
        assert secured.selected_alpn_protocol() == "h2"


def test_who_calls_too_often_is_refused_in_the_servers_words(front: Api) -> None:
    reply = eventually(lambda: refusal(front))
    assert (reply.body["code"], reply.headers["Retry-After"]) == ("rate_limited", "1")
    assert reply.headers["Content-Type"] == "application/json"


def refusal(api: Api) -> Reply | None:
    reply = api.get("/livez")
    return reply if reply.status == 429 else None


def test_a_pull_waits_through_it(front: Api, server: Api) -> None:
    front.subscriber("peer1", "news")
    held = in_background(lambda: front.post("/pull_messages", peer_id="peer1", topic="news", wait=60).body["messages"])
    eventually(lambda: server.get("/stats").body["stats"]["waiting_pulls"] == 1)
    server.post("/publish", topic="news", message="text")
    assert held.result() == ["text"]
