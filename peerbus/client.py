"""The Python client: a method a call, typed answers, and the server's own errors."""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple, TypeVar
from uuid import uuid4

import msgspec
import requests

from peerbus import protocol as wire
from peerbus.errors import (
    CATALOGUE,
    IndexTimeout,
    IndexUnreachable,
    InternalError,
    NotSubscribed,
    PeerbusError,
    PeerNotFound,
    TopicNotFound,
)

AnswerT = TypeVar("AnswerT", bound=wire.Answer)

BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 5.0
TOPIC_PAUSE_SECONDS = 1.0
"""Pause before looking again whether a topic is there that a restarted server does not have yet."""
NOTHING_WAS_DONE = (429, 503)
"""Statuses by which a server says that it did not do what was asked, so that asking again is always safe."""
OUTCOME_UNKNOWN = (502, 504)
"""Statuses by which a peer node says that it does not know whether the server did it."""


class Message(NamedTuple):
    """A message as it was pulled; `attempt` counts how often it was handed over, if that is acknowledged.

    A value that Python cannot hold, such as 1e999, stays the JSON it came as: a `msgspec.Raw`.
    """

    topic: str
    offset: int
    value: Any
    attempt: int | None


class Pulled(NamedTuple):
    """What a pull took; `missed` messages were lost before, `remaining` are left.

    `resume_from` is the offset at which a subscription would go on that was lost now.
    """

    messages: list[Message]
    missed: int
    remaining: int
    resume_from: int


