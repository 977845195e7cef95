"""What the indexing server shows of its peers, topics, subscriptions and messages, in pages.

One look at the broker costs what it shows; who searches or ranks takes as many looks as there are pages, so that
nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import nlargest
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from msgspec import Raw

from peerbus.errors import BadRequest
from peerbus.wire import protocol as wire
from peerbus.wire.words import counted

if TYPE_CHECKING:
    from peerbus.broker import Overview

T = TypeVar("T")
PAGE = 1000
"""Entries of one look."""


def topics(broker: Overview, r: wire.TopicsRequest) -> wire.TopicsAnswer:
    """List topics."""
    if r.order == "name" and not r.matching:
        page = broker.list_topics(r.limit, r.after)
    else:
        every = _every(broker.list_topics, lambda topic: topic.topic, r.after)
        found = (topic for topic in every if r.matching in topic.topic)
        if r.order == "name":
            page = list(islice(found, r.limit))
        else:
            page = nlargest(r.limit, found, key=lambda topic: (topic.unread, topic.next_offset))
    return wire.TopicsAnswer(message=f"{counted(len(page), 'topic')}.", topics=page)


def peers(broker: Overview, r: wire.PeersRequest) -> wire.PeersAnswer:
    """List peers by id."""
    if r.matching:
        every = _every(broker.list_peers, lambda peer: peer.peer_id, r.after)
        page = list(islice((peer for peer in every if r.matching in peer.peer_id), r.limit))
    else:
        page = broker.list_peers(r.limit, r.after)
    return wire.PeersAnswer(message=f"{counted(len(page), 'peer')}.", peers=page)


def subscriptions(broker: Overview, r: wire.SubscriptionsRequest) -> wire.SubscriptionsAnswer:
    """Show how far the subscribers of a topic are, or one peer."""
    if r.topic is None and r.peer_id is None:
        raise BadRequest("Object missing required field topic (or peer_id) - at $")
    page = broker.list_subscriptions(r.limit, r.after, topic=r.topic, peer_id=r.peer_id, order=r.order)
    return wire.SubscriptionsAnswer(message=f"{counted(len(page), 'message queue')}.", subscriptions=page)


def messages(broker: Overview, r: wire.MessagesRequest) -> wire.MessagesAnswer:
    """Show the last messages of a topic, without taking them."""
    done = broker.peek(r.topic, r.limit, r.max_bytes)
    return wire.MessagesAnswer(
        message=f"The last {counted(len(done.values), 'message')} of topic '{r.topic}'.",
        topic=r.topic,
        messages=Raw(b"[" + b",".join(done.values) + b"]"),
        offsets=list(range(done.first, done.first + len(done.values))),
        first_offset=done.start,
    )


def _every(look: Callable[[int, str], list[T]], name: Callable[[T], str], after: str) -> Iterator[T]:
    while page := look(PAGE, after):
        yield from page
        after = name(page[-1])
