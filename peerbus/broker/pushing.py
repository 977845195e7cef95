"""The broker's calls for pushing: they renew no lease, and bring no peer back."""

from peerbus.broker.in_flight import REJECTED
from peerbus.broker.overview import Overview
from peerbus.broker.push_target import Push, PushKey, PushProblem, PushTarget
from peerbus.broker.queue import MessageQueue
from peerbus.errors import NotSubscribed


class Pushing(Overview):
    """Hands messages over to push targets, and settles them by how the pushes went.

    A target waits for messages like a waiting pull, but without a deadline, and does not count as one.
    """

    def next_push(self, key: PushKey, under_way: int) -> Push | None:
        """Take the next messages for a push target that has `under_way` pushes at the moment.

        None if there is nothing to push, and then `on_push` is called with the key as soon as there may be; and if
        the target takes no more pushes at once. Raises `NotSubscribed` if there is no such target, or its peer is
        away.
        """
        with self._lock:
            state = self._state
            queue, target = self._target(key)
            if queue is None or target is None or state.peers[key.peer_id].away_since is not None or state.closing:
                raise NotSubscribed(f"Peer '{key.peer_id}' has no such push target for topic '{key.topic}'.")
            if under_way >= target.options.at_once:
                return None
            state.refreshed(queue.topic)
            state.up_to_date(queue)
            pulled = state.pull(queue, key.peer_id, target.options.batch, details=True)
            if pulled.missed:
                queue.owe(target, pulled.missed)
            if not pulled.values:
                state.wait_for_push(queue, key.peer_id)
                return None
            return Push(key, target.options, pulled, target.missed, queue.options.ack_deadline)

    def settle_push(self, push: Push, problem: PushProblem | None = None) -> None:
        """Acknowledge the messages of a push, or let them be redelivered because of a problem.

        Messages that were settled or redelivered meanwhile stay as they are; so do all if the subscription ended, or
        was moved.
        """
        with self._lock:
            state, now = self._state, self._state.clock()
            peer_id, pulled = push.key.peer_id, push.pulled
            queue, target = self._target(push.key)
            if target is not None:
                target.problem = problem.reason if problem else None
                target.tries_at = now + problem.pause if problem else now
                if queue and push.missed and problem is None:
                    queue.owe(target, -min(push.missed, target.missed))
            if queue is None or queue.generation != pulled.generation:
                return
            claims = zip(pulled.offsets, pulled.attempts or (), strict=True)
            if problem is None:
                queue.used_at = now
                count, _ = queue.acknowledge(peer_id, claims)
                state.totals.acknowledged += count
            else:
                reason = f"{REJECTED}: {problem.reason}"
                queue.reject(peer_id, claims, now, attempted=problem.attempted, reason=reason)
                state.up_to_date(queue)
            state.long_polls.wake_queue(queue, (peer_id,))

    def _target(self, key: PushKey) -> tuple[MessageQueue | None, PushTarget | None]:
        """The message queue of a subscription, and its push target if it is still the one of the key."""
        peer = self._state.peers.find(key.peer_id)
        queue = self._state.subscriptions.find(peer, key.topic) if peer else None
        target = queue.members.get(key.peer_id) if queue else None
        return queue, target if target and target.number == key.number else None
