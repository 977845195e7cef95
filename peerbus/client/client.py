"""The Python client: one method for each call, typed answers, and the server's own errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import uuid4

from msgspec import UNSET

from peerbus.client.following import Following, OnMissed
from peerbus.client.heartbeat import Heartbeat
from peerbus.client.messages import Message, Pulled, claims_at, claims_of, pulled
from peerbus.client.session import AnswerT, Session
from peerbus.errors import NotSubscribed, PeerNotFound, TopicNotFound, Unauthorized
from peerbus.wire import protocol as wire
from peerbus.wire.views import PeerView, ScheduledView, SubscriptionView, TopicView

Start = Literal["latest", "earliest"] | int
ViewT = TypeVar("ViewT")

PAGE = 1000
"""Entries in one page of a listing, at most."""
TOPIC_PAUSE_SECONDS = 1.0
"""Pause between two attempts to rejoin a topic that a restarted server does not have yet."""


class Client:
    """Makes the calls of one peer to an indexing server, or to its peer node; each thread needs its own client.

    At a peer node the `peer_id` may be left out: the node fills it in.

    Every error of the server is raised as its class in `peerbus.errors`. `IndexUnreachable` and `IndexTimeout` are
    raised as well if this client cannot reach the server, or gets no answer in time. Idempotent calls are repeated
    for up to `patience` seconds after such a failure, and all calls after errors that say when to retry, such as a
    server without room. The pauses between them grow, are drawn at random ("full jitter", Marc Brooker, AWS
    Architecture Blog, 2015), and are never shorter than the server's Retry-After.

    Values that JSON cannot hold as they are, such as NaN, bytes, or keys that are no strings, raise `ValueError` or
    `TypeError`, and nothing is sent; a tuple becomes an array. A process that was forked connects by itself.
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
        """`timeout` is how long an answer may take, in seconds, in addition to the wait of a pull.

        `ca` is a PEM file of the authorities to trust for https, in place of those that requests trusts. `token` is
        sent with every call, until the server gives the peer its own. Raises `ValueError` for a malformed URL.
        """
        self.peer_id = peer_id
        self._session = Session(url, timeout, patience, token, ca)
        self._connect_another = partial(Client, url, timeout=timeout, patience=0.0, ca=ca)
        self._token = token
        self._has_own_token = False
        self._registered: dict[str, Any] = {}
        self._epoch: str | None = None
        self._options: dict[str, dict[str, Any]] = {}
        """The options of each subscription, by topic."""
        self._followings: list[Following] = []
        """The loops over `messages` that go on."""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

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
            self._session.show(answer.token)
        self._registered, self._epoch, self.peer_id = fields, answer.epoch, answer.peer_id
        return answer

    def unregister(self, *, keep: bool = False) -> wire.UnregisterAnswer:
        """Unregister the peer, whose own queues end; with `keep` they stand, for a time, until it comes back."""
        answer = self._post("/unregister_peer_node", wire.UnregisterAnswer, {"keep": keep}, repeat=keep)
        self._forget_own_token()
        return answer

    def create_topic(self, topic: str, **options: Any) -> wire.CreateTopicAnswer:
        """Create a topic; options are `max_messages`, `overflow`, `max_age` and `history`."""
        return self._session.call("POST", "/create_topic", wire.CreateTopicAnswer, {"topic": topic, **options})

    def create_topics(self, topics: Sequence[str], **options: Any) -> wire.CreateTopicsAnswer:
        """Create up to 100,000 topics with the same options, as in `create_topic`; none if one is refused."""
        fields = {"topics": topics, **options}
        return self._session.call("POST", "/create_topics", wire.CreateTopicsAnswer, fields)

    def delete_topic(self, topic: str) -> wire.DeleteTopicAnswer:
        """Delete a topic."""
        return self._session.call("DELETE", "/delete_topic", wire.DeleteTopicAnswer, {"topic": topic}, repeat=False)

    def publish(
        self,
        topic: str,
        message: Any,
        message_id: str | None = None,
        *,
        delay: float | None = None,
        at: float | None = None,
    ) -> wire.PublishAnswer:
        """Publish a message: now, in `delay` seconds, or `at` a time in seconds since 1970.

        The call may be repeated safely, since the message gets a `message_id` if it has none.
        """
        return self._publish({"topic": topic, "message": message}, message_id, delay, at)

    def publish_batch(
        self,
        topic: str,
        messages: Sequence[Any],
        message_id: str | None = None,
        *,
        delay: float | None = None,
        at: float | None = None,
    ) -> wire.PublishAnswer:
        """Publish all of `messages`, or none; the batch has one `message_id`, and one `delay` or time `at`."""
        return self._publish({"topic": topic, "messages": messages}, message_id, delay, at)

    def scheduled(self, topic: str, **page: Any) -> wire.ScheduledAnswer:
        """List a page of the messages that are published later; options are `limit` and `after`, a page's `next`."""
        return self._session.call("GET", "/scheduled", wire.ScheduledAnswer, {"topic": topic, **page})

    def cancel_scheduled(self, topic: str, *ids: int) -> wire.CancelScheduledAnswer:
        """Cancel messages that are published later, by the ids that `publish` answered as `scheduled`."""
        fields = {"topic": topic, "ids": ids}
        return self._post("/cancel_scheduled", wire.CancelScheduledAnswer, fields, repeat=False)

    def subscribe(self, topic: str, start: Start | None = None, **options: Any) -> wire.SubscribeAnswer:
        """Subscribe to a topic, or change the subscription; options are those of the call, such as `ack` and `group`.

        A new message queue begins at `start`; one that stands keeps its position, see `seek`.
        """
        begin = {} if start is None else {"from": start}
        answer = self._post("/subscribe", wire.SubscribeAnswer, {"topic": topic, **begin, **options})
        self._options[topic] = self._options.get(topic, {}) | options
        return answer

    def rejoin(self, topic: str) -> None:
        """Register and subscribe again as before, after the server lost this peer or its subscription.

        The message queue continues where it stood. One that is gone begins anew with the oldest message kept. If the
        server lost its state, this waits until the topic exists again.
        """
        epoch = self._epoch
        restarted = self.register().epoch != epoch
        while True:
            try:
                self.subscribe(topic, "earliest", **self._options[topic])
                return
            except TopicNotFound:
                if not restarted:
                    raise
                time.sleep(TOPIC_PAUSE_SECONDS)

    def seek(self, topic: str, to: Start | None = None, *, time: float | None = None) -> wire.SeekAnswer:
        """Move the message queue, that of a group for all its members: to an offset, the oldest or the next message.

        Or to the first message published at or after a `time`, in seconds since 1970.
        """
        return self._post("/seek", wire.SeekAnswer, {"topic": topic, "to": to if time is None else {"time": time}})

    def unsubscribe(self, topic: str, *, end: bool = False) -> wire.UnsubscribeAnswer:
        """End the subscription to a topic; with `end` the message queue of its group ends, too."""
        return self._post("/unsubscribe", wire.UnsubscribeAnswer, {"topic": topic, "end": end}, repeat=False)

    def end_group(self, topic: str, group: str) -> wire.UnsubscribeAnswer:
        """End the message queue of a group on a topic, which this peer need not be a member of."""
        fields = {"topic": topic, "group": group, "end": True}
        return self._session.call("POST", "/unsubscribe", wire.UnsubscribeAnswer, fields, repeat=False)

    def pull(
        self,
        topic: str,
        max_messages: int = 1000,
        wait: float = 0.0,
        *,
        repeat: bool = False,
        raw: bool = False,
        details: bool = False,
    ) -> Pulled:
        """Pull up to `max_messages`, waiting up to `wait` seconds for the first; `raw` values are left as JSON.

        With `details`, messages have their publisher and their time. With `repeat` the call is made again if its
        answer was lost, which loses messages unless they have to be acknowledged.
        """
        fields = {"topic": topic, "max_messages": max_messages, "wait": wait} | _details(details)
        answer = self._post("/pull_messages", wire.PullAnswer, fields, repeat=repeat, wait=wait)
        return pulled(topic, answer, raw=raw)

    def ack(self, *messages: Message) -> wire.AckAnswer:
        """Acknowledge messages of one topic."""
        return self._ack(claims_of(messages))

    def ack_offsets(self, topic: str, *offsets: int, up_to: int | None = None) -> wire.AckAnswer:
        """Acknowledge the last deliveries of messages, by their offsets, or of all `up_to` an offset."""
        return self._ack(claims_at(topic, offsets, up_to))

    def nack(
        self, *messages: Message, delay: float = 0.0, attempted: bool = True, repeat: bool = True
    ) -> wire.NackAnswer:
        """Reject messages of one topic: they are redelivered in `delay` seconds.

        Unless `attempted`, they are handed back untouched: this delivery does not count as an attempt. Without
        `repeat` the call is not made again if its answer was lost.
        """
        return self._nack(claims_of(messages), delay, attempted=attempted, repeat=repeat)

    def nack_offsets(
        self, topic: str, *offsets: int, up_to: int | None = None, delay: float = 0.0, attempted: bool = True
    ) -> wire.NackAnswer:
        """Reject the last deliveries of messages, by their offsets, or of all `up_to` an offset."""
        return self._nack(claims_at(topic, offsets, up_to), delay, attempted=attempted)

    def extend(self, *messages: Message, seconds: float) -> wire.ExtendAnswer:
        """Extend the deadline of messages of one topic: they must be acknowledged within `seconds` from now."""
        return self._extend(claims_of(messages), seconds)

    def extend_offsets(self, topic: str, *offsets: int, up_to: int | None = None, seconds: float) -> wire.ExtendAnswer:
        """Extend the deadline of the last deliveries of messages, by their offsets, or of all `up_to` an offset."""
        return self._extend(claims_at(topic, offsets, up_to), seconds)

    def redrive(self, topic: str, *offsets: int, to: str | None = None) -> wire.RedriveAnswer:
        """Publish the messages of dead letters again, all of them where no offsets are named, and acknowledge these.

        They go to the topic `to`, by default to the topics that they came from.
        """
        which: dict[str, Any] = {"offsets": offsets} if offsets else {"all": True}
        fields = {"topic": topic, **which} | ({} if to is None else {"to": to})
        return self._post("/redrive", wire.RedriveAnswer, fields, repeat=False)

    def query_peers(self, topic: str) -> wire.QueryPeersAnswer:
        """List the subscribers of a topic, and their addresses."""
        return self._session.call("GET", "/query_peers", wire.QueryPeersAnswer, {"topic": topic})

    def topics(self, **page: Any) -> wire.TopicsAnswer:
        """List a page of topics; options are `limit`, `after`, `matching` and `order`."""
        return self._session.call("GET", "/topics", wire.TopicsAnswer, page)

    def peers(self, **page: Any) -> wire.PeersAnswer:
        """List a page of peers; options are `limit`, `after` and `matching`."""
        return self._session.call("GET", "/peers", wire.PeersAnswer, page)

    def subscriptions(self, **which: Any) -> wire.SubscriptionsAnswer:
        """List message queues: those of a `topic`, of a `peer_id`, or the one of both, in pages like topics."""
        return self._session.call("GET", "/subscriptions", wire.SubscriptionsAnswer, which)

    def in_flight(self, topic: str, **which: Any) -> wire.InFlightAnswer:
        """List the messages in flight in the queue of a `group`, or of a `peer_id`; pages by `limit` and `after`."""
        return self._session.call("GET", "/in_flight", wire.InFlightAnswer, {"topic": topic, **which})

    def peek(
        self, topic: str, start: int | None = None, *, details: bool = False, **bounds: Any
    ) -> wire.MessagesAnswer:
        """Show the last messages of a topic, or those from the offset `start` on, without taking them.

        Up to `limit`, of up to `max_bytes` together; with `details`, also their publishers and times.
        """
        begin = {} if start is None else {"from": start}
        fields = {"topic": topic, **begin, **_details(details), **bounds}
        return self._session.call("GET", "/messages", wire.MessagesAnswer, fields)

    def every_topic(self, after: str = "") -> Iterator[TopicView]:
        """All topics by name that come `after` one; a page is fetched when the one before it is used up."""
        return _pages(lambda after: self.topics(limit=PAGE, after=after).topics, lambda topic: topic.topic, after)

    def every_queue(self, topic: str) -> Iterator[SubscriptionView]:
        """All message queues of a topic by name; a page is fetched when the one before it is used up."""
        return _pages(
            lambda after: self.subscriptions(topic=topic, limit=PAGE, after=after).subscriptions,
            lambda queue: queue.queue,
        )

    def every_peer(self) -> Iterator[PeerView]:
        """All peers by id; a page is fetched when the one before it is used up."""
        return _pages(lambda after: self.peers(limit=PAGE, after=after).peers, lambda peer: peer.peer_id)

    def every_scheduled(self, topic: str) -> Iterator[ScheduledView]:
        """All messages that are published later, by due time; a page is fetched when the one before it is used up."""
        after: str | None = None
        while True:
            page = self.scheduled(topic, limit=PAGE, after=after)
            yield from page.scheduled
            if page.next is None:
                return
            after = page.next

    def stats(self) -> wire.StatsAnswer:
        """Show the server's totals since its start, and its present figures."""
        return self._session.call("GET", "/stats", wire.StatsAnswer, {})

    def messages(
        self,
        topic: str,
        *,
        batch: int = 1,
        wait: float = 20.0,
        on_missed: OnMissed | None = None,
        **options: Any,
    ) -> Generator[Message, None, None]:
        """Follow a topic for ever; asking for the next message acknowledges the one before.

        Subscribes with explicit acknowledgement, and pulls up to `batch` messages at once, waiting up to `wait`
        seconds; `options` are those of `subscribe`. While the loop has messages in hand, a thread extends their
        deadline and renews the lease, so that work on a message may take any time. A message that the loop settles
        itself, by `ack` or `nack` of this client, is left as it is.

        When the loop ends, the current message is rejected, and the rest of its batch handed back untouched. This
        holds for a `break` as well as for an exception: to leave the loop with a message that is done, acknowledge it
        first. Lost messages are passed to `on_missed`, or else are a `MissedWarning`. A subscription that the server
        lost is made again as `rejoin` says. Raises `TopicDeleted` when the topic is deleted.
        """
        self.register()  # also if it was registered: its lease may have run out since
        self.subscribe(topic, **{**options, "ack": "explicit"})
        lease_seconds = self._registered.get("lease_seconds")
        following = Following(self, Heartbeat(self._another), topic, lease_seconds, on_missed)
        self._followings.append(following)
        try:
            while True:
                try:
                    yield from following.work_on(self.pull(topic, batch, wait, repeat=True))
                except (PeerNotFound, NotSubscribed):
                    self.rejoin(topic)
                except Unauthorized:
                    if not self._has_own_token:
                        raise
                    self.rejoin(topic)
        finally:
            self._followings.remove(following)
            following.end()

    def _another(self) -> Client:
        """A client of the same peer for another thread; it repeats no calls."""
        return self._connect_another(self.peer_id, token=self._session.token)

    def _let_go(self, claims: dict[str, Any]) -> None:
        """Let no loop hold messages any longer that the fields of a call settle."""
        for following in self._followings:
            following.release(claims)

    def _forget_own_token(self) -> None:
        self._has_own_token = False
        self._session.show(self._token)

    def _publish(
        self, fields: dict[str, Any], message_id: str | None, delay: float | None, at: float | None
    ) -> wire.PublishAnswer:
        later = {name: value for name, value in (("delay", delay), ("at", at)) if value is not None}
        named = {"message_id": message_id or uuid4().hex}
        return self._post("/publish", wire.PublishAnswer, fields | named | later)

    def _ack(self, claims: dict[str, Any]) -> wire.AckAnswer:
        answer = self._post("/ack_messages", wire.AckAnswer, claims)
        self._let_go(claims)
        return answer

    def _extend(self, claims: dict[str, Any], seconds: float) -> wire.ExtendAnswer:
        return self._post("/extend_messages", wire.ExtendAnswer, {"seconds": seconds, **claims})

    def _nack(
        self, claims: dict[str, Any], delay: float = 0.0, *, attempted: bool = True, repeat: bool = True
    ) -> wire.NackAnswer:
        self._let_go(claims)  # first: a later beat would take the messages in hand again
        fields = {"delay": delay, "attempted": attempted, **claims}
        return self._post("/nack_messages", wire.NackAnswer, fields, repeat=repeat)

    def _post(
        self, path: str, answer: type[AnswerT], fields: dict[str, Any], *, repeat: bool = True, wait: float = 0.0
    ) -> AnswerT:
        caller = {} if self.peer_id is None else {"peer_id": self.peer_id}
        return self._session.call("POST", path, answer, caller | fields, repeat=repeat, wait=wait)


def _details(details: bool) -> dict[str, Any]:
    return {"details": True} if details else {}


def _pages(
    page_after: Callable[[str], Sequence[ViewT]], name_of: Callable[[ViewT], str], after: str = ""
) -> Iterator[ViewT]:
    """The entries of a listing, which is asked for page by page; `name_of` an entry is where the next page begins."""
    full = True
    while full:
        page = page_after(after)
        yield from page
        full = len(page) == PAGE
        after = name_of(page[-1]) if full else ""
