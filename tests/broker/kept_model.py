"""The naive broker with a disk: it keeps a copy of everything as it was last written, and delivers nothing newer."""

from copy import deepcopy
from typing import Any

from peerbus.broker import Limits
from tests.broker.model import BEFORE_ALL, NEVER, Later, Model, Topic

Seen = tuple[int | None, int, float, int | None]
"""Offset and count of what was published with a message id, when, and the number with which it was scheduled."""


class KeptModel(Model):
    """Adds to the naive broker addresses, message ids, and what a disk does; `writes_each_call` at once or not."""

    def __init__(self, limits: Limits, writes_each_call: bool) -> None:
        super().__init__(limits)
        self.writes_each_call = writes_each_call
        self.addresses: dict[str, str | None] = {}
        self.seen: dict[str, dict[str, Seen]] = {}
        self.committed: dict[str, int] = {}
        """The end of each topic as it was last written."""
        self.disk: dict[str, Any] = {}
        self.write()

    def write(self) -> None:
        self.committed = {name: topic.end for name, topic in self.topics.items()}
        self.disk = deepcopy({name: value for name, value in vars(self).items() if name != "disk"})

    def crash(self) -> None:
        """What was not written never happened; the clock goes on all the same."""
        now = self.now
        vars(self).update(deepcopy(self.disk))
        self.now = now
        self.restart()

    def restart(self) -> None:
        """Every lease begins anew, what comes back comes in the order of offsets, what is too old by now is gone.

        Queues without members stand as long as if the last one had just left.

        Nothing is counted yet, and who has several queues joined them in the order in which they were made.
        """
        self.discarded, self.resumed = 0, BEFORE_ALL
        for peer in sorted(self.leases):
            self.alive(peer)
        for topic in self.topics.values():
            self.age(topic)
            topic.wake = min([later.due for later in topic.later], default=NEVER)
            for queue in topic.queues:
                if self.left_at(queue) is not None:
                    queue.stands_until = self.now + self.expires_after(queue)
                queue.mixed = []
                self.joined |= {(member, topic.name): queue.number for member in queue.members}
                for offset in sorted(queue.handed):
                    queue.handed[offset].order = self.next_order()

    def set_address(self, peer: str, address: str | None) -> bool:
        created = peer not in self.leases
        if created and peer not in self.away:
            self.register(peer, None)
        self.alive(peer)
        self.addresses[peer] = address
        return created

    def remove(self, peer: str) -> int:
        self.addresses.pop(peer, None)
        return super().remove(peer)

    def forget(self, peer: str) -> None:
        super().forget(peer)
        if peer not in self.leases and peer not in self.away:
            self.addresses.pop(peer, None)

    def delete(self, name: str) -> int | str:
        answer = super().delete(name)
        self.seen.pop(name, None)
        self.committed.pop(name, None)
        return answer

    def publish_once(
        self, name: str, values: list[Any], message_id: str, delay: float | None = None
    ) -> tuple[int | None, int, bool, int | None] | str:
        """Publish with a message id, later if there is a `delay`; the last of them are remembered, for a time."""
        since = self.now - self.limits.message_id_seconds
        seen = {known: entry for known, entry in self.seen.get(name, {}).items() if max(entry[2], self.resumed) > since}
        if message_id in seen:
            offset, count, _, number = seen[message_id]
            return offset, count, True, number
        done = self.publish(name, values) if delay is None else self.schedule(name, values, delay, message_id)
        if isinstance(done, str):
            return done
        offset, number = (done, None) if delay is None else (None, done)
        seen[message_id] = offset, len(values), self.now, number
        self.seen[name] = dict(list(seen.items())[-self.limits.message_ids :])
        return offset, len(values), False, number

    def was_published(self, topic: Topic, later: Later, offset: int) -> None:
        seen = self.seen.get(topic.name, {})
        if later.message_id in seen and seen[later.message_id][3] == later.number:
            seen[later.message_id] = offset, *seen[later.message_id][1:]

    def stand_still(self, seconds: float) -> None:
        """The ids that are remembered now are remembered for all of their time again."""
        since = self.now - self.limits.message_id_seconds
        for name, seen in self.seen.items():
            self.seen[name] = {known: entry for known, entry in seen.items() if max(entry[2], self.resumed) > since}
        super().stand_still(seconds)

    def seen_end(self, topic: Topic) -> int:
        """As in memory, but for what is not written yet."""
        return topic.end if self.writes_each_call else self.committed.get(topic.name, 0)

    def pull(self, peer: str, name: str, count: int, in_flight: int | None = None) -> Any:
        """As in memory, but for what is not written yet."""
        found = self.subscription(peer, name)
        if isinstance(found, str) or self.writes_each_call:
            return found if isinstance(found, str) else super().pull(peer, name, count, in_flight)
        topic, queue = found
        end = max(self.committed.get(name, 0), queue.cursor, topic.start)
        unwritten = topic.values[end:]
        del topic.values[end:]
        answer = super().pull(peer, name, count, in_flight)
        topic.values += unwritten
        return answer
