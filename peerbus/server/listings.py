"""Pages of the peers, topics, subscriptions and messages that an indexing server holds.

A page by name costs as much as its entries. A search or a ranking goes through everything, in steps of a few
milliseconds, each of which is atomic.
"""

from collections.abc import Callable, Iterable, Iterator
from heapq import nlargest
from typing import Any, TypeVar

from msgspec import UNSET, Raw

from peerbus.broker import Overview
from peerbus.errors import BadRequest
from peerbus.http.event_loop import Steps
from peerbus.http.handler import Handover
from peerbus.wire import protocol as wire
from peerbus.wire.views import PeerView, SubscriptionView, TopicView
from peerbus.wire.words import counted

T = TypeVar("T")
NO_MESSAGES = Raw(b"[]")
"""Placeholder in an answer; its messages are sent without a copy."""
ENTRIES_AT_ONCE = 500
"""Entries of one step."""
NAMES_AT_ONCE = 5000
"""Names of one step."""


def topics(broker: Overview, r: wire.TopicsRequest) -> wire.Answer | Steps[wire.Answer]:
    """List topics."""

    def answer(page: list[TopicView]) -> wire.Answer:
        return wire.TopicsAnswer(message=f"{counted(len(page), 'topic')}.", topics=page)

    if r.order == "name" and not r.matching:
        return answer(broker.list_topics(r.limit, r.after))
    pages = _pages(broker.list_topics, lambda topic: topic.topic, r.after)
    matching = ([topic for topic in page if r.matching in topic.topic] for page in pages)
    return _found(matching, r.limit, None if r.order == "name" else _topic_rank, answer)


def peers(broker: Overview, r: wire.PeersRequest) -> wire.Answer | Steps[wire.Answer]:
    """List peers by id."""

    def answer(page: list[PeerView]) -> wire.Answer:
        return wire.PeersAnswer(message=f"{counted(len(page), 'peer')}.", peers=page)

    if not r.matching:
        return answer(broker.list_peers(r.limit, r.after))
    pages = _pages(broker.list_peers, lambda peer: peer.peer_id, r.after)
    return _found(([peer for peer in page if r.matching in peer.peer_id] for page in pages), r.limit, None, answer)


def subscriptions(broker: Overview, r: wire.SubscriptionsRequest) -> wire.Answer | Steps[wire.Answer]:
    """Show the positions of the subscribers of a topic, or of one peer."""
    if r.topic is None and r.peer_id is None:
        raise BadRequest("Object missing required field topic (or peer_id) - at $")
    return _subscriptions(broker, r)


def in_flight(broker: Overview, r: wire.InFlightRequest) -> wire.InFlightAnswer:
    """List the messages in flight in a message queue."""
    if r.group is None and r.peer_id is None:
        raise BadRequest("Object missing required field group (or peer_id) - at $")
    after = -1 if r.after is None else r.after
    found = broker.in_flight(r.topic, r.limit, after, group=r.group, peer_id=r.peer_id)
    return wire.InFlightAnswer(f"{counted(len(found), 'message')} in flight.", r.topic, found)


def messages(broker: Overview, r: wire.MessagesRequest) -> Handover:
    """Show the last messages of a topic, or those from an offset on, without taking them."""
    done = broker.peek(r.topic, r.limit, r.max_bytes, r.start, details=r.details)
    count = counted(len(done.values), "message")
    last, since = ("The last ", "") if r.start is None else ("", f" from offset {done.first} on")
    answer = wire.MessagesAnswer(
        message=f"{last}{count} of topic '{r.topic}'{since}.",
        topic=r.topic,
        messages=NO_MESSAGES,
        offsets=list(range(done.first, done.first + len(done.values))),
        first_offset=done.start,
        publishers=done.details.publishers if done.details else UNSET,
        published_at=done.details.published_at if done.details else UNSET,
    )
    return Handover(answer, done.values)


def scheduled(broker: Overview, r: wire.ScheduledRequest) -> wire.ScheduledAnswer:
    """List the messages of a topic that are published later."""
    page = broker.list_scheduled(r.topic, r.limit, r.place)
    count = counted(sum(entry.count for entry in page.entries), "message")
    return wire.ScheduledAnswer(
        message=f"{count} scheduled for topic '{r.topic}'" + (", and more." if page.next else "."),
        topic=r.topic,
        scheduled=page.entries,
        next=page.next and "{}-{}".format(*page.next),
    )


def _subscriptions(broker: Overview, r: wire.SubscriptionsRequest) -> Steps[wire.Answer]:
    look: Callable[[Iterable[str]], list[SubscriptionView]]
    if r.peer_id is None:
        topic = str(r.topic)
        names = broker.queue_names(topic)

        def look(some: Iterable[str]) -> list[SubscriptionView]:
            return broker.queue_views(topic, some)
    else:
        peer_id = r.peer_id
        if r.topic is not None:
            broker.topic_creator(r.topic)  # raises `TopicNotFound`
        names = [name for name in broker.subscribed_topics(peer_id) if r.topic in (None, name)]

        def look(some: Iterable[str]) -> list[SubscriptionView]:
            return broker.subscription_views(peer_id, some)

    if r.order == "name":
        names = yield from _first(names, r.limit, r.after)
    views = (look(some) for some in _slices([name for name in names if name > r.after], ENTRIES_AT_ONCE))
    rank = None if r.order == "name" else _subscription_rank
    return (yield from _found(views, r.limit, rank, _subscriptions_answer))


def _subscriptions_answer(page: list[SubscriptionView]) -> wire.Answer:
    return wire.SubscriptionsAnswer(message=f"{counted(len(page), 'message queue')}.", subscriptions=page)


def _topic_rank(topic: TopicView) -> Any:
    return topic.unread, topic.next_offset


def _subscription_rank(subscription: SubscriptionView) -> Any:
    return subscription.unread


def _found(
    pages: Iterator[list[T]], limit: int, rank: Callable[[T], Any] | None, answer: Callable[[list[T]], wire.Answer]
) -> Steps[wire.Answer]:
    """The first `limit` entries of all pages, or those of the highest `rank`; one step a page."""
    found: list[T] = []
    for page in pages:
        found = nlargest(limit, [*found, *page], key=rank) if rank else found + page
        if rank is None and len(found) >= limit:
            break
        yield
    return answer(found[:limit])


def _first(names: list[str], limit: int, after: str) -> Steps[list[str]]:
    """The first `limit` names behind `after`, in order."""
    found: list[str] = []
    for some in _slices(names, NAMES_AT_ONCE):
        found = sorted([*found, *(name for name in some if name > after)])[:limit]
        yield
    return found


def _slices(names: list[str], size: int) -> Iterator[list[str]]:
    return (names[begin : begin + size] for begin in range(0, len(names), size))


def _pages(look: Callable[[int, str], list[T]], name: Callable[[T], str], after: str) -> Iterator[list[T]]:
    while page := look(ENTRIES_AT_ONCE, after):
        yield page
        after = name(page[-1])
