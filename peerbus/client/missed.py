"""Messages that were lost before they could be pulled."""

import warnings
from typing import NamedTuple

from peerbus.wire.words import counted


class Missed(NamedTuple):
    """So many `messages` of a topic were lost before this subscription could pull them."""

    topic: str
    messages: int

    def __str__(self) -> str:
        return f"{counted(self.messages, 'message')} of topic '{self.topic}' lost before they could be pulled."


class MissedWarning(UserWarning):
    """Messages were lost; unless the program filters warnings, each loss is shown, not only the first."""


warnings.simplefilter("always", MissedWarning, append=True)
