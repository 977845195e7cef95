"""The limits of a broker."""

from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T", int, float)


def _limit(default: T, meaning: str, least: int = 1) -> T:
    limit: T = field(default=default, metadata={"help": meaning, "least": least})
    return limit


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a broker. A call that would exceed one gets an error; nothing is lost silently.

    Each limit is an option of the indexing server with the same name.
    """

    max_peers: int = _limit(100_000, "Maximum of registered peers.")
    max_topics: int = _limit(1_000_000, "Maximum of topics.")
    max_subscriptions: int = _limit(1_000_000, "Maximum of subscriptions of all peers together.")
    max_messages: int = _limit(
        1_000_000, "Maximum of unread messages in a topic: a subscriber has not pulled or not acknowledged them."
    )
    max_bytes: int = _limit(
        1 << 30,
        "Maximum of bytes of all messages and what is noted about them: a message counts 64 more than its value, a "
        "message id 300, a message in flight 200, and each delivery 400.",
    )
    max_scheduled: int = _limit(
        1_000_000, "Maximum of messages of all topics that are scheduled to be published later.", 0
    )
    max_unacknowledged: int = _limit(
        100_000, "Maximum of messages in flight in a message queue: handed over, not acknowledged."
    )
    max_pull: int = _limit(10_000, "Maximum of messages in one pull.")
    max_pull_bytes: int = _limit(
        16 << 20, "Maximum of bytes of messages in one pull; a single larger message is still handed over."
    )
    max_wait: float = _limit(60.0, "Maximum of seconds that a pull may wait for a message.")
    max_waiting: int = _limit(10_000, "Maximum of waiting pulls, streams included.", 0)
    history: int = _limit(
        1000, "Messages of a topic that are kept for replay after all subscribers have pulled them.", 0
    )
    group_expiry: float = _limit(
        604_800.0,
        "Seconds for which a group's message queue stands without members, by default; 0: it ends with the last one.",
        0,
    )
    subscription_expiry: float = _limit(
        3600.0,
        "Seconds for which a peer's own message queue stands while the peer is away, by default; 0: it ends at once.",
        0,
    )
    message_ids: int = _limit(100_000, "Message ids that a topic remembers, to recognise a repeated publish.")
    message_id_seconds: float = _limit(600.0, "Seconds for which a topic remembers a message id.")
