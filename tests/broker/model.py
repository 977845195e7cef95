"""A naive broker: it keeps every message for ever, scans instead of indexing, and shares nothing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from peerbus.broker import Limits

NEVER = float("inf")
BEFORE_ALL = float("-inf")
WALL = 1e9
"""What the wall clock is ahead of the tests' own."""


@dataclass
class Handed:
    """A message that was handed over and is not acknowledged; without a `due` it is to be redelivered."""

    member: str
    attempt: int
    due: float | None
    order: int
    first: float
    since: float
    problem: str = "not acknowledged in time"
    untouched: bool = False
    """It was handed back as if it had never been delivered."""


@dataclass
class Queue:
    """What one group has of a topic."""

    number: int
    cursor: int
    started: int
    group: str | None
    explicit: bool = False
    ack_deadline: float = 30.0
    max_attempts: int | None = None
    dead_letter_topic: str | None = None
    expires_after: float | None = None
    left_at: float | None = None
    stands_until: float = BEFORE_ALL
    members: list[str] = field(default_factory=list)
    handed: dict[int, Handed] = field(default_factory=dict)
    dropped: int = 0
    mixed: list[int] = field(default_factory=list)
    """The messages of the last pull, if pulling acknowledges and some were handed over again."""

    @property
    def position(self) -> int:
        return min([*self.handed, self.cursor])

    def count_of(self, member: str) -> int:
        """How many messages a member has that are neither settled, rejected nor overdue."""
        held = [handed for handed in self.handed.values() if handed.member == member and handed.due is not None]
        return sum(handed.problem == "not acknowledged in time" for handed in held)

    def again(self) -> list[int]:
        """Offsets to be redelivered, in the order they came back."""
        return sorted(
            (o for o, handed in self.handed.items() if handed.due is None), key=lambda o: self.handed[o].order
        )


@dataclass
class Later:
    """Messages that are published when they are due."""

    due: float
    number: int
    values: list[Any]
    message_id: str | None


@dataclass
class Topic:
    """Every message ever published, and who has read how far."""

    name: str
    max_messages: int
    overflow: str
    max_age: float | None
    values: list[Any] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    publishers: list[str | None] = field(default_factory=list)
    start: int = 0
    queues: list[Queue] = field(default_factory=list)
    later: list[Later] = field(default_factory=list)
    """In their order."""
    wake: float = NEVER
    """When the first of them is due, or tried again."""

    @property
    def scheduled(self) -> int:
        return sum(len(later.values) for later in self.later)

    @property
    def end(self) -> int:
        return len(self.values)

    @property
    def unread(self) -> int:
        return self.end - max(min([queue.position for queue in self.queues], default=self.end), self.start)

    def queue_of(self, peer: str) -> Queue | None:
        return next((queue for queue in self.queues if peer in queue.members), None)

    def unread_of(self, queue: Queue) -> int:
        new = self.end - max(queue.cursor, self.start)
        return new + sum(offset >= self.start for offset in queue.handed)

    def position(self, start: Any) -> int:
        return {"latest": self.end, "earliest": self.start}.get(
            start, min(start, self.end) if start in (0, 2, 1000) else 0
        )


