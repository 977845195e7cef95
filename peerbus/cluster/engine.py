"""The engine that keeps the state of a cluster: NATS JetStream, connected, checked, and its streams made."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct, json
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig, StorageType, StreamConfig
from nats.js.errors import NotFoundError
from nats.js.kv import KeyValue

from peerbus.cluster.jetstream import ANSWER_SECONDS, PROBLEMS, JetStreamCell, JetStreamLog, NatsChannel
from peerbus.cluster.store import ShardStore
from peerbus.errors import StartError
from peerbus.http.tls import trust

log = logging.getLogger(__name__)

LEAST_VERSION = (2, 11, 0)
"""From this one on, a leader answers only when it has caught up."""
CONNECT_SECONDS = 5.0
ENVELOPE_BYTES = 1024
"""Room for the headers of a message."""
WRITING = "$SYS.REQ.SERVER.PING.JSZ"
"""The engine's service that tells how its servers write to disk."""


class _Named(Struct, frozen=True):
    name: str = "?"


class _Config(Struct, frozen=True):
    sync_always: bool = False


class _Meta(Struct, frozen=True):
    cluster_size: int = 1


class _JetStream(Struct, frozen=True):
    config: _Config = _Config()
    meta_cluster: _Meta = _Meta()


class _Writing(Struct):
    """The answer of one server of the engine, as far as it is looked at."""

    server: _Named = _Named()
    data: _JetStream = _JetStream()


_decode_writing = json.Decoder(_Writing).decode


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Where the engine is, and how to log in."""

    urls: Sequence[str]
    credentials: Path | None = None
    """A file with the user's JWT and key."""
    ca: Path | None = None
    """A file with the authorities that are trusted; None for the system's."""
    replicas: int = 3


class Engine:
    """A connection to JetStream. Awaited in one event loop, which its owner runs."""

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        self._client = Client()
        self._js: JetStreamContext

    async def connect(self) -> None:
        """Connect, and check that the engine keeps what it acknowledges; raises `StartError`."""
        try:
            await self._connect()
        except StartError:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def _connect(self) -> None:
        options = self.options
        named = ", ".join(options.urls)
        try:
            connecting = self._client.connect(
                servers=list(options.urls),
                user_credentials=str(options.credentials) if options.credentials else None,
                tls=trust(options.ca) if options.ca else None,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                connect_timeout=2,
                error_cb=_log_problem,
                name="peerbus",
            )
            await asyncio.wait_for(connecting, CONNECT_SECONDS)
        except (TimeoutError, NatsError, OSError) as error:
            raise StartError(f"The engine cannot be reached at {named}: {error or 'no answer'}.") from None
        self._js = self._client.jetstream(timeout=ANSWER_SECONDS)
        version = self._client.connected_server_version
        if (version.major, version.minor, version.patch) < LEAST_VERSION:
            least = ".".join(map(str, LEAST_VERSION))
            raise StartError(f"The engine at {named} has version {version}; it needs {least} or later.")
        await self._check_servers(named)

    async def _stream(self, name: str, subject: str) -> JetStreamLog:
        wanted = StreamConfig(
            name=name,
            subjects=[subject],
            num_replicas=self.options.replicas,
            storage=StorageType.FILE,
            allow_direct=False,
            deny_delete=True,
            duplicate_window=0.1,
        )
        try:
            try:
                found = (await self._js.stream_info(name)).config
            except NotFoundError:
                found = (await self._js.add_stream(wanted)).config
        except PROBLEMS as error:
            raise StartError(f"The stream {name} of the engine cannot be opened: {error}") from None
        if (found.num_replicas or 1) < self.options.replicas:
            raise StartError(
                f"The stream {name} of the engine has {found.num_replicas} replicas, not {self.options.replicas}: "
                f"change it by `nats stream edit {name} --replicas {self.options.replicas}`, or name its number with "
                "--replicas."
            )
        return JetStreamLog(self._client, self._js, name, subject)

    def channel(self, subject: str) -> NatsChannel:
        """A subject that all servers hear, without being kept."""
        return NatsChannel(self._client, subject)

    async def shard(self, cluster: str, number: int) -> ShardStore:
        """The streams of a shard of a cluster, created unless they exist; raises `StartError`."""
        name = f"peerbus-{cluster}-{number}"
        entries = await self._stream(name, f"peerbus.{cluster}.{number}.log")
        snapshots = await self._stream(f"{name}-snapshots", f"peerbus.{cluster}.{number}.snapshots")
        pointer = JetStreamCell(await self._bucket(f"peerbus-{cluster}"), f"snapshot.{number}")
        return ShardStore(f"shard {number}", entries, snapshots, pointer, self._client.max_payload - ENVELOPE_BYTES)

    async def _bucket(self, name: str) -> KeyValue:
        try:
            try:
                return await self._js.key_value(name)
            except NotFoundError:
                config = KeyValueConfig(bucket=name, replicas=self.options.replicas)
                return await self._js.create_key_value(config)
        except PROBLEMS as error:
            raise StartError(f"The bucket {name} of the engine cannot be opened: {error}") from None

    async def _check_servers(self, named: str) -> None:
        """Ask all servers of the engine how they write; raises `StartError` unless each flushes what it acknowledges.

        Servers that are down cannot be asked.
        """
        inbox = self._client.new_inbox()
        answers = await self._client.subscribe(inbox)
        await self._client.publish(WRITING, b'{"config":true}', reply=inbox)
        size, heard = 1, 0
        with suppress(*PROBLEMS):
            while heard < size:
                told = _decode_writing((await answers.next_msg(timeout=ANSWER_SECONDS)).data)
                if not told.data.config.sync_always:
                    raise StartError(
                        f"Server {told.server.name} of the engine acknowledges messages before they are on its disk: "
                        'set "sync_interval: always" in its jetstream block, and start it again.'
                    )
                size, heard = max(size, told.data.meta_cluster.cluster_size), heard + 1
        await answers.unsubscribe()
        if not heard:
            raise StartError(
                f"The engine at {named} does not say how it writes to disk: let the account import the service "
                f"{WRITING} of the system account, as docs/nats.conf does."
            )
        if size < self.options.replicas:
            raise StartError(
                f"The engine at {named} has {size} servers, too few for {self.options.replicas} replicas: add servers, "
                "or name another number with --replicas."
            )


async def _log_problem(error: Exception) -> None:
    log.warning("The connection to the engine: %s", error or type(error).__name__)