class Client:
    """Speaks for one peer to an indexing server, or to its peer node; use one client a thread.

    Every error of the server's is raised as its class in `peerbus.errors`; `IndexUnreachable` and `IndexTimeout`
    also stand for a server that cannot be reached, or does not answer, from here. A call that may be repeated
    without harm is, for up to `patience` seconds, with pauses that grow and are drawn at random ("full jitter",
    Marc Brooker, AWS Architecture Blog, 2015), and never shorter than the server asked for.
    """

    def __init__(self, url: str, peer_id: str, *, timeout: float = 10.0, patience: float = 30.0) -> None:
        """`timeout` is how long an answer may take, in seconds, beside what a pull waits."""
        self.peer_id = peer_id
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._patience = patience
        self._session = requests.Session()
        self._session.trust_env = False
        self._registered: dict[str, Any] = {}
        self._epoch: str | None = None
        self._positions: dict[str, int] = {}
        """Where a subscription would go on that was lost now, by topic."""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def register(self, **options: Any) -> wire.RegisterAnswer:
        """Register the peer, or renew its lease; options are `address` and `lease_seconds`."""
        self._registered |= options
        answer = self._post("/register_peer_node", wire.RegisterAnswer, self._registered)
        self._epoch = answer.epoch
        return answer

    def unregister(self) -> wire.PeerAnswer:
        """Unregister the peer."""
        return self._post("/unregister_peer_node", wire.PeerAnswer, {}, repeat=False)

    def create_topic(self, topic: str, **options: Any) -> wire.CreateTopicAnswer:
        """Create a topic; options are `max_messages`, `overflow` and `max_age`."""
        return self._call("POST", "/create_topic", wire.CreateTopicAnswer, {"topic": topic, **options})

    def delete_topic(self, topic: str) -> wire.DeleteTopicAnswer:
        """Delete a topic."""
        return self._call("DELETE", "/delete_topic", wire.DeleteTopicAnswer, {"topic": topic}, repeat=False)

    def publish(self, topic: str, message: Any, message_id: str | None = None) -> wire.PublishAnswer:
        """Publish a message, once even if it has to be repeated: without a `message_id` it gets one."""
        fields = {"topic": topic, "message": message, "message_id": message_id or uuid4().hex}
        return self._post("/publish", wire.PublishAnswer, fields)

    def publish_batch(self, topic: str, messages: Sequence[Any], message_id: str | None = None) -> wire.PublishAnswer:
        """Publish all of `messages`, or none; `message_id` is that of the batch."""
        fields = {"topic": topic, "messages": messages, "message_id": message_id or uuid4().hex}
        return self._post("/publish", wire.PublishAnswer, fields)

    def subscribe(
        self, topic: str, start: Literal["latest", "earliest"] | int | None = None, **options: Any
    ) -> wire.SubscribeAnswer:
        """Subscribe to a topic from `start` on; options are those of the call, such as `ack` and `group`."""
        begin = {} if start is None else {"from": start}
        return self._post("/subscribe", wire.SubscribeAnswer, {"topic": topic, **begin, **options})

    def unsubscribe(self, topic: str) -> wire.UnsubscribeAnswer:
        """End the subscription to a topic."""
        return self._post("/unsubscribe", wire.UnsubscribeAnswer, {"topic": topic}, repeat=False)

    def pull(self, topic: str, max_messages: int = 1000, wait: float = 0.0, *, repeat: bool = False) -> Pulled:
        """Pull messages; `repeat` if the answer got lost, which loses messages unless they are acknowledged."""
        fields = {"topic": topic, "max_messages": max_messages, "wait": wait}
        answer = self._post("/pull_messages", wire.PullAnswer, fields, repeat=repeat, wait=wait)
        values = [_value(raw) for raw in msgspec.json.decode(answer.messages, type=list[msgspec.Raw])]
        attempts = [None] * len(values) if answer.attempts is msgspec.UNSET else answer.attempts
        found = zip(answer.offsets, values, attempts, strict=True)
        messages = [Message(topic, offset, value, attempt) for offset, value, attempt in found]
        resume_from = answer.next_offset if answer.resume_from is msgspec.UNSET else answer.resume_from
        return Pulled(messages, answer.missed, answer.remaining, resume_from)

    def ack(self, *messages: Message) -> wire.AckAnswer:
        """Acknowledge messages of one topic."""
        return self._post("/ack_messages", wire.AckAnswer, _claims(messages))

    def nack(self, *messages: Message, delay: float = 0.0) -> wire.NackAnswer:
        """Reject messages of one topic: they are handed over again, in `delay` seconds."""
        return self._post("/nack_messages", wire.NackAnswer, {"delay": delay, **_claims(messages)})

    def query_peers(self, topic: str) -> wire.QueryPeersAnswer:
        """Tell who is subscribed to a topic."""
        return self._call("GET", "/query_peers", wire.QueryPeersAnswer, {"topic": topic})

    def topics(self, **page: Any) -> wire.TopicsAnswer:
        """List topics; `limit` and `after` name the page."""
        return self._call("GET", "/topics", wire.TopicsAnswer, page)

    def peers(self, **page: Any) -> wire.PeersAnswer:
        """List peers; `limit` and `after` name the page."""
        return self._call("GET", "/peers", wire.PeersAnswer, page)

    def stats(self) -> wire.StatsAnswer:
        """Show the server's figures."""
        return self._call("GET", "/stats", wire.StatsAnswer, {})

    def messages(
        self, topic: str, *, batch: int = 10, wait: float = 20.0, **options: Any
    ) -> Generator[Message, None, None]:
        """Follow a topic for ever, acknowledging each message when the next one is asked for.

        Subscribes with explicit acknowledgement, and pulls up to `batch` messages at once, waiting up to `wait`
        seconds; `options` are those of `subscribe`. A message whose handling raised, or that the loop was left
        with, is handed over again, as is the rest of its batch. A `start` counts for a new message queue only.
        A subscription that the server lost is made again where it stood; in a server that restarted from the
        first message, once the topic is there. `TopicDeleted` ends it.
        """
        options = {**options, "ack": "explicit"}
        if self._epoch is None:
            self.register()
        self._join(topic, options.pop("start", None), options)
        while True:
            try:
                pulled = self.pull(topic, batch, wait, repeat=True)
                self._positions[topic] = pulled.resume_from
                yield from self._acknowledging(pulled.messages)
            except (PeerNotFound, NotSubscribed):
                self._rejoin(topic, options)

    def _acknowledging(self, messages: list[Message]) -> Generator[Message, None, None]:
        try:
            while messages:
                yield messages[0]
                self._positions[messages[0].topic] = self.ack(messages[0]).resume_from
                del messages[0]
        finally:
            if messages:
                with suppress(PeerbusError):  # their deadline does the same, later
                    self._post("/nack_messages", wire.NackAnswer, _claims(messages), repeat=False)

    def _join(self, topic: str, start: Literal["latest", "earliest"] | int | None, options: dict[str, Any]) -> None:
        """Subscribe; `start` is where a message queue begins that nobody had before."""
        joined = self.subscribe(topic, **options)
        if joined.created and joined.members == 1 and start is not None:
            joined = self.subscribe(topic, start)
        self._positions[topic] = joined.next_offset

    def _rejoin(self, topic: str, options: dict[str, Any]) -> None:
        """Subscribe again; in a server that restarted, once the topic is there again."""
        epoch, position = self._epoch, self._positions[topic]
        restarted = self.register().epoch != epoch
        while True:
            try:
                return self._join(topic, 0 if restarted else position, options)
            except TopicNotFound:
                if not restarted:
                    raise
                time.sleep(TOPIC_PAUSE_SECONDS)

    def _post(
        self, path: str, answer: type[AnswerT], fields: dict[str, Any], *, repeat: bool = True, wait: float = 0.0
    ) -> AnswerT:
        return self._call("POST", path, answer, {"peer_id": self.peer_id, **fields}, repeat=repeat, wait=wait)

    def _call(
        self,
        method: str,
        path: str,
        answer: type[AnswerT],
        fields: dict[str, Any],
        *,
        repeat: bool = True,
        wait: float = 0.0,
    ) -> AnswerT:
        give_up = time.monotonic() + self._patience
        pause = BACKOFF_SECONDS
        while True:
            try:
                response = self._send(method, path, fields, wait)
            except (IndexUnreachable, IndexTimeout):
                if not repeat or time.monotonic() > give_up:
                    raise
                asked_for = 0.0
            else:
                if response.status_code == 200:
                    return msgspec.json.decode(response.content, type=answer)
                error = _error_in(response)
                again = response.status_code in (NOTHING_WAS_DONE + OUTCOME_UNKNOWN if repeat else NOTHING_WAS_DONE)
                if not again or time.monotonic() > give_up:
                    raise error
                asked_for = _seconds(response.headers.get("Retry-After", ""))
            time.sleep(asked_for + random.uniform(0, pause))  # noqa: S311  # spreads load, guards nothing
            pause = min(2 * pause, MAX_BACKOFF_SECONDS)

    def _send(self, method: str, path: str, fields: dict[str, Any], wait: float) -> requests.Response:
        try:
            if method == "GET":
                return self._session.get(self._url + path, params=fields, timeout=self._timeout)
            headers = {"Content-Type": "application/json"}
            body = msgspec.json.encode(fields)
            return self._session.request(
                method, self._url + path, data=body, headers=headers, timeout=self._timeout + wait
            )
        except requests.Timeout:
            raise IndexTimeout(f"{self._url} did not answer within {self._timeout + wait:g} seconds.") from None
        except requests.RequestException as error:
            raise IndexUnreachable(f"{self._url} cannot be reached: {error}") from None


def _value(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return raw


def _claims(messages: Sequence[Message]) -> dict[str, Any]:
    topic = messages[0].topic
    if any(message.topic != topic for message in messages):
        raise ValueError("messages of one topic at a time")
    offsets = [message.offset for message in messages]
    return {"topic": topic, "offsets": offsets, "attempts": [message.attempt or 1 for message in messages]}


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isdigit() else 0.0


def _error_in(response: requests.Response) -> Exception:
    try:
        error = msgspec.json.decode(response.content, type=wire.ErrorAnswer)
    except msgspec.DecodeError:
        return InternalError(f"The answer with status {response.status_code} is not peerbus's.")
    return CATALOGUE.get(error.code, InternalError)(error.message)
