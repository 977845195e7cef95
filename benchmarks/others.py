"""The other brokers in the comparison: the naive design, and those of the distribution that are installed."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.line import GOOD
from benchmarks.ours import KEPT, NAIVE, NAIVE_PEER, TOPIC
from benchmarks.processes import free_port, program
from benchmarks.request import Request, http, prepare
from benchmarks.setup import MESSAGE, ask, create_topic
from benchmarks.system import System

NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
"""Where Debian puts it."""
NGINX = """
load_module {module};
daemon off;
worker_processes 1;
pid {folder}/pid;
events {{}}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    nchan_shared_memory_size 1024M;
    server {{
        listen 127.0.0.1:{port};
        location = /publish {{
            nchan_publisher;
            nchan_channel_id {topic};
            nchan_message_buffer_length {kept};
            nchan_message_timeout 0;
        }}
    }}
}}
"""
WEBDIS = {"redis_host": "127.0.0.1", "http_host": "127.0.0.1", "threads": 2, "database": 0, "verbosity": 0}


@contextmanager
def naive() -> Iterator[System]:
    """The naive design, directly."""
    with _naive() as url:
        yield _naive_publisher(NAIVE, url)


@contextmanager
def naive_through_a_peer() -> Iterator[System]:
    """The naive design, through a peer of its own."""
    with _naive() as server, _naive("--index-url", server) as url:
        yield _naive_publisher(NAIVE_PEER, url)


@contextmanager
def webdis() -> Iterator[System]:
    """Redis behind Webdis: XADD to one stream, nothing written to disk."""
    redis, port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="peerbus-benchmark-") as folder:
        config = Path(folder, "webdis.json")
        config.write_text(json.dumps(WEBDIS | {"redis_port": redis, "http_port": port, "logfile": f"{folder}/log"}))
        server = ("redis-server", "--bind", "127.0.0.1", "--port", str(redis), "--save", "", "--dir", folder)
        with program(server, redis), program(("webdis", str(config)), port) as url:
            body = f"XADD/{TOPIC}/MAXLEN/~/{KEPT}/*/message/{MESSAGE}".encode()
            request = Request("publish", http("POST", "/", body), b'{"XADD":"')
            yield System("Redis behind Webdis (XADD)", "publish", url, [request], NAIVE)


@contextmanager
def nchan() -> Iterator[System]:
    """Nginx with nchan, one worker process: messages to one channel."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="peerbus-benchmark-") as folder:
        config = Path(folder, "nginx.conf")
        config.write_text(NGINX.format(module=NCHAN, folder=folder, port=port, topic=TOPIC, kept=KEPT))
        with program((_nginx(), "-p", folder, "-e", "stderr", "-c", str(config)), port) as url:
            request = Request("publish", http("POST", "/publish", MESSAGE.encode()), b"HTTP/1.1 202 ")
            yield System("nchan", "publish", url, [request], NAIVE)


def has_webdis() -> bool:
    """Whether Redis and Webdis are installed."""
    return bool(shutil.which("redis-server") and shutil.which("webdis"))


def has_nchan() -> bool:
    """Whether nginx is installed, and nchan."""
    return bool(_nginx()) and NCHAN.exists()


def _nginx() -> str:
    """Where nginx is; not everybody's PATH has it."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin") or ""


@contextmanager
def _naive(*options: str) -> Iterator[str]:
    port = free_port()
    with program((sys.executable, "-m", "benchmarks.naive", "--port", str(port), *options), port) as url:
        yield url


def _naive_publisher(name: str, url: str) -> System:
    create_topic(url, TOPIC)
    ask(url, prepare("subscribe", {"peer_id": "subscriber", "topic": TOPIC}, expected=GOOD))
    request = prepare("publish", {"topic": TOPIC, "message": MESSAGE}, expected=b"published")
    return System(name, "publish", url, [request])
