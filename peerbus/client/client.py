"""The Python client: a method a call, typed answers, and the server's own errors."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple
from uuid import uuid4

import msgspec
from msgspec import UNSET

from peerbus.client.retry import AnswerT, Caller
from peerbus.errors import NotSubscribed, PeerbusError, PeerNotFound, TopicNotFound, Unauthorized
from peerbus.wire import protocol as wire
from peerbus.wire.views import PeerView, TopicView

PAGE = 1000
"""Names in one page of a listing, at most."""
TOPIC_PAUSE_SECONDS = 1.0
"""Pause before looking again whether a topic is there that a restarted server does not have yet."""


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

    A peer node knows whom it acts for: there the `peer_id` can be left out.

    Every error of the server's is raised as its class in `peerbus.errors`; `IndexUnreachable` and `IndexTimeout`
    also stand for a server that cannot be reached, or does not answer, from here. A call that may be repeated
    without harm is, for up to `patience` seconds, with pauses that grow and are drawn at random ("full jitter",
    Marc Brooker, AWS Architecture Blog, 2015), and never shorter than the server asked for.
    """

    def __init__(
        self,
        url: str,
        peer_id: str | None = None,
        *,
        timeout: float = 10.0,
        patience: float = 30.0,
        token: str | None = None,
        ca: str | Path | None = None,
    ) -> None:
        """`timeout` is how long an answer may take, in seconds, beside what a pull waits.

        `ca` is a file with the certificates that an https server must have one by, in place of those that requests has.

        `token` is shown where one is asked for; once registered, the peer's own, which the server gave it, is.
        """
        self.peer_id = peer_id
        self._caller = Caller(url, timeout, patience, token, ca)
        self._token = token
        self._has_own_token = False
        self._registered: dict[str, Any] = {}
        self._epoch: str | None = None
        self._options: dict[str, dict[str, Any]] = {}
        """What subscriptions were made with, by topic."""
        self._positions: dict[str, int] = {}
        """Where a subscription would go on that was lost now, by topic."""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._caller.close()

    def register(self, **options: Any) -> wire.RegisterAnswer:
        """Register the peer, or renew its lease; options are `address` and `lease_seconds`."""
        fields = self._registered | options
        try:
            answer = self._post("/register_peer_node", wire.RegisterAnswer, fields)
        except Unauthorized:
            if not self._has_own_token:
                raise
            self._forget_own_token()
            answer = self._post("/register_peer_node", wire.RegisterAnswer, fields)
        if answer.token is not UNSET:
            self._has_own_token = True
            self._caller.show(answer.token)
        self._registered, self._epoch, self.peer_id = fields, answer.epoch, answer.peer_id
        return answer

    def unregister(self) -> wire.UnregisterAnswer:
        """Unregister the peer."""
        answer = self._post("/unregister_peer_node", wire.UnregisterAnswer, {}, repeat=False)
        self._forget_own_token()
        return answer

    def create_topic(self, topic: str, **options: Any) -> wire.CreateTopicAnswer:
        """Create a topic; options are `max_messages`, `overflow` and `max_age`."""
        return self._caller.call("POST", "/create_topic", wire.CreateTopicAnswer, {"topic": topic, **options})

    def delete_topic(self, topic: str) -> wire.DeleteTopicAnswer:
        """Delete a topic."""
        return self._caller.call("DELETE", "/delete_topic", wire.DeleteTopicAnswer, {"topic": topic}, repeat=False)

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
        answer = self._post("/subscribe", wire.SubscribeAnswer, {"topic": topic, **begin, **options})
        self._options[topic] = self._options.get(topic, {}) | options
        self._positions[topic] = answer.next_offset
        return answer

    def join(self, topic: str, start: Literal["latest", "earliest"] | int | None = None, **options: Any) -> None:
        """Subscribe; a message queue that exists goes on where it stands, and only a new one begins at `start`."""
        joined = self.subscribe(topic, **options)
        if joined.created and joined.members == 1 and start not in (None, "latest"):
            self.subscribe(topic, start)

    def rejoin(self, topic: str) -> None:
        """Register and subscribe again, as before, after the server lost this peer or its subscription.

        It goes on where it stood; in a server that restarted from the first message, once the topic is there.
        """
        epoch, position = self._epoch, self._positions[topic]
        restarted = self.register().epoch != epoch
        while True:
            try:
                self.join(topic, 0 if restarted else position, **self._options[topic])
                return
            except TopicNotFound:
                if not restarted:
                    raise
                time.sleep(TOPIC_PAUSE_SECONDS)
            except PeerbusError:
                self._positions[topic] = position
                raise

    def unsubscribe(self, topic: str) -> wire.UnsubscribeAnswer:
        """End the subscription to a topic."""
        return self._post("/unsubscribe", wire.UnsubscribeAnswer, {"topic": topic}, repeat=False)

    def pull(
        self, topic: str, max_messages: int = 1000, wait: float = 0.0, *, repeat: bool = False, raw: bool = False
    ) -> Pulled:
        """Pull messages, with `raw` values as the JSON they came as: a `msgspec.Raw`.

        `repeat` if the answer got lost, which loses messages unless they are acknowledged.
        """
        fields = {"topic": topic, "max_messages": max_messages, "wait": wait}
        answer = self._post("/pull_messages", wire.PullAnswer, fields, repeat=repeat, wait=wait)
        values: list[Any] = msgspec.json.decode(answer.messages, type=list[msgspec.Raw])
        if not raw:
            values = [_value(value) for value in values]
        attempts = [None] * len(values) if answer.attempts is msgspec.UNSET else answer.attempts
        found = zip(answer.offsets, values, attempts, strict=True)
        messages = [Message(topic, offset, value, attempt) for offset, value, attempt in found]
        resume_from = answer.next_offset if answer.resume_from is msgspec.UNSET else answer.resume_from
        self._positions[topic] = resume_from
        return Pulled(messages, answer.missed, answer.remaining, resume_from)

    def ack(self, *messages: Message) -> wire.AckAnswer:
        """Acknowledge messages of one topic."""
        return self._ack(_claims(messages))

    def ack_offsets(self, topic: str, *offsets: int, up_to: int | None = None) -> wire.AckAnswer:
        """Acknowledge messages by their offsets, as they were last handed over, or all `up_to` one."""
        return self._ack(_named(topic, offsets, up_to))

    def nack(self, *messages: Message, delay: float = 0.0) -> wire.NackAnswer:
        """Reject messages of one topic: they are handed over again, in `delay` seconds."""
        return self._nack(_claims(messages), delay)

    def nack_offsets(self, topic: str, *offsets: int, up_to: int | None = None, delay: float = 0.0) -> wire.NackAnswer:
        """Reject messages by their offsets, as they were last handed over, or all `up_to` one."""
        return self._nack(_named(topic, offsets, up_to), delay)

    def query_peers(self, topic: str) -> wire.QueryPeersAnswer:
        """Tell who is subscribed to a topic."""
        return self._caller.call("GET", "/query_peers", wire.QueryPeersAnswer, {"topic": topic})

    def topics(self, **page: Any) -> wire.TopicsAnswer:
        """List topics; `limit` and `after` name the page, `matching` and `order` what is in it."""
        return self._caller.call("GET", "/topics", wire.TopicsAnswer, page)

    def peers(self, **page: Any) -> wire.PeersAnswer:
        """List peers; `limit` and `after` name the page, `matching` what is in it."""
        return self._caller.call("GET", "/peers", wire.PeersAnswer, page)

    def subscriptions(self, **which: Any) -> wire.SubscriptionsAnswer:
        """Show how far subscribers are: those of a `topic`, of a `peer_id`, or the one of both; pages as topics."""
        return self._caller.call("GET", "/subscriptions", wire.SubscriptionsAnswer, which)

    def peek(self, topic: str, **bounds: Any) -> wire.MessagesAnswer:
        """Look at the last messages of a topic without taking them: up to `limit`, of up to `max_bytes`."""
        return self._caller.call("GET", "/messages", wire.MessagesAnswer, {"topic": topic, **bounds})

    def every_topic(self) -> Iterator[TopicView]:
        """All topics by name, page by page."""
        page = self.topics(limit=PAGE).topics
        while page:
            yield from page
            page = self.topics(limit=PAGE, after=page[-1].topic).topics if len(page) == PAGE else []

    def every_peer(self) -> Iterator[PeerView]:
        """All peers by id, page by page."""
        page = self.peers(limit=PAGE).peers
        while page:
            yield from page
            page = self.peers(limit=PAGE, after=page[-1].peer_id).peers if len(page) == PAGE else []

    def stats(self) -> wire.StatsAnswer:
        """Show the server's figures."""
        return self._caller.call("GET", "/stats", wire.StatsAnswer, {})

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
        if self._epoch is None:
            self.register()
        self.join(topic, **{**options, "ack": "explicit"})
        while True:
            try:
                yield from self._acknowledging(self.pull(topic, batch, wait, repeat=True).messages)
            except (PeerNotFound, NotSubscribed):
                self.rejoin(topic)
            except Unauthorized:
                if not self._has_own_token:
                    raise
                self.rejoin(topic)

    def _acknowledging(self, messages: list[Message]) -> Generator[Message, None, None]:
        try:
            while messages:
                yield messages[0]
                self.ack(messages[0])
                del messages[0]
        finally:
            if messages:
                with suppress(PeerbusError):  # their deadline does the same, later
                    self._nack(_claims(messages), repeat=False)

    def _forget_own_token(self) -> None:
        self._has_own_token = False
        self._caller.show(self._token)

    def _ack(self, claims: dict[str, Any]) -> wire.AckAnswer:
        answer = self._post("/ack_messages", wire.AckAnswer, claims)
        self._positions[answer.topic] = answer.resume_from
        return answer

    def _nack(self, claims: dict[str, Any], delay: float = 0.0, *, repeat: bool = True) -> wire.NackAnswer:
        answer = self._post("/nack_messages", wire.NackAnswer, {"delay": delay, **claims}, repeat=repeat)
        self._positions[answer.topic] = answer.resume_from
        return answer

    def _post(
        self, path: str, answer: type[AnswerT], fields: dict[str, Any], *, repeat: bool = True, wait: float = 0.0
    ) -> AnswerT:
        caller = {} if self.peer_id is None else {"peer_id": self.peer_id}
        return self._caller.call("POST", path, answer, caller | fields, repeat=repeat, wait=wait)


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


def _named(topic: str, offsets: Sequence[int], up_to: int | None) -> dict[str, Any]:
    return {"topic": topic, "offsets": offsets} if up_to is None else {"topic": topic, "up_to": up_to}
