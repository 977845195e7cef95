"""Two peers on two hosts talk, a third without a token is refused everywhere: `sudo python -m tests.system.namespaces`.

The hosts are network namespaces (ip-netns(8)), joined by a bridge; only root may make them, so this is no part of the
tests that run everywhere.
"""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from peerbus.wire.endpoints import Access
from tests.support.endpoints import EXAMPLES, ROWS
from tests.support.harness import ROOT, Api

BRIDGE = "peerbus0"
NETWORK = "10.77.0"
EVERYWHERE = "0.0.0.0"  # noqa: S104  # with a token
SERVER = f"http://{NETWORK}.1:5000"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)  # noqa: S607  # the system's own, with words of ours


@contextmanager
def host(number: int) -> Iterator[str]:
    """A network namespace at 10.77.0.`number`, by its name."""
    name, inside, outside = f"peerbus-{number}", f"peerbus-in{number}", f"peerbus-out{number}"
    ip("netns", "add", name)
    try:
        ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
        ip("link", "set", outside, "master", BRIDGE, "up")
        ip("-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", inside)
        ip("-n", name, "link", "set", inside, "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        ip("netns", "del", name)


@contextmanager
def bridge() -> Iterator[None]:
    """What joins the hosts, at 10.77.0.1."""
    ip("link", "add", BRIDGE, "type", "bridge")
    try:
        ip("addr", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        yield
    finally:
        ip("link", "del", BRIDGE)


@contextmanager
def running(*command: str, **environment: str) -> Iterator[None]:
    """A server or a node, from when it serves until it is stopped."""
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True
    ) as process:  # ours
        try:
            assert process.stdout
            sys.stdout.write(process.stdout.readline())
            yield
        finally:
            process.terminate()


def main() -> None:
    """Tell the story; the parts of the peers and of the stranger are told in their own namespaces."""
    enrolment, own = secrets.token_hex(16), secrets.token_hex(16)
    logs = tempfile.mkdtemp()
    with ExitStack() as story:
        story.enter_context(bridge())
        first, second, third = (story.enter_context(host(number)) for number in (2, 3, 4))
        script = (sys.executable, "indexing_server.py", "--host", EVERYWHERE, "--log-dir", logs)
        story.enter_context(running(*script, PEERBUS_TOKEN=enrolment))
        for number, name in ((2, first), (3, second)):
            node = ("peer_node.py", "--peer-id", f"peer{number}", "--host", f"{NETWORK}.{number}", "--log-dir", logs)
            tokens = {"PEERBUS_NODE_INDEX_TOKEN": enrolment, "PEERBUS_NODE_TOKEN": own}
            inside = ("ip", "netns", "exec", name, sys.executable, *node, "--index-url", SERVER)
            story.enter_context(running(*inside, **tokens))
        for name, part in ((first, "listen"), (second, "speak"), (first, "hear"), (third, "stranger")):
            tell = ("ip", "netns", "exec", name, sys.executable, "-m", "tests.system.namespaces", part)
            subprocess.run(tell, cwd=ROOT, env=os.environ | {"TOKEN": own}, check=True)  # ours


def listen() -> None:
    """The peer on the first host subscribes."""
    node = own_node(2)
    print(node.post("/create_topic", topic="news").body["message"])
    print(node.post("/subscribe", topic="news").body["message"])


def speak() -> None:
    """The peer on the second host publishes."""
    print(own_node(3).post("/publish", topic="news", message="hello").body["message"])


def hear() -> None:
    """The first one has the message."""
    pulled = own_node(2).post("/pull_messages", topic="news", wait=5).body
    print(pulled["message"], pulled["messages"])
    assert pulled["messages"] == ["hello"]


def stranger() -> None:
    """Every call, at the server and at a node, without a token and with a wrong one."""
    places = {SERVER: ROWS, f"http://{NETWORK}.2:5001": ROWS}
    for url, rows in places.items():
        for api in (Api(url), Api(url).showing("a guess")):
            asked = [row for row in rows if row.access is not Access.ANYONE]
            statuses = [api.send(row.method, row.path, json=EXAMPLES[row.path].fields).status for row in asked]
            print(f"A stranger at {url}: {len(asked)} calls, answered {sorted(set(statuses))}")
            assert set(statuses) == {401}


def own_node(number: int) -> Api:
    """The node on this host, asked with its token."""
    return Api(f"http://{NETWORK}.{number}:5001").showing(os.environ["TOKEN"])


if __name__ == "__main__":
    {"listen": listen, "speak": speak, "hear": hear, "stranger": stranger}.get(sys.argv[-1], main)()
