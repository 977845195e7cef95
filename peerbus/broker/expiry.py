"""The end of message queues that no member reads any more."""

from peerbus.broker.peers import Peers
from peerbus.broker.queue import MessageQueue
from peerbus.broker.structures import NEVER, NOW, Schedule
from peerbus.standstill import Standstill

GRACE_SECONDS = 3600.0
"""The least time for which a queue without members stands after a restart or a standstill, unless its own time is
shorter: its members could not come back meanwhile."""


class Expiry:
    """The message queues that stand without members, by the time at which they expire.

    A peer that comes back may have many queues of its own: they stay scheduled, and are passed over when they are due.
    """

    __slots__ = ("_ends", "_peers", "_standstill")

    def __init__(self, peers: Peers, standstill: Standstill) -> None:
        self._peers = peers
        self._standstill = standstill
        self._ends: Schedule[MessageQueue] = Schedule()

    def left_at(self, queue: MessageQueue) -> float | None:
        """Since when no member of a queue is there; None while one is."""
        return self._peers[queue.name].away_since if queue.group is None else queue.left_at

    def time(self, queue: MessageQueue) -> float:
        """When a queue expires unless a member comes back; `NEVER` while one is there."""
        left_at = self.left_at(queue)
        if left_at is None:
            return NEVER
        after_standstill = self._standstill.ended + min(queue.expires_after, GRACE_SECONDS)
        return max(self._ends.time(queue, NOW), left_at + queue.expires_after, after_standstill)

    def watch(self, queue: MessageQueue, not_before: float = NOW) -> None:
        """Let a queue without members expire when its time has passed, and not before `not_before`."""
        self._ends.discard(queue)
        self._ends.set(queue, max(self.time(queue), not_before))

    def forget(self, queue: MessageQueue) -> None:
        """Let a queue that ended expire no more."""
        self._ends.discard(queue)

    def next_due(self) -> float:
        """When `take` has a queue to look at."""
        return self._ends.next()

    def take(self, now: float) -> MessageQueue | None:
        """Take the first queue that is due by `now`; returns it if it has expired, None if a member came back since."""
        self._standstill.check(now)
        for queue in self._ends.take(now, 1):
            if self.time(queue) <= now:
                return queue
            self.watch(queue)
        return None
