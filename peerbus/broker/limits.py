"""The bounds a broker keeps."""

from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T", int, float)


def _limit(default: T, meaning: str, least: int = 1) -> T:
    limit: T = field(default=default, metadata={"help": meaning, "least": least})
    return limit


@dataclass(frozen=True, slots=True)
class Limits:
    """What a broker holds at most. Reaching a bound is an error to the caller, never a silent loss.

    Each is an option of the indexing server under its own name.
    """

    max_peers: int = _limit(100_000, "Peers registered at once.")
    max_topics: int = _limit(250_000, "Topics existing at once.")
    max_subscriptions: int = _limit(1_000_000, "Subscriptions of all peers to all topics.")
    max_messages: int = _limit(1_000_000, "Messages of a topic that some subscriber has yet to pull.")
    max_bytes: int = _limit(1 << 30, "Bytes held by all messages, 64 counted for each beside its value.")
    max_unacknowledged: int = _limit(100_000, "Messages a message queue has handed over and not got acknowledged.")
    max_pull: int = _limit(10_000, "Messages one pull hands over.")
    max_pull_bytes: int = _limit(16 << 20, "Bytes of messages one pull hands over; one larger message still goes.")
    max_wait: float = _limit(60.0, "Seconds a pull may wait for a message.")
    max_waiting: int = _limit(10_000, "Pulls waiting at once.", 0)
    history: int = _limit(1000, "Messages of a topic kept for replay after all subscribers have pulled them.", 0)
    message_ids: int = _limit(100_000, "Message ids a topic remembers, to recognise a repeated publish.")
    message_id_seconds: float = _limit(600.0, "Seconds a topic remembers a message id.")
