"""Pages of the peers, topics, subscriptions and messages that an indexing server holds.

A page by name costs as much as its entries. A search or a ranking goes through everything, in steps of a few
milliseconds, each of which is atomic.
"""

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter, itemgetter
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
BACKLOGS_AT_ONCE = 2000
"""Backlogs of one step."""
NAMES_AT_ONCE = 5000
"""Names of one step."""


def topics(broker: Overview, r: wire.TopicsRequest) -> wire.Answer | Steps[wire.Answer]:
    """List topics."""
    if r.order == "name" and not r.matching:
        return _topics_answer(broker.list_topics(r.limit, r.after))
    return _topics(broker, r)


def peers(broker: Overview, r: wire.PeersRequest) -> wire.Answer | Steps[wire.Answer]:
    """List peers by id."""
    return _peers(broker, r) if r.matching else _peers_answer(broker.list_peers(r.limit, r.after))


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


def _topics(broker: Overview, r: wire.TopicsRequest) -> Steps[wire.Answer]:
    """Find the topics of a page by name or backlog; views, which cost ten times as much, are made of those alone."""
    if r.order == "name":
        pages = _pages(broker.topic_names, NAMES_AT_ONCE, r.after, str)
        names = yield from _found(([name for name in page if r.matching in name] for page in pages), r.limit)
    else:
        backlogs = _pages(lambda *page: [*broker.backlogs(*page).items()], BACKLOGS_AT_ONCE, r.after, itemgetter(0))
        ranked = ([entry for entry in page if r.matching in entry[0]] for page in backlogs)
        names = [name for name, _ in (yield from _found(ranked, r.limit, itemgetter(1)))]
    return _topics_answer(broker.topic_views(names))


def _topics_answer(page: list[TopicView]) -> wire.Answer:
    return wire.TopicsAnswer(message=f"{counted(len(page), 'topic')}.", topics=page)


def _peers(broker: Overview, r: wire.PeersRequest) -> Steps[wire.Answer]:
    pages = _pages(broker.list_peers, ENTRIES_AT_ONCE, r.after, attrgetter("peer_id"))
    matching = ([peer for peer in page if r.matching in peer.peer_id] for page in pages)
    return _peers_answer((yield from _found(matching, r.limit)))


def _peers_answer(page: list[PeerView]) -> wire.Answer:
    return wire.PeersAnswer(message=f"{counted(len(page), 'peer')}.", peers=page)


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
    page = yield from _found(views, r.limit, rank)
    return wire.SubscriptionsAnswer(message=f"{counted(len(page), 'message queue')}.", subscriptions=page)


def _subscription_rank(subscription: SubscriptionView) -> Any:
    return subscription.unread


def _found(pages: Iterator[list[T]], limit: int, rank: Callable[[T], Any] | None = None) -> Steps[list[T]]:
    """The first `limit` entries of all pages, or those of the highest `rank`; one step a page."""
    found: list[T] = []
    for page in pages:
        found = sorted([*found, *page], key=rank, reverse=True)[:limit] if rank else found + page
        if rank is None and len(found) >= limit:
            break
        yield
    return found[:limit]


def _first(names: list[str], limit: int, after: str) -> Steps[list[str]]:
    """The first `limit` names behind `after`, in order."""
    found: list[str] = []
    for some in _slices(names, NAMES_AT_ONCE):
        found = sorted([*found, *(name for name in some if name > after)])[:limit]
        yield
    return found


def _slices(names: list[str], size: int) -> Iterator[list[str]]:
    return (names[begin : begin + size] for begin in range(0, len(names), size))


def _pages(
    look: Callable[[int, str], list[T]], at_once: int, after: str, name: Callable[[T], str]
) -> Iterator[list[T]]:
    while page := look(at_once, after):
        yield page
        after = name(page[-1])
