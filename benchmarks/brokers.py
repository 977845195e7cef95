"""peerbus beside the naive design and other brokers: `python -m benchmarks.brokers --help`."""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import click

from benchmarks import command, plots
from benchmarks.load import (
    BATCH,
    MESSAGE,
    OK,
    Request,
    ask,
    create_topic,
    fill,
    http,
    join,
    names,
    prepare,
    stat,
    subscribe,
    unsubscribe,
)
from benchmarks.processes import free_port, indexing_server, program, services
from benchmarks.stats import Rate, rates, write_table
from benchmarks.wrk import System, by_turns
from peerbus.cli import options

Start = Callable[[], AbstractContextManager[System]]
TOPIC = "bench"
NAIVE, NAIVE_PEER = "naive", "naive, through its peer"
"""The systems that others are compared with."""
KEPT = 1_000_000
"""Messages that every broker keeps at least; it may drop older ones."""
PULLERS = names("puller", 64)
"""Subscribers that pull by turns: together they can pull 64 times as many messages in a round as there are."""
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
"""Debian's place for it."""
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
def publishing() -> Iterator[System]:
    """Single messages, published directly."""
    with indexing_server() as server:
        yield publisher("peerbus", NAIVE, server.url, server.url)


@contextmanager
def publishing_through_a_peer() -> Iterator[System]:
    """Single messages, published through a peer's node."""
    with services(1) as (server, (node,)):
        yield publisher("peerbus, through its peer", NAIVE_PEER, server, node)


@contextmanager
def publishing_batches() -> Iterator[System]:
    """1,000 messages a request, published directly."""
    with indexing_server() as server:
        yield publisher("peerbus, 1,000 a request", NAIVE, server.url, server.url, BATCH)


@contextmanager
def pulling() -> Iterator[System]:
    """One waiting message a request."""
    with indexing_server() as server:
        yield puller("peerbus", server.url, 1)


@contextmanager
def pulling_batches() -> Iterator[System]:
    """1,000 waiting messages a request."""
    with indexing_server() as server:
        yield puller("peerbus, 1,000 a request", server.url, BATCH)


def publisher(name: str, against: str, server: str, url: str, batch: int = 1) -> System:
    """Publishing to a topic with one subscriber, which pulls nothing; the topic keeps the latest messages."""
    create_topic(server, TOPIC, overflow="drop_oldest", max_messages=KEPT)
    join(server, TOPIC, ["subscriber"])
    what = {"message": MESSAGE} if batch == 1 else {"messages": [MESSAGE] * batch}
    request = prepare("publish", {"topic": TOPIC, **what}, expected=b'"count":%d,' % batch)
    return System(name, "publish", url, [request], against, batch, lambda: stat(server, "published"))


def puller(name: str, url: str, batch: int, messages: int = KEPT) -> System:
    """Pulling by turns for several subscribers, whose queues hold `messages` each at the start of a round.

    One more subscriber pulls nothing, so that the messages stay for the next round.
    """
    create_topic(url, TOPIC)
    join(url, TOPIC, ["keeper", *PULLERS])
    fill(url, TOPIC, messages)
    start = b'"messages":["%s"' % MESSAGE.encode()
    requests = [
        prepare("pull_messages", {"peer_id": peer, "topic": TOPIC, "max_messages": batch}, expected=start)
        for peer in PULLERS
    ]

    @contextmanager
    def refilled() -> Iterator[None]:
        unsubscribe(url, TOPIC, PULLERS)
        subscribe(url, TOPIC, PULLERS, "earliest")
        yield

    return System(name, "pull_messages", url, requests, "", batch, lambda: stat(url, "pulled"), refilled)


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
        with program(server, redis), program(("webdis", str(config)), port) as web:
            body = f"XADD/{TOPIC}/MAXLEN/~/{KEPT}/*/message/{MESSAGE}".encode()
            request = Request("publish", http("POST", "/", body), b'{"XADD":"')
            yield System("Redis behind Webdis (XADD)", "publish", web.url, [request], NAIVE)


