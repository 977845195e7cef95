"""The broker's state made again from its records."""

from collections import defaultdict

from peerbus.broker.in_flight import Delivery
from peerbus.broker.log import size_of
from peerbus.broker.queue import MessageQueue, QueueOptions
from peerbus.broker.records import Contents, DeliveryRecord, QueueRecord
from peerbus.broker.state import State
from peerbus.broker.topic import TopicOptions


def restore(state: State, contents: Contents, wall_time: float) -> None:
    """Fill a state that is empty; whoever calls holds its lock. Every lease begins again.

    Times were written by the wall clock, which says `wall_time` now and may have been set since: what is due by it
    falls due as it says now.
    """
    now = state.clock()
    wall = wall_time - now
    state.epoch = contents.epoch
    numbers = [record.number for record in contents.topics] + [record.number for record in contents.queues]
    state.journal.last_number = max(numbers, default=0)
    for peer_record in sorted(contents.peers, key=lambda record: record.peer_id):
        peer = state.peers.add(peer_record.peer_id)
        peer.address, peer.lease_seconds = peer_record.address, peer_record.lease_seconds
        peer.token_hash = peer_record.token_hash
        peer.deleted_topics = dict.fromkeys(peer_record.deleted_topics)
        state.peers.renew(peer, now)
    _restore_topics(state, contents, wall)
    deliveries: dict[int, list[DeliveryRecord]] = defaultdict(list)
    for delivery in contents.deliveries:
        deliveries[delivery.queue].append(delivery)
    for queue_record in contents.queues:
        _restore_queue(state, queue_record, deliveries[queue_record.number], wall)
    _restore_messages(state, contents, wall)


def _restore_topics(state: State, contents: Contents, wall: float) -> None:
    for record in sorted(contents.topics, key=lambda record: record.name):
        options = TopicOptions(record.max_messages, record.overflow, record.max_age)
        topic = state.topics.add(record.name, options, record.number)
        topic.begin_at(record.start)
        topic.dropped = record.dropped
        topic.creator = record.creator
        topic.message_ids.first = record.first_id
    for seen in contents.message_ids:
        topic = state.topics.numbered(seen.topic)
        topic.restore_id(seen.message_id, seen.offset, seen.count, seen.seen_at - wall)


def _restore_queue(state: State, record: QueueRecord, handed_over: list[DeliveryRecord], wall: float) -> None:
    options = QueueOptions(record.explicit, record.ack_deadline, record.max_attempts, record.dead_letter_topic)
    handed_over.sort(key=lambda delivery: delivery.offset)
    position = handed_over[0].offset if handed_over else record.cursor
    queue = MessageQueue(state.topics.numbered(record.topic), position, options, record.group, record.number)
    queue.cursor, queue.started, queue.dropped = record.cursor, record.started, record.dropped
    for delivery in handed_over:
        due = None if delivery.due is None else delivery.due - wall
        last = Delivery(delivery.member, delivery.attempt, delivery.problem)
        queue.in_flight.restore(delivery.offset, last, due)
    for member in record.members:
        state.subscriptions.add(state.peers[member], queue)
    state.maintenance.watch(queue)


def _restore_messages(state: State, contents: Contents, wall: float) -> None:
    """After the queues, which keep them from being freed."""
    for segment in contents.segments:
        topic = state.topics.numbered(segment.topic)
        size = size_of(segment.values)
        state.memory.used += size
        topic.restore(segment.values, size, segment.published_at - wall)
    for record in contents.topics:
        topic = state.topics.numbered(record.number)
        topic.commit(topic.end)
        topic.free_pulled()
        state.refreshed(topic)
