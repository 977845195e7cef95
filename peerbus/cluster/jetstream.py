"""Streams and key-value buckets of NATS JetStream, as the cluster uses them."""

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import json
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DeliverPolicy, KeyValueConfig, StorageType, StreamConfig
from nats.js.errors import APIError, KeyNotFoundError, KeyWrongLastSequenceError, NotFoundError
from nats.js.kv import KeyValue

from peerbus.cluster.shard_log import NoAnswer, WrongSequence
from peerbus.errors import StartError
from peerbus.http.tls import trust

log = logging.getLogger(__name__)

LEAST_VERSION = (2, 11, 0)
"""From this one on, a leader answers only when it has caught up."""
WRONG_SEQUENCE = {10071, 10164}
"""Codes of the engine's answer to an append in the wrong place."""
ANSWER_SECONDS = 2.0
PROBLEMS = (NatsError, APIError, TimeoutError)
"""The errors of requests that may have been carried out."""
SYNC_SUBJECT = "$SYS.REQ.SERVER.PING.JSZ"


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
        options = self.options
        named = ", ".join(options.urls)
        try:
            await self._client.connect(
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
        except (TimeoutError, NatsError, OSError) as error:
            raise StartError(f"The engine cannot be reached at {named}: {error}") from None
        self._js = self._client.jetstream(timeout=ANSWER_SECONDS)
        version = self._client.connected_server_version
        if (version.major, version.minor, version.patch) < LEAST_VERSION:
            least = ".".join(map(str, LEAST_VERSION))
            raise StartError(f"The engine at {named} has version {version}; it needs {least} or later.")
        await self._check_sync(named)

    @property
    def most_bytes(self) -> int:
        """Bytes of the largest message that is taken."""
        return self._client.max_payload

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def stream(self, name: str, subject: str) -> "EngineStream":
        """A stream of a subject, created unless it exists; raises `StartError`."""
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
        except (TimeoutError, NatsError, APIError) as error:
            raise StartError(f"The stream {name} of the engine cannot be opened: {error}") from None
        if (found.num_replicas or 1) < self.options.replicas:
            raise StartError(
                f"The stream {name} of the engine has {found.num_replicas} replicas, not {self.options.replicas}: "
                f"change it by `nats stream edit {name} --replicas {self.options.replicas}`, or name its number with "
                "--replicas."
            )
        return EngineStream(self._client, self._js, name, subject)

    async def bucket(self, name: str, seconds: float = 0.0) -> KeyValue:
        """A bucket, created unless it exists, whose values end after some seconds if that is named."""
        try:
            try:
                return await self._js.key_value(name)
            except NotFoundError:
                config = KeyValueConfig(bucket=name, ttl=seconds or None, replicas=self.options.replicas)
                return await self._js.create_key_value(config)
        except PROBLEMS as error:
            raise StartError(f"The bucket {name} of the engine cannot be opened: {error}") from None

    async def _check_sync(self, named: str) -> None:
        """Raise `StartError` unless every server of the engine flushes each message before it acknowledges it."""
        inbox = self._client.new_inbox()
        answers = await self._client.subscribe(inbox)
        asked = json.encode({"config": True})
        await self._client.publish(SYNC_SUBJECT, asked, reply=inbox)
        heard = 0
        try:
            while heard < self.options.replicas:
                answer = await answers.next_msg(timeout=ANSWER_SECONDS)
                if answer.headers and answer.headers.get("Status") == "503":
                    break
                told = json.decode(answer.data)
                heard += 1
                if not told.get("data", {}).get("config", {}).get("sync_always"):
                    server = told.get("server", {}).get("name", "?")
                    raise StartError(
                        f"Server {server} of the engine acknowledges messages before they are on its disk. Set "
                        "`sync_interval: always` in its jetstream block, and start it again."
                    )
        except (TimeoutError, NatsError):
            pass
        finally:
            await answers.unsubscribe()
        if heard < self.options.replicas:
            raise StartError(
                f"{heard} of {self.options.replicas} servers of the engine at {named} say how they write to disk. Let "
                f"the account import the service {SYNC_SUBJECT} of the system account, and start all of them."
            )


class EngineStream:
    """One stream, as `shard_log.Stream` says."""

    def __init__(self, client: Client, js: JetStreamContext, name: str, subject: str) -> None:
        self._client = client
        self._js = js
        self._name = name
        self._subject = subject

    async def publish(self, data: bytes, after: int | None = None) -> int:
        """Append a message, after the one of sequence `after`, and return its number."""
        headers = None if after is None else {"Nats-Expected-Last-Sequence": str(after)}
        try:
            return (await self._js.publish(self._subject, data, timeout=ANSWER_SECONDS, headers=headers)).seq
        except APIError as error:
            if error.err_code in WRONG_SEQUENCE:
                raise WrongSequence from None
            raise NoAnswer(str(error)) from None
        except (TimeoutError, NatsError) as error:
            raise NoAnswer(str(error)) from None

    async def get(self, sequence: int) -> bytes | None:
        """A message; None if there is none with this number."""
        try:
            return (await self._js.get_msg(self._name, sequence)).data or b""
        except NotFoundError:
            return None
        except (TimeoutError, NatsError, APIError) as error:
            raise NoAnswer(str(error)) from None

    async def ends(self) -> tuple[int, int]:
        """The numbers of the first message and of the last."""
        try:
            state = (await self._js.stream_info(self._name)).state
        except (TimeoutError, NatsError, APIError) as error:
            raise NoAnswer(str(error)) from None
        return state.first_seq, state.last_seq

    async def read(self, first: int, last: int) -> AsyncIterator[bytes]:
        """The messages from `first` to `last`, in order."""
        config = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=first)
        try:
            subscription = await self._js.subscribe(
                self._subject, stream=self._name, ordered_consumer=True, config=config
            )
            try:
                for expected in range(first, last + 1):
                    message = await subscription.next_msg(timeout=ANSWER_SECONDS)
                    if message.metadata.sequence.stream != expected:
                        raise NoAnswer(f"message {expected} of stream {self._name} did not come")
                    yield message.data
            finally:
                await subscription.unsubscribe()
        except (TimeoutError, NatsError, APIError) as error:
            raise NoAnswer(str(error)) from None

    async def purge(self, before: int) -> None:
        """Remove the messages before a number."""
        try:
            await self._js.purge_stream(self._name, seq=before)
        except (TimeoutError, NatsError, APIError) as error:
            raise NoAnswer(str(error)) from None


class EngineCell:
    """A key of a bucket, as `shard_log.Cell` says."""

    def __init__(self, bucket: KeyValue, key: str) -> None:
        self._bucket = bucket
        self._key = key

    async def get(self) -> tuple[bytes | None, int]:
        """The value, None if there is none yet, and its revision."""
        try:
            entry = await self._bucket.get(self._key)
        except KeyNotFoundError:
            return None, 0
        except PROBLEMS as error:
            raise NoAnswer(str(error)) from None
        return entry.value, entry.revision or 0

    async def put(self, value: bytes, revision: int) -> None:
        """Replace the value of a revision."""
        try:
            await self._bucket.update(self._key, value, last=revision)
        except KeyWrongLastSequenceError:
            raise WrongSequence from None
        except PROBLEMS as error:
            raise NoAnswer(str(error)) from None


async def _log_problem(error: Exception) -> None:
    log.warning("The connection to the engine: %s", error or type(error).__name__)
