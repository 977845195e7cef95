"""What the broker counts."""

from msgspec import Struct


class Totals(Struct):
    """What was done since the server started, and how many messages are handed over and not acknowledged now."""

    published: int = 0
    pulled: int = 0
    missed: int = 0
    acknowledged: int = 0
    redelivered: int = 0
    refused: int = 0
    expired_peers: int = 0
    discarded: int = 0
    unacknowledged: int = 0
