"""The broker's calls of a member about its message queue: pull, acknowledge, reject, extend, seek."""

from collections.abc import Iterator, Sequence

from peerbus.broker.in_flight import Claim
from peerbus.broker.pushing import Pushing
from peerbus.broker.results import Pulled, Settled
from peerbus.broker.topic import From
from peerbus.errors import BadRequest
from peerbus.future import Future

CLAIMS_AT_ONCE = 1000
"""Claims that `in_hand` yields at a time: some 1 ms to settle."""


class Deliveries(Pushing):
    """Hands messages over to members, which settle them; every public method is one atomic step."""

    def pull(self, peer_id: str, topic: str, max_messages: int = 1000, *, details: bool = False) -> Pulled:
        """Take up to `max_messages` from the peer's message queue.

        Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed` and `TopicDeleted`.
        """
        with self._lock:
            return self._state.pull(self._state.queue(peer_id, topic), peer_id, max_messages, details=details)

    def pull_waiting(
        self,
        peer_id: str,
        topic: str,
        max_messages: int,
        wait: float,
        reader_token: int | None = None,
        in_flight: int | None = None,
        *,
        details: bool = False,
    ) -> Pulled | Future[Pulled]:
        """Pull; when there is nothing yet, the answer comes from `run_due`, within `wait` seconds, or empty.

        A message is found and handed over in one step; of several pulls that wait for one queue, the first is answered
        first. The peer's lease does not run out while it waits. If the subscription ends, the pull ends with the error
        that `pull` would raise. With explicit acknowledgement, the peer gets no more messages than it may have
        `in_flight` in this queue: those handed over to it that are not settled and not overdue. A pull that has to wait
        for room is answered after those that have it.
        Raises those errors, `TooManyWaiting`, `BadRequest` when `wait` is over the limit, and `StreamReplaced` for a
        `reader_token` of `resume` once a later one was given, also while it waits.
        """
        if wait > (limit := self._state.limits.max_wait):
            raise BadRequest(f"Expected seconds <= {limit:g} - at $.wait")
        with self._lock:
            queue = self._state.queue(peer_id, topic)
            queue.check_reader(reader_token)
            if queue.ready_for(peer_id, in_flight) or self._state.closing:
                return self._state.pull(queue, peer_id, max_messages, in_flight, details=details)
            return self._state.pull_when_ready(
                queue, peer_id, max_messages, wait, reader_token, in_flight, details=details
            )

    def in_hand(self, peer_id: str, topic: str, up_to: int) -> Iterator[list[Claim]]:
        """Claims on all messages that a peer has in flight now, up to the offset `up_to`, a thousand at a time.

        For `acknowledge`, `reject` and `extend` in slices: the call costs 1 ms for 100,000 messages. A message that is
        settled or redelivered between two slices is stale in the later one.
        Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed` and `TopicDeleted`.
        """
        with self._lock:
            return self._state.queue(peer_id, topic).in_hand(peer_id, up_to, CLAIMS_AT_ONCE)

    def acknowledge(self, peer_id: str, topic: str, claims: Sequence[Claim] | int) -> Settled:
        """Settle the messages claimed, or all that the peer has in flight up to the offset given.

        A claim on a message that was settled, or redelivered since, is stale and changes nothing. A thousand claims
        take up to 1 ms.
        Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed` and `TopicDeleted`.
        """
        with self._lock:
            queue = self._state.queue(peer_id, topic)
            count, stale = queue.acknowledge(peer_id, claims)
            self._state.totals.acknowledged += count
            self._state.long_polls.wake_queue(queue, (peer_id,))
            return Settled(count, stale, queue.position, queue.options.explicit)

    def reject(
        self, peer_id: str, topic: str, claims: Sequence[Claim] | int, delay: float = 0.0, *, attempted: bool = True
    ) -> Settled:
        """Let the messages claimed be redelivered in `delay` seconds, unless acknowledged before.

        Unless `attempted`, this delivery does not count: the next one has the same attempt number, even after
        `max_attempts`. With automatic acknowledgement, the messages pulled last may be claimed, to be redelivered at
        once. Claims and errors are those of `acknowledge`; a thousand claims take up to 2 ms.
        """
        with self._lock:
            queue = self._state.queue(peer_id, topic)
            count, stale = queue.reject(peer_id, claims, self._state.clock() + delay, attempted=attempted)
            if stale and not delay and not queue.options.explicit and queue.return_last(stale):
                count, stale = count + len(stale), []
            self._state.up_to_date(queue)
            self._state.long_polls.wake_queue(queue, (peer_id,))
            return Settled(count, stale, queue.position, queue.options.explicit)

    def extend(self, peer_id: str, topic: str, claims: Sequence[Claim] | int, seconds: float) -> Settled:
        """Let the deadline of the messages claimed be in `seconds` from now.

        Messages that were rejected and are not redelivered yet are in flight again, as the same attempt. Claims and
        errors are those of `acknowledge`; a thousand claims take up to 2 ms.
        """
        with self._lock:
            queue = self._state.queue(peer_id, topic)
            count, stale = queue.extend(peer_id, claims, self._state.clock() + seconds)
            self._state.up_to_date(queue)
            return Settled(count, stale, queue.position, queue.options.explicit)

    def give_back(
        self,
        peer_id: str,
        topic: str,
        name: str,
        generation: int,
        offsets: Sequence[int],
        attempts: Sequence[int] | None,
        missed: int,
    ) -> None:
        """Take back the messages of a pull whose answer did not arrive; they are redelivered as the same attempt.

        The message queue has the `name`, and the peer may have left it. With automatic acknowledgement, they come
        before others, also when others of the group pulled since; those that were freed meanwhile count as missed.
        Does nothing when the queue ended since, or was moved. Renews no lease.
        """
        with self._lock:
            found = self._state.topics.find(topic)
            queue = self._state.subscriptions.of(found).queues.get(name) if found else None
            if queue is None or queue.generation != generation:
                return
            if attempts is None:
                queue.give_back(offsets, missed)
            else:
                queue.give_back((), missed)
                queue.reject(peer_id, zip(offsets, attempts, strict=True), self._state.clock(), attempted=False)
                self._state.up_to_date(queue)
            self._state.long_polls.wake_queue(queue, (peer_id,))

    def resume(self, peer_id: str, topic: str, offset: int | None) -> int:
        """Begin to follow the peer's message queue; returns the reader token for `pull_waiting`.

        A stream that resumes names the `offset` to go on at: a queue of the peer's own, with automatic
        acknowledgement, goes back there if it is further on, and the streams before it get nothing more. Other queues
        stay where they are.
        Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed` and `TopicDeleted`.
        """
        with self._lock:
            queue = self._state.queue(peer_id, topic)
            if offset is not None and queue.group is None and not queue.options.explicit:
                queue.reader_token += 1
                if offset < queue.cursor:
                    queue.go_back(offset)
                self._state.long_polls.end(queue)
            return queue.reader_token

    def seek(self, peer_id: str, topic: str, to: From) -> int:
        """Move a message queue to `to`, forwards or back, and return the offset of its next message.

        A group's queue moves for all members; what any of them has in flight is not any more. Messages from `to` on
        that are freed count as missed. Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed`, `TopicDeleted`, and
        `BadRequest` for an offset that is beyond the end.
        """
        with self._lock:
            queue = self._state.queue(peer_id, topic)
            if isinstance(to, int) and to > queue.topic.end:
                raise BadRequest(f"Expected int <= {queue.topic.end}, the offset of the next message - at $.to")
            return self._state.seek(queue, queue.topic.position(to))

    def seek_time(self, peer_id: str, topic: str, time: float) -> int:
        """Move a message queue to the first retained message published at or after a time, as `seek` does.

        `time` is in seconds since 1970; without such a message, the queue continues with the next one. Raises the
        errors of `seek`, and `BadRequest` for a time that is ahead.
        """
        with self._lock:
            queue = self._state.queue(peer_id, topic)
            now = self._state.clock() + self._state.wall_clock.ahead / 1000
            if time > now:
                raise BadRequest(f"Expected a time that is past; it is {now:.3f} now - at $.to.time")
            return self._state.seek(queue, queue.topic.offset_at(time))