@contextmanager
def nchan() -> Iterator[System]:
    """Nginx with nchan, one worker process: messages to one channel."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="peerbus-benchmark-") as folder:
        config = Path(folder, "nginx.conf")
        config.write_text(NGINX.format(module=NCHAN, folder=folder, port=port, topic=TOPIC, kept=KEPT))
        with program((_nginx(), "-p", folder, "-e", "stderr", "-c", str(config)), port) as server:
            request = Request("publish", http("POST", "/publish", MESSAGE.encode()), b"HTTP/1.1 202 ")
            yield System("nchan", "publish", server.url, [request], NAIVE)


def has_webdis() -> bool:
    """Whether Redis and Webdis are installed."""
    return bool(shutil.which("redis-server") and shutil.which("webdis"))


def has_nchan() -> bool:
    """Whether nginx and nchan are installed."""
    return bool(_nginx()) and NCHAN.exists()


def _nginx() -> str:
    """The path of nginx, which may not be in the PATH of users; empty if it is not installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin") or ""


@contextmanager
def _naive(*options: str) -> Iterator[str]:
    port = free_port()
    with program((sys.executable, "-m", "benchmarks.naive", "--port", str(port), *options), port) as server:
        yield server.url


def _naive_publisher(name: str, url: str) -> System:
    create_topic(url, TOPIC)
    ask(url, prepare("subscribe", {"peer_id": "subscriber", "topic": TOPIC}, expected=OK))
    request = prepare("publish", {"topic": TOPIC, "message": MESSAGE}, expected=b"published")
    return System(name, "publish", url, [request])


ALWAYS: tuple[Start, ...] = (
    naive,
    naive_through_a_peer,
    publishing,
    publishing_through_a_peer,
    publishing_batches,
    pulling,
    pulling_batches,
)


def contenders() -> list[Start]:
    """The systems that can be started here; prints which cannot."""
    found = list(ALWAYS)
    for name, installed, start in (
        ("Redis and Webdis", has_webdis(), webdis),
        ("nginx with nchan", has_nchan(), nchan),
    ):
        if installed:
            found.append(start)
        else:
            click.echo(f"{name}: not installed, and left out.")
    return found


def compare(starts: Sequence[Start], rounds: int, connections: int, seconds: int) -> list[Rate]:
    """The rates of systems, measured by turns."""
    with ExitStack() as stack:
        systems = [stack.enter_context(start()) for start in starts]
        return rates(by_turns(systems, rounds, connections, seconds))


def measure(path: Path, rounds: int, seconds: int, connections: int) -> None:
    """Measure all systems that can be started here by turns, and write the table."""
    notes = command.describe(
        programs=command.packages("wrk", "nginx", "libnginx-mod-nchan", "redis-server", "webdis"),
        rounds=rounds,
        seconds=seconds,
        connections=connections,
    )
    with command.errors_in_one_line():
        write_table(path, notes, compare(contenders(), rounds, connections, seconds))


def show(path: Path) -> None:
    """Print a table of systems, and draw it."""
    found = command.read(path, Rate)
    for row in found.rows:
        click.echo(f"{row}")
    command.report(path, found, [plots.draw_brokers(found, path.with_suffix(".png"))])


@options.command("PEERBUS_BROKERS", "--rounds")
@command.ROUNDS
@command.SECONDS
@command.CONNECTIONS
@command.RESULTS
@command.PLOT_ONLY
def main(rounds: int, seconds: int, connections: int, results: Path, plot_only: bool) -> None:
    """Measure peerbus, the naive design and other installed brokers with wrk, by turns.

    Writes brokers.csv and draws brokers.png from it.
    """
    path = results / "brokers.csv"
    if not plot_only:
        measure(path, rounds, seconds, connections)
    show(path)


if __name__ == "__main__":
    options.run(main)
