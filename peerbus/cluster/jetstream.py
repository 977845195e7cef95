"""A stream, a key and a subject of NATS JetStream, as the cluster uses them."""

from collections.abc import AsyncIterator, Callable

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DeliverPolicy, StreamState
from nats.js.errors import APIError, KeyNotFoundError, KeyWrongLastSequenceError, NotFoundError
from nats.js.kv import KeyValue

from peerbus.cluster.shard_log import NoAnswer, WrongSequence

WRONG_SEQUENCE = {10071, 10164}
"""Codes of the engine's answer to an append in the wrong place."""
ANSWER_SECONDS = 2.0
PROBLEMS = (NatsError, APIError, TimeoutError)
"""The errors of requests that may have been carried out."""


class JetStreamLog:
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
        except PROBLEMS as error:
            raise NoAnswer(str(error)) from None

    async def ends(self) -> tuple[int, int]:
        """The numbers of the first message and of the last."""
        state = await self._state()
        return state.first_seq, state.last_seq

    async def size(self) -> int:
        """Bytes of all messages."""
        return (await self._state()).bytes

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
        except PROBLEMS as error:
            raise NoAnswer(str(error)) from None

    async def purge(self, before: int) -> None:
        """Remove the messages before a number."""
        try:
            await self._js.purge_stream(self._name, seq=before)
        except PROBLEMS as error:
            raise NoAnswer(str(error)) from None

    async def _state(self) -> StreamState:
        try:
            return (await self._js.stream_info(self._name)).state
        except PROBLEMS as error:
            raise NoAnswer(str(error)) from None


class NatsChannel:
    """A subject, as `membership.Channel` says."""

    def __init__(self, client: Client, subject: str) -> None:
        self._client = client
        self._subject = subject

    async def say(self, data: bytes) -> None:
        """Send to all, this server among them."""
        try:
            await self._client.publish(self._subject, data)
        except PROBLEMS as error:
            raise NoAnswer(str(error)) from None

    async def listen(self, heard: Callable[[bytes], None]) -> None:
        """Have `heard` called with each message from now on."""

        async def hear(message: Msg) -> None:
            heard(message.data)

        await self._client.subscribe(self._subject, cb=hear)


class JetStreamCell:
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
