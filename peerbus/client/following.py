"""One loop over the messages of a topic: the current message, those in hand, and those left when it ends."""

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import Any, Protocol

from peerbus.client.heartbeat import Heartbeat
from peerbus.client.messages import Message, Pulled
from peerbus.client.missed import Missed, MissedWarning
from peerbus.errors import PeerbusError
from peerbus.wire.protocol import SubscriptionsAnswer

OnMissed = Callable[[Missed], object]


class Follower(Protocol):
    """The client that a loop belongs to, as the loop calls it."""

    peer_id: str | None

    def ack(self, *messages: Message) -> object:
        """Acknowledge messages."""

    def nack(self, *messages: Message, attempted: bool, repeat: bool) -> object:
        """Reject messages, or hand them back untouched."""

    def subscriptions(self, **which: Any) -> SubscriptionsAnswer:
        """List message queues."""


class Following:
    """Yields pulled messages, acknowledges each before the next, and keeps all of them in hand meanwhile."""

    def __init__(
        self,
        client: Follower,
        heartbeat: Heartbeat,
        topic: str,
        lease_seconds: float | None,
        on_missed: OnMissed | None,
    ) -> None:
        """`lease_seconds` is the lease of the peer; lost messages are a warning if there is no `on_missed`."""
        self._client = client
        self._heartbeat = heartbeat
        self._topic = topic
        self._lease_seconds = lease_seconds
        self._on_missed = on_missed

    def work_on(self, pulled: Pulled) -> Generator[Message, None, None]:
        """Yield pulled messages, each of which is acknowledged before the next one.

        A message that the loop settles itself is left as it is. If the loop ends, the current message is rejected, and
        the others are handed back untouched.
        """
        current: Message | None = None
        self._heartbeat.hold(pulled.messages)
        try:
            if pulled.missed:
                self._tell(Missed(self._topic, pulled.missed))
            if pulled.messages and not self._heartbeat.started:
                self._start_heartbeat()
            for message in filter(self._heartbeat.holds, pulled.messages):
                current = message
                yield message
                if self._heartbeat.holds(message):
                    self._client.ack(message)
        finally:
            self._hand_back(self._heartbeat.release_all(), current)

    def release(self, claims: dict[str, Any]) -> None:
        """Let go of the messages that the fields of a call settle."""
        self._heartbeat.release(claims)

    def end(self) -> None:
        """End the heartbeat."""
        self._heartbeat.stop()

    def _tell(self, missed: Missed) -> None:
        if self._on_missed:
            self._on_missed(missed)
        else:
            warnings.warn(str(missed), MissedWarning, stacklevel=4)

    def _start_heartbeat(self) -> None:
        """Begin to beat, unless the subscription is lost, or pulling acknowledges: another member can change that."""
        found = self._client.subscriptions(topic=self._topic, peer_id=self._client.peer_id).subscriptions
        for queue in found:
            if queue.ack_deadline is not None:
                self._heartbeat.start(queue.ack_deadline, self._lease_seconds)

    def _hand_back(self, left: Sequence[Message], current: Message | None) -> None:
        rejected = [message for message in left if message is current]
        untouched = [message for message in left if message is not current]
        with suppress(PeerbusError):  # their deadline does the same, later
            if rejected:
                self._client.nack(*rejected, attempted=True, repeat=False)
            if untouched:
                self._client.nack(*untouched, attempted=False, repeat=False)
