"""The broker's state made again from its records."""

from collections import defaultdict
from itertools import groupby
from sys import intern

from peerbus.broker.expiry import GRACE_SECONDS
from peerbus.broker.in_flight import HANDED_BACK, NOT_IN_TIME, PEER_LEFT, Delivery
from peerbus.broker.log import size_of
from peerbus.broker.push_target import PushTarget
from peerbus.broker.queue import MessageQueue, QueueOptions, group_queue
from peerbus.broker.records import DELETED, NOT_YET, Contents, DeliveryRecord, QueueRecord, TopicRecord
from peerbus.broker.scheduling import MOST_SECONDS_AHEAD
from peerbus.broker.state import State
from peerbus.broker.structures import NOW
from peerbus.broker.topic import Topic
from peerbus.broker.topics import shared_options

CLOCKS_SET_SINCE = 1_735_689_600.0
"""The first second of 2025. A time before is that of a clock that had not been set: this program did not exist."""
MOST_LEFT = 43_200.0
"""How far ahead the deadline of a delivery can be."""


class Times:
    """Turns kept times into times of the broker's clock, and bounds them by what they can be.

    The wall clock may have been set while no broker ran. If it is behind, a time may seem to be ahead that was past: it
    is taken for now. If it had not been set when a time was kept, such as at a start without a clock that goes on
    without power, the time may seem long past: it is taken for now, too. So nothing waits longer, and nothing ends
    sooner, than it was to.
    """

    def __init__(self, now: float, wall_time: float) -> None:
        """It is `now` by the broker's clock, and kept times would be `wall_time`."""
        self.now = now
        self._wall_time = wall_time

    def past(self, time: float) -> float:
        """A time that was not ahead when it was kept."""
        return self.now if self._is_of_unset_clock(time) else min(time - self._wall_time, 0.0) + self.now

    def due(self, time: float, left: float) -> float:
        """A time that was `left` seconds ahead when it was kept."""
        if self._is_of_unset_clock(time):
            return self.now + left
        return self.now + min(time - self._wall_time, left)

    def _is_of_unset_clock(self, time: float) -> bool:
        return time < CLOCKS_SET_SINCE <= self._wall_time


def restore(state: State, contents: Contents) -> None:
    """Fill an empty state, with its lock held. Every lease begins again.

    The wall clock may have been set since; see `Times`.
    """
    now = state.clock()
    times = Times(now, now + state.wall_clock.ahead / 1000 - contents.clock_set)
    state.epoch = contents.epoch
    numbers = [record.number for record in contents.topics] + [record.number for record in contents.queues]
    state.numbers.last = max(numbers, default=0)
    for peer_record in sorted(contents.peers, key=lambda record: record.peer_id):
        peer = state.peers.add(peer_record.peer_id)
        peer.address, peer.lease_seconds = peer_record.address, peer_record.lease_seconds
        peer.token_hash = peer_record.token_hash
        peer.deleted_topics = dict.fromkeys(peer_record.deleted_topics)
        if peer_record.away_since is None:
            state.peers.renew(peer, now)
        else:
            state.peers.go_away(peer, times.past(peer_record.away_since))
    topics = _restore_topics(state, contents.topics)
    for seen in contents.message_ids:
        offset = None if seen.offset == NOT_YET else seen.offset
        topics[seen.topic].restore_id(seen.message_id, offset, seen.count, seen.scheduled, times.past(seen.seen_at))
    deliveries: dict[int, list[DeliveryRecord]] = defaultdict(list)
    for delivery in contents.deliveries:
        deliveries[delivery.queue].append(delivery)
    for queue_record in contents.queues:
        _restore_queue(state, topics[queue_record.topic], queue_record, deliveries[queue_record.number], times)
    _restore_messages(state, topics, contents, times)
    _restore_scheduled(state, topics, contents, times)
    for peer_record in contents.peers:
        state.forget(state.peers[peer_record.peer_id])


def _restore_topics(state: State, records: list[TopicRecord]) -> dict[int, Topic]:
    """The topics by number. Each record is let go of when it was read, so that its memory serves the next topics."""
    records.reverse()
    topics = {}
    while records:
        record = records.pop()
        topics[record.number] = _topic(state, record)
    return topics


