"""Messages whose caller was gone: they are handed back untouched to the indexing server."""

from concurrent.futures import Executor

import msgspec

from peerbus.errors import PeerbusError
from peerbus.node.event_log import EventLog
from peerbus.node.membership import Membership
from peerbus.node.server_client import ServerClient
from peerbus.wire.protocol import NackAnswer, NackRequest


class Pulled(msgspec.Struct):
    """The part of an answer to a pull that identifies its messages."""

    offsets: list[int]
    attempts: list[int] | None = None
    missed: int = 0


class Requeue:
    """Hands back the messages of a pull whose caller was gone."""

    def __init__(self, index: ServerClient, membership: Membership, events: EventLog, workers: Executor) -> None:
        """`workers` run the calls, which block."""
        self._index = index
        self._membership = membership
        self._events = events
        self._workers = workers

    def hand_back(self, topic: str, answer: bytes) -> None:
        """Hand the messages in the `answer` to a pull back, in the background; failures are noted as events."""
        try:
            pulled = msgspec.json.decode(answer, type=Pulled)
            if pulled.offsets:
                self._workers.submit(self._hand_back, topic, pulled)
        except (msgspec.DecodeError, RuntimeError) as error:
            self._note(topic, str(error))
            return
        if pulled.missed:
            sentence = f"{pulled.missed} messages of topic '{topic}' were lost before they could be pulled."
            self._events.note("missed", sentence, topic)

    def _hand_back(self, topic: str, pulled: Pulled) -> None:
        peer_id = self._membership.peer_id
        request = NackRequest(
            peer_id=peer_id, topic=topic, offsets=pulled.offsets, attempts=pulled.attempts, attempted=False
        )
        try:
            done = self._index.call("/nack_messages", request, NackAnswer)
        except PeerbusError as error:
            self._note(topic, str(error))
            return
        if done.stale:
            self._note(topic, "Others pulled since.")

    def _note(self, topic: str, reason: str) -> None:
        sentence = f"Messages of topic '{topic}' that came for a caller who was gone are not handed back: {reason}"
        self._events.note("undelivered", sentence, topic)
