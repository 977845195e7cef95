"""The broker's state made again from its records."""

from collections import defaultdict
from itertools import groupby

from peerbus.broker.in_flight import HANDED_BACK, NOT_IN_TIME, PEER_LEFT, Delivery
from peerbus.broker.log import size_of
from peerbus.broker.push_target import PushTarget
from peerbus.broker.queue import MessageQueue, QueueOptions, group_queue
from peerbus.broker.records import DELETED, NOT_YET, Contents, DeliveryRecord, QueueRecord, TopicRecord
from peerbus.broker.state import State
from peerbus.broker.topic import Topic, TopicOptions

GRACE_SECONDS = 3600.0
"""The least time for which a queue without members stands after a restart, unless its own time is shorter: its members
could not come back while no server ran."""


def restore(state: State, contents: Contents, wall_time: float) -> None:
    """Fill an empty state, with its lock held. Every lease begins again.

    Records have times of the wall clock, which says `wall_time` now and may have been set since: what was to fall due
    at a time falls due when the wall clock says that time.
    """
    now = state.clock()
    wall = wall_time - now
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
            state.peers.go_away(peer, peer_record.away_since - wall)
    topics = {record.number: _topic(state, record) for record in sorted(contents.topics, key=lambda each: each.name)}
    for seen in contents.message_ids:
        offset = None if seen.offset == NOT_YET else seen.offset
        topics[seen.topic].restore_id(seen.message_id, offset, seen.count, seen.scheduled, seen.seen_at - wall)
    deliveries: dict[int, list[DeliveryRecord]] = defaultdict(list)
    for delivery in contents.deliveries:
        deliveries[delivery.queue].append(delivery)
    for queue_record in contents.queues:
        _restore_queue(state, topics[queue_record.topic], queue_record, deliveries[queue_record.number], wall)
    _restore_messages(state, topics, contents, wall)
    _restore_scheduled(state, topics, contents)
    for peer_record in contents.peers:
        state.forget(state.peers[peer_record.peer_id])


def _topic(state: State, record: TopicRecord) -> Topic:
    if record.overflow == DELETED:
        options = TopicOptions(record.max_messages, "reject", record.max_age, record.history)
        topic = state.topics.restore_deleted(record.name, options, record.number)
    else:
        options = TopicOptions(record.max_messages, record.overflow, record.max_age, record.history)
        topic = state.topics.add(record.name, options, record.number)
    topic.begin_at(record.start)
    topic.dropped = record.dropped
    topic.creator = record.creator
    topic.message_ids.first = record.first_id
    return topic


def _restore_queue(
    state: State, topic: Topic, record: QueueRecord, deliveries: list[DeliveryRecord], wall: float
) -> None:
    options = QueueOptions(
        record.explicit, record.ack_deadline, record.max_attempts, record.dead_letter_topic, record.expires_after
    )
    deliveries.sort(key=lambda delivery: delivery.offset)
    position = deliveries[0].offset if deliveries else record.cursor
    now = state.clock()
    name = record.members[0] if record.group is None else group_queue(record.group)
    used_at = now if record.used_at is None else record.used_at - wall
    queue = MessageQueue(topic, position, options, name, record.group, record.number, used_at)
    queue.cursor, queue.started, queue.dropped = record.cursor, record.started, record.dropped
    for (member, attempt, problem, *times), run in groupby(deliveries, _shared):
        offsets = [each.offset for each in run]
        due, first, since = (None if time is None else time - wall for time in times)
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
        left_at = now if record.left_at is None else record.left_at - wall
        queue.left_at = max(away, default=left_at)
        state.subscriptions.add_empty(queue)
    if not topic.deleted and state.expiry.left_at(queue) is not None:
        state.expiry.watch(queue, not_before=now + min(queue.expires_after, GRACE_SECONDS))
    state.maintenance.set_alarm(queue)


def _shared(delivery: DeliveryRecord) -> tuple[str, int, str, float | None, float | None, float | None]:
    return delivery.member, delivery.attempt, delivery.problem, delivery.due, delivery.first, delivery.since


def _restore_scheduled(state: State, topics: dict[int, Topic], contents: Contents) -> None:
    state.scheduling.last = contents.last_scheduled
    serials = {seen.scheduled: seen.serial for seen in contents.message_ids}
    for record in sorted(contents.scheduled, key=lambda record: (record.due, record.number)):
        topic = topics[record.topic]
        if not topic.deleted:
            state.scheduling.restore(topic, record, size_of(record.values), serials.get(record.number))


def _restore_messages(state: State, topics: dict[int, Topic], contents: Contents, wall: float) -> None:
    """After the queues, which keep them from being freed."""
    for segment in contents.segments:
        state.memory.used += size_of(segment.values)
        topics[segment.topic].restore(segment.values, segment.published_at - wall, segment.publisher)
    for topic in topics.values():
        topic.commit(topic.end)
        topic.free_pulled()
        if topic.deleted:
            topic.delete()
            state.subscriptions.topic_deleted(topic)
        else:
            state.refreshed(topic)