def _topic(state: State, record: TopicRecord) -> Topic:
    overflow = "reject" if record.overflow == DELETED else record.overflow
    options = shared_options(record.max_messages, overflow, record.max_age, record.history)
    add = state.topics.restore_deleted if record.overflow == DELETED else state.topics.add
    topic = add(record.name, options, record.number)
    topic.begin_at(record.start)
    topic.dropped = record.dropped
    topic.creator = record.creator and intern(record.creator)
    if record.first_id:
        topic.message_ids = topic.message_ids.begin(record.first_id)
    return topic


def _restore_queue(
    state: State, topic: Topic, record: QueueRecord, deliveries: list[DeliveryRecord], times: Times
) -> None:
    options = QueueOptions(
        record.explicit, record.ack_deadline, record.max_attempts, record.dead_letter_topic, record.expires_after
    )
    deliveries.sort(key=lambda delivery: delivery.offset)
    position = deliveries[0].offset if deliveries else record.cursor
    now = state.clock()
    name = record.members[0] if record.group is None else group_queue(record.group)
    used_at = now if record.used_at is None else times.past(record.used_at)
    queue = MessageQueue(topic, position, options, name, record.group, record.number, used_at)
    queue.cursor, queue.started, queue.dropped = record.cursor, record.started, record.dropped
    for (member, attempt, problem, *of_run, left), run in groupby(deliveries, _shared):
        offsets = [each.offset for each in run]
        first, since = (None if time is None else times.past(time) for time in of_run[1:])
        due = None if of_run[0] is None else times.due(of_run[0], MOST_LEFT if left is None else left)
        delivery = Delivery(member, (attempt, first, since), problem, due, offsets)
        if due is not None and (member not in record.members or state.peers[member].away_since is not None):
            delivery.due = now if delivery.is_last(record.max_attempts) else None
            delivery.problem = delivery.problem_after(PEER_LEFT)
        elif due is not None and problem == NOT_IN_TIME and member in record.push_targets:
            delivery.due, delivery.problem = None, HANDED_BACK  # its push was under way
        queue.in_flight.restore(delivery)
    members = [state.peers[member] for member in record.members]
    away = [peer.away_since for peer in members if peer.away_since is not None]
    if away and queue.group is not None and not topic.deleted:
        members = [peer for peer in members if peer.away_since is None]  # the others had yet to leave it
        state.changes.queue_changed(queue)
    for peer in members:
        state.subscriptions.add(peer, queue)
        if push := record.push_targets.get(peer.peer_id):
            queue.members[peer.peer_id] = PushTarget(push, state.numbers.next())
            if peer.away_since is None and not topic.deleted:
                state.wait_for_push(queue, peer.peer_id)
    if not members:
        left_at = now if record.left_at is None else times.past(record.left_at)
        queue.left_at = max(away, default=left_at)
        state.subscriptions.add_empty(queue)
    if not topic.deleted and state.expiry.left_at(queue) is not None:
        state.expiry.watch(queue, not_before=now + min(queue.expires_after, GRACE_SECONDS))
    state.maintenance.set_alarm(queue)


def _shared(each: DeliveryRecord) -> tuple[str, int, str, float | None, float | None, float | None, float | None]:
    return each.member, each.attempt, each.problem, each.due, each.first, each.since, each.left


def _restore_scheduled(state: State, topics: dict[int, Topic], contents: Contents, times: Times) -> None:
    state.scheduling.last = contents.last_scheduled
    serials = {seen.scheduled: seen.serial for seen in contents.message_ids}
    for record in sorted(contents.scheduled, key=lambda record: (record.due, record.number)):
        topic = topics[record.topic]
        if not topic.deleted:
            due = times.due(record.due, MOST_SECONDS_AHEAD if record.ahead is None else record.ahead)
            state.scheduling.restore(topic, record, due, size_of(record.values), serials.get(record.number))


def _restore_messages(state: State, topics: dict[int, Topic], contents: Contents, times: Times) -> None:
    """After the queues, which keep them from being freed. No message is older than those before it in its topic."""
    last: dict[int, float] = defaultdict(lambda: NOW)
    for segment in contents.segments:
        state.memory.used += size_of(segment.values)
        last[segment.topic] = published_at = max(last[segment.topic], times.past(segment.published_at))
        topics[segment.topic].restore(segment.values, published_at, segment.publisher)
    for topic in topics.values():
        topic.commit(topic.end)
        topic.free_pulled()
        if topic.deleted:
            topic.delete()
            state.subscriptions.topic_deleted(topic)
        else:
            state.refreshed(topic)
