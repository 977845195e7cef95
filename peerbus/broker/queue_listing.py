"""Message queues as they are listed."""

import heapq
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Literal

from peerbus.broker.message_queue import MessageQueue
from peerbus.views import SubscriptionView

Order = Literal["name", "unread"]
"""How a listing goes: by name, or what is furthest behind first."""
PEERS_SHOWN = 10
"""Members of a group that are named."""


def listing(
    queues: Iterable[MessageQueue], name: Callable[[MessageQueue], str], limit: int, after: str, order: Order
) -> list[SubscriptionView]:
    """The first `limit` of the queues whose `name` comes after `after`, as they stand."""
    found = (queue for queue in queues if name(queue) > after)
    if order == "name":
        return [_view(queue) for queue in heapq.nsmallest(limit, found, key=name)]
    return [_view(queue) for queue in heapq.nlargest(limit, found, key=_behind)]


def _behind(queue: MessageQueue) -> int:
    return queue.topic.end - queue.position


def _view(queue: MessageQueue) -> SubscriptionView:
    options = queue.options
    return SubscriptionView(
        topic=queue.topic.name,
        queue=queue.name,
        group=queue.group,
        peers=list(islice(queue.members, PEERS_SHOWN)),
        members=len(queue.members),
        ack="explicit" if options.explicit else "auto",
        ack_deadline=options.ack_deadline if options.explicit else None,
        max_attempts=options.max_attempts,
        dead_letter_topic=options.dead_letter_topic,
        next_offset=queue.cursor,
        resume_from=queue.position,
        unread=queue.unread,
        unacknowledged=len(queue.unacknowledged.deliveries),
        missed=queue.missed,
    )