class Model:
    """The broker's calls, each answering what the broker should, an error by its code."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.now = 1000.0
        self.order = 0
        self.discarded = 0
        self.joined: dict[tuple[str, str], int] = {}
        self.leases: dict[str, float | None] = {}
        """Of the peers that are there."""
        self.away: dict[str, tuple[float | None, float]] = {}
        """The lease of each peer that is away, and since when."""
        self.expiries: dict[str, float] = {}
        """In the order in which the leases were renewed: of those that end together, the first renewed ends first."""
        self.told: dict[str, set[str]] = {}
        self.topics: dict[str, Topic] = {}
        self.last_scheduled = 0
        self.resumed = BEFORE_ALL
        """When the last standstill ended."""

    def alive(self, peer: str) -> bool:
        if peer in self.away:
            self.leases[peer], _ = self.away.pop(peer)
        lease = self.leases.get(peer)
        if lease is not None:
            self.expiries.pop(peer, None)
            self.expiries[peer] = self.now + lease
        return peer in self.leases

    def register(self, peer: str, lease: float | None) -> bool:
        created = peer not in self.leases
        if created and peer not in self.away:
            self.told[peer] = set()
        self.away.pop(peer, None)
        self.leases[peer] = lease
        self.expiries.pop(peer, None)
        self.alive(peer)
        return created

    def topics_of(self, peer: str) -> list[Topic]:
        """The topics that a peer is subscribed to, in the order in which it subscribed."""
        of_peer = [topic for topic in self.topics.values() if topic.queue_of(peer)]
        return sorted(of_peer, key=lambda topic: self.joined[peer, topic.name])

    def remove(self, peer: str) -> int:
        """Remove a peer, and say how many messages are discarded."""
        self.leases.pop(peer, None)
        self.away.pop(peer, None)
        self.expiries.pop(peer, None)
        return self.settled(self.topics_of(peer), lambda topic: self.leave(peer, topic))

    def settled(self, topics: list[Topic], leave: Callable[[Topic], int]) -> int:
        """Leave queues of these topics, and bring all of them up to date afterwards; returns the messages discarded."""
        discarded = sum(leave(topic) for topic in topics)
        for topic in topics:
            for queue in topic.queues:
                self.settle(topic, queue)
        return discarded

    def go_away(self, peer: str) -> int:
        """Let a peer's own queues stand without it, and let it leave its groups; returns the messages discarded."""
        if peer not in self.leases:
            return 0
        self.away[peer] = self.leases.pop(peer), self.now
        self.expiries.pop(peer, None)
        discarded = self.settled(self.topics_of(peer), lambda topic: self.let_stand_or_leave(peer, topic))
        self.forget(peer)
        return discarded

    def let_stand_or_leave(self, peer: str, topic: Topic) -> int:
        queue = topic.queue_of(peer)
        assert queue
        if queue.group is not None or not self.expires_after(queue):
            return self.leave(peer, topic)
        self.give_up(queue, peer)
        return 0

    def forget(self, peer: str) -> None:
        """Forget an away peer that has nothing to come back to."""
        if peer in self.away and not self.topics_of(peer) and not self.told[peer]:
            del self.away[peer]

    def expires_after(self, queue: Queue) -> float:
        default = self.limits.subscription_expiry if queue.group is None else self.limits.group_expiry
        return default if queue.expires_after is None else queue.expires_after

    def left_at(self, queue: Queue) -> float | None:
        """Since when no member of a queue is there."""
        if queue.group is None:
            return self.away[queue.members[0]][1] if queue.members[0] in self.away else None
        return queue.left_at

    def present(self, queue: Queue) -> int:
        """How many members of a queue are there."""
        return sum(member in self.leases for member in queue.members)

    def give_up(self, queue: Queue, peer: str) -> None:
        """What a peer has in flight is overdue."""
        held = [handed for handed in queue.handed.values() if handed.member == peer and handed.due is not None]
        for handed in sorted(held, key=lambda handed: handed.order):
            handed.due, handed.problem = BEFORE_ALL, "its peer left"
            handed.order = self.next_order()

    def leave(self, peer: str, topic: Topic) -> int:
        queue = topic.queue_of(peer)
        assert queue
        queue.members.remove(peer)
        if not queue.members and (queue.group is None or not self.expires_after(queue)):
            return self.close(topic, queue)
        if not queue.members:
            queue.left_at = self.now
        self.give_up(queue, peer)
        return 0

    def close(self, topic: Topic, queue: Queue) -> int:
        left = topic.unread_of(queue)
        topic.queues.remove(queue)
        self.free(topic)
        self.discarded += left
        return left

    def end_group(self, name: str, group: str) -> int | str:
        topic = self.topics.get(name)
        if topic is None:
            return "topic_not_found"
        self.age(topic)
        queue = next((queue for queue in topic.queues if queue.group == group), None)
        return "not_subscribed" if queue is None else self.close(topic, queue)

    def expire(self) -> set[tuple[str, str, int]]:
        """End the queues without members whose time has passed."""
        ended = set()
        for topic in self.topics.values():
            for queue in list(topic.queues):
                left_at = self.left_at(queue)
                expires_after = self.expires_after(queue)
                ends_at = max(queue.stands_until, (left_at or 0.0) + expires_after)
                ends_at = max(ends_at, self.resumed + min(expires_after, 3600.0))
                if left_at is not None and ends_at <= self.now:
                    name = queue.members[0] if queue.group is None else f"group {queue.group}"
                    ended.add((topic.name, name, self.close(topic, queue)))
                    for member in queue.members:
                        self.forget(member)
        return ended

    def next_order(self) -> int:
        self.order += 1
        return self.order

    def create(self, names: Sequence[str], max_messages: int, overflow: str, max_age: float | None) -> list[str] | str:
        for known in [self.topics[name] for name in names if name in self.topics]:
            if (known.max_messages, known.overflow) != (max_messages, overflow) or max_age not in (None, known.max_age):
                return "topic_exists"
        new = [name for name in names if name not in self.topics]
        self.topics.update((name, Topic(name, max_messages, overflow, max_age)) for name in new)
        return new

    def delete(self, name: str) -> int | str:
        topic = self.topics.get(name)
        if topic is None:
            return "topic_not_found"
        self.age(topic)
        del self.topics[name]
        for peer in (member for queue in topic.queues for member in queue.members):
            self.told[peer].add(name)
        self.discarded += topic.unread + topic.scheduled
        return topic.unread + topic.scheduled

    def publish(self, name: str, values: list[Any], publisher: str | None = None, kept: int | None = None) -> int | str:
        """Publish, beside messages for which room is `kept`: by default those scheduled."""
        topic = self.topics.get(name)
        if topic is None:
            return "topic_not_found"
        self.age(topic)
        if publisher is not None and not self.alive(publisher):
            return "peer_not_found"
        kept = topic.scheduled if kept is None else kept
        most = topic.max_messages - kept
        if topic.queues and topic.unread + len(values) > most:
            if topic.overflow == "reject" or (kept and len(values) > most):
                return "too_large" if len(values) > topic.max_messages else "topic_full"
            topic.start = max(topic.start, topic.end + len(values) - most)
        offset = topic.end
        topic.values += values
        topic.times += [self.now] * len(values)
        topic.publishers += [publisher] * len(values)
        self.free(topic)
        return offset

    def schedule(self, name: str, values: list[Any], delay: float, message_id: str | None = None) -> int | str:
        topic = self.topics.get(name)
        if topic is None:
            return "topic_not_found"
        self.age(topic)
        if topic.unread + topic.scheduled + len(values) > topic.max_messages:
            return "too_large" if len(values) > topic.max_messages else "topic_full"
        self.last_scheduled += 1
        topic.later.append(Later(self.now + delay, self.last_scheduled, values, message_id))
        topic.later.sort(key=lambda later: (later.due, later.number))
        topic.wake = min(topic.wake, self.now + delay)
        return self.last_scheduled

    def cancel(self, name: str, numbers: list[int]) -> tuple[int, list[int]] | str:
        topic = self.topics.get(name)
        if topic is None:
            return "topic_not_found"
        self.age(topic)
        found = [later for later in topic.later if later.number in numbers]
        topic.later = [later for later in topic.later if later not in found]
        if not topic.later:
            topic.wake = NEVER
        unknown = [number for number in numbers if number not in [later.number for later in found]]
        return sum(len(later.values) for later in found), unknown

    def publish_due(self) -> None:
        for topic in self.topics.values():
            while topic.wake <= self.now:
                later = topic.later[0]
                offset = self.publish(topic.name, later.values, kept=0) if later.due <= self.now else None
                if isinstance(offset, str):
                    topic.wake = self.now + 1.0
                    break
                if offset is not None:
                    del topic.later[0]
                    self.was_published(topic, later, offset)
                topic.wake = topic.later[0].due if topic.later else NEVER

    def was_published(self, topic: Topic, later: Later, offset: int) -> None:
        """Messages that were scheduled have an offset now."""

    def free(self, topic: Topic) -> None:
        pulled = topic.end - topic.unread
        topic.start = max(topic.start, pulled - min(self.limits.history, topic.max_messages))

    def age(self, topic: Topic) -> None:
        """Drop what is too old."""
        if topic.max_age is not None:
            fresh = [o for o, time in enumerate(topic.times) if time + topic.max_age > self.now]
            topic.start = max(topic.start, min(fresh, default=topic.end))
            self.free(topic)

    def settle(self, topic: Topic, queue: Queue) -> None:
        """Take back what is overdue, and bury what of it is exhausted."""
        overdue = [o for o, handed in queue.handed.items() if handed.due is not None and handed.due <= self.now]
        again = [o for o in overdue if self.is_granted_again(queue, queue.handed[o])]
        for offset in sorted(again, key=lambda o: (queue.handed[o].due, queue.handed[o].order)):
            handed = queue.handed[offset]
            handed.due, handed.order = self.resumed + queue.ack_deadline, self.next_order()
        overdue = [offset for offset in overdue if offset not in again]
        for offset in sorted(overdue, key=lambda o: (queue.handed[o].due, queue.handed[o].order)):
            handed = queue.handed[offset]
            if offset < topic.start:
                del queue.handed[offset]
                queue.dropped += 1
            elif queue.max_attempts is not None and handed.attempt >= queue.max_attempts and not handed.untouched:
                self.bury(topic, queue, offset)
            else:
                handed.due, handed.order = None, self.next_order()
        self.free(topic)

    def is_granted_again(self, queue: Queue, handed: Handed) -> bool:
        """Whether a deadline passed because nobody could be heard."""
        is_waiting = handed.problem == "not acknowledged in time" and not handed.untouched and handed.due != BEFORE_ALL
        is_of_before = handed.since <= self.resumed and (handed.due or 0.0) <= self.resumed + 1.0
        return is_waiting and is_of_before and self.resumed + queue.ack_deadline > self.now

    def bury(self, topic: Topic, queue: Queue, offset: int) -> None:
        handed = queue.handed[offset]
        if queue.dead_letter_topic is None:
            queue.dropped += 1
        else:
            limit = self.limits.max_messages
            name = queue.dead_letter_topic
            dead = self.topics.setdefault(name, Topic(name, limit, "reject", None))
            if not any(other.group == "dead-letters" for other in dead.queues):
                keeper = Queue(self.next_order(), dead.end, dead.end, "dead-letters", True, expires_after=NEVER)
                keeper.left_at = self.now
                dead.queues.append(keeper)
            (publisher,), (published_at,) = self.details(topic.name, [offset])
            publisher = "the server" if isinstance(topic.values[offset], tuple) else publisher
            origin = topic.name, offset, handed.attempt, handed.member, handed.problem, publisher, published_at
            letter = topic.values[offset], *origin, handed.first + WALL, handed.since + WALL
            if isinstance(self.publish(queue.dead_letter_topic, [letter]), str):
                handed.due, handed.order = self.now + queue.ack_deadline, self.next_order()
                return
        del queue.handed[offset]

    def redrive(self, name: str, offsets: list[int] | None, to: str | None) -> Any:
        """Publish dead letters again, all of them or at these offsets; returns how many, stale and failed offsets."""
        topic = self.topics.get(name)
        if topic is None:
            return "topic_not_found"
        self.age(topic)
        queue = next((queue for queue in topic.queues if queue.group == "dead-letters"), None)
        if queue is None:
            return "bad_request"
        if offsets is None:
            new = range(max(queue.cursor, topic.start), self.seen_end(topic))
            offsets = [*sorted(offset for offset in queue.handed if offset >= topic.start), *new]
        count, stale, failed = 0, [], []
        for offset in offsets:
            is_there = topic.start <= offset < self.seen_end(topic)
            if not is_there or not (offset >= queue.cursor or offset in queue.handed):
                stale.append(offset)
            elif isinstance(self.publish_letter(topic, queue, offset, to), str):
                failed.append(offset)
            else:
                count += 1
                self.take_out(topic, queue, offset)
        return count, stale, failed

    def publish_letter(self, topic: Topic, queue: Queue, offset: int, to: str | None) -> int | str:
        letter = topic.values[offset]
        is_far = offset - queue.cursor > self.limits.max_unacknowledged - len(queue.handed)
        if is_far or not isinstance(letter, tuple):
            return "bad_request"
        target = to or letter[1]
        published = self.publish(target, [letter[0]])
        if not isinstance(published, str):
            self.topics[target].publishers[published] = None if letter[6] == "the server" else letter[6]
        return published

    def take_out(self, topic: Topic, queue: Queue, offset: int) -> None:
        if offset < queue.cursor:
            del queue.handed[offset]
        else:
            queue.dropped += max(0, topic.start - queue.cursor)
            for passed in range(max(queue.cursor, topic.start), offset):
                queue.handed[passed] = Handed("", 0, None, self.next_order(), 0.0, 0.0, "passed over")
            queue.cursor = offset + 1
        self.free(topic)

    def subscription(self, peer: str, name: str) -> tuple[Topic, Queue] | str:
        """What a call of a peer on its subscription meets: the queue, settled, or an error."""
        if not self.alive(peer):
            return "peer_not_found"
        if name in self.told[peer]:
            self.told[peer].discard(name)
            return "topic_deleted"
        topic = self.topics.get(name)
        if topic is None:
            return "topic_not_found"
        queue = topic.queue_of(peer)
        if queue is None:
            return "not_subscribed"
        self.age(topic)
        self.settle(topic, queue)
        return topic, queue

    def subscribe(self, peer: str, name: str, start: Any, group: str | None, options: dict[str, Any]) -> Any:
        if not self.alive(peer):
            return "peer_not_found"
        topic = self.topics.get(name)
        if topic is None:
            return "topic_not_found"
        self.age(topic)
        queue = topic.queue_of(peer)
        created = queue is None
        if queue is None:
            queue = next((q for q in topic.queues if group is not None and q.group == group), None)
        elif group not in (None, queue.group):
            return "subscription_exists"
        explicit = options.get("explicit", queue.explicit if queue else False)
        if not explicit and options.keys() - {"explicit", "expires_after"}:
            return "bad_request"
        if queue is None:
            cursor = topic.position("latest" if start is None else start)
            queue = Queue(self.next_order(), cursor, cursor, group)
            topic.queues.append(queue)
        for option, value in options.items():
            setattr(queue, option, value)
        if created:
            queue.members.append(peer)
            queue.left_at = None
            self.joined[peer, name] = self.next_order()
            self.told[peer].discard(name)
        self.free(topic)
        return created, queue.cursor, len(queue.members)

    def seek(self, peer: str, name: str, to: Any) -> int | str:
        found = self.subscription(peer, name)
        if isinstance(found, str):
            return found
        topic, queue = found
        if isinstance(to, int) and to > topic.end:
            return "bad_request"
        queue.cursor = queue.started = topic.position(to)
        queue.handed.clear()
        queue.mixed = []
        self.free(topic)
        return queue.cursor

    def unsubscribe(self, peer: str, name: str) -> int | str:
        found = self.subscription(peer, name)
        if isinstance(found, str):
            return found
        topic, queue = found
        discarded = self.leave(peer, topic)
        if queue in topic.queues:
            self.settle(topic, queue)
        return discarded

    def pull(self, peer: str, name: str, count: int, in_flight: int | None = None) -> Any:
        found = self.subscription(peer, name)
        if isinstance(found, str):
            return found
        topic, queue = found
        count = min(count, self.limits.max_pull)
        if queue.explicit and in_flight is not None:
            count = max(0, min(count, in_flight - queue.count_of(peer)))
        offsets: list[int] = []
        for offset in queue.again():
            if len(offsets) == count:
                break
            if offset < topic.start:
                del queue.handed[offset]
                queue.dropped += 1
            else:
                offsets.append(offset)
        missed = max(0, topic.start - queue.cursor) + queue.dropped
        queue.dropped, queue.cursor = 0, max(queue.cursor, topic.start)
        room = self.limits.max_unacknowledged - len(queue.handed)
        new = list(range(queue.cursor, topic.end))[: max(0, min(count - len(offsets), room))]
        queue.cursor += len(new)
        attempts = [self.hand_over(queue, peer, offset) for offset in offsets + new]
        if offsets or new:
            queue.mixed = offsets + new if offsets and not queue.explicit else []
        self.free(topic)
        offsets += new
        remaining = topic.end - queue.cursor + len(queue.again())
        values = [topic.values[offset] for offset in offsets]
        return offsets, values, attempts if queue.explicit else None, missed, remaining, queue.position

    def peek(self, name: str, limit: int, start: int | None) -> Any:
        topic = self.topics.get(name)
        if topic is None:
            return "topic_not_found"
        self.age(topic)
        end = self.seen_end(topic)
        if start is not None and start >= end:
            return "bad_request"
        kept = range(topic.start, end)
        offsets = kept[-limit:] if start is None else [offset for offset in kept if offset >= start][:limit]
        return [topic.values[offset] for offset in offsets], *self.details(name, offsets)

    def seen_end(self, topic: Topic) -> int:
        """The offset before which messages are seen."""
        return topic.end

    def details(self, name: str, offsets: Iterable[int]) -> tuple[list[str | None], list[float]]:
        """The publishers of messages, and when they were published."""
        topic = self.topics[name]
        return [topic.publishers[offset] for offset in offsets], [topic.times[offset] + WALL for offset in offsets]

    def hand_over(self, queue: Queue, peer: str, offset: int) -> int:
        before = queue.handed.pop(offset, None)
        attempt = before.attempt + (not before.untouched) if before else 1
        if queue.explicit:
            first = before.first if before and before.attempt else self.now
            due = self.now + queue.ack_deadline
            queue.handed[offset] = Handed(peer, attempt, due, self.next_order(), first, self.now)
        return attempt

    def settle_claims(
        self,
        peer: str,
        name: str,
        claims: Any,
        delay: float | None,
        attempted: bool = True,
        reason: str = "rejected",
    ) -> Any:
        """Acknowledge, or with a `delay` reject for a `reason`, what is claimed."""
        found = self.subscription(peer, name)
        if isinstance(found, str):
            return found
        topic, queue = found
        valid, stale = self.check(peer, queue, claims)
        for offset in valid:
            if delay is None:
                del queue.handed[offset]
            else:
                handed = queue.handed[offset]
                handed.due, handed.problem, handed.order = self.now + delay, reason, self.next_order()
                handed.untouched = not attempted
        settled = len(valid)
        pulled = list(range(queue.started, queue.cursor))
        may_return = delay == 0 and not queue.explicit and not any(offset in queue.handed for offset in stale)
        if may_return and stale and stale == queue.mixed[-len(stale) :]:
            settled, queue.mixed = settled + len(stale), queue.mixed[: -len(stale)]
            self.put_back(topic, queue, stale)
            stale = []
        elif may_return and stale and stale == pulled[-len(stale) :]:
            settled, queue.cursor, stale = settled + len(stale), stale[0], []
        if delay is not None:
            self.settle(topic, queue)
        self.free(topic)
        return settled, stale

    def give_back(self, peer: str, name: str, offsets: list[int], attempts: list[int] | None, missed: int) -> None:
        """Take back what was just pulled, and reached nobody."""
        topic = self.topics[name]
        queue = topic.queue_of(peer)
        assert queue
        queue.dropped += missed
        if attempts is not None:
            for offset in offsets:
                handed = queue.handed[offset]
                handed.due, handed.untouched, handed.order = self.now, True, self.next_order()
            self.settle(topic, queue)
        elif offsets and offsets == queue.mixed[-len(offsets) :]:
            queue.mixed = queue.mixed[: -len(offsets)]
            self.put_back(topic, queue, offsets)
        elif offsets and offsets[0] >= queue.started and offsets == list(range(offsets[0], queue.cursor)):
            queue.cursor = offsets[0]
        else:
            self.put_back(topic, queue, offsets)
        self.free(topic)

    def put_back(self, topic: Topic, queue: Queue, offsets: list[int]) -> None:
        """Let messages that were pulled for good wait for redelivery, before all others."""
        passed = [offset for offset in offsets if offset < queue.cursor]
        queue.dropped += sum(offset < topic.start for offset in passed)
        for offset in reversed([offset for offset in passed if offset >= topic.start]):
            queue.handed[offset] = Handed("", 0, None, -self.next_order(), 0.0, 0.0, "passed over")

    def extend(self, peer: str, name: str, claims: Any, seconds: float) -> Any:
        """Let the peer have what is claimed for some more seconds."""
        found = self.subscription(peer, name)
        if isinstance(found, str):
            return found
        valid, stale = self.check(peer, found[1], claims)
        for offset in valid:
            known = found[1].handed[offset]
            due = self.now + seconds
            found[1].handed[offset] = Handed(peer, known.attempt, due, self.next_order(), known.first, known.since)
        return len(valid), stale

    def check(self, peer: str, queue: Queue, claims: Any) -> tuple[list[int], list[int]]:
        """What of the claims the peer has, and what it has not."""
        if isinstance(claims, int):
            claims = [(o, None) for o in sorted(queue.handed) if o <= claims and queue.handed[o].member == peer]
        valid, stale = dict[int, None](), []
        for offset, attempt in claims:
            handed = queue.handed.get(offset)
            if handed and handed.member == peer and attempt in (None, handed.attempt):
                valid[offset] = None
            else:
                stale.append(offset)
        return list(valid), stale

    def stand_still(self, seconds: float) -> None:
        """Time passes in which nothing is heard and nothing done."""
        self.now += seconds
        self.resumed = self.now
        for peer in sorted(self.expiries, key=lambda peer: self.expiries[peer]):
            self.expiries[peer] = max(self.expiries.pop(peer), self.now + (self.leases[peer] or 0.0))

    def time_passes(self, seconds: float) -> tuple[dict[str, int], set[tuple[str, str, int]]]:
        """Move on; returns the peers that were silent for too long, and the queues that expired, with the discarded."""
        self.now += seconds
        self.publish_due()
        silent = [peer for peer, expiry in self.expiries.items() if expiry <= self.now]
        gone = {peer: self.go_away(peer) for peer in sorted(silent, key=lambda peer: self.expiries[peer])}
        ended = self.expire()
        for topic in list(self.topics.values()):
            self.age(topic)
            for queue in topic.queues:
                if queue.max_attempts is not None:
                    self.settle(topic, queue)
        return gone, ended
