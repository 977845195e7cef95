"""What only offsets can tell of a history: where a message is, and what a pull took whose answer never came."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tests.system.reliability.history import Delivery
from tests.system.reliability.notes import Pull, Sending


class Places:
    """At which offset of a topic each message was found, by the answers to publishers and to consumers."""

    def __init__(self, sendings: Iterable[Sending], deliveries: Iterable[Delivery]) -> None:
        self._sendings = list(sendings)
        self._offsets: Mapping[str, set[int]] = defaultdict(set)
        self._messages: Mapping[int, set[str]] = defaultdict(set)
        for messages, first in self._sendings:
            for place, message in enumerate(messages):
                if first is not None:
                    self._put(message, first + place)
        for delivery in deliveries:
            self._put(delivery.message, delivery.offset)

    def has(self, message: str) -> bool:
        """Whether a message was found at all."""
        return message in self._offsets

    def at(self, offsets: Iterable[int]) -> set[str]:
        """The messages at some offsets."""
        return {message for offset in offsets for message in self._messages.get(offset, ())}

    def faults(self) -> dict[str, tuple[str, ...]]:
        """The messages at fault by what is wrong.

        - republished: one message at several offsets;
        - misplaced: several messages at one offset;
        - torn: of the messages of one call some are there and some are not, or not side by side.
        """
        found = {
            "republished": sorted(message for message, offsets in self._offsets.items() if len(offsets) > 1),
            "misplaced": sorted(self.at(offset for offset, those in self._messages.items() if len(those) > 1)),
            "torn": [messages[0] for messages, _ in self._sendings if not self._whole(messages)],
        }
        return {kind: tuple(messages) for kind, messages in found.items() if messages}

    def _put(self, message: str, offset: int) -> None:
        self._offsets[message].add(offset)
        self._messages[offset].add(message)

    def _whole(self, messages: Sequence[str]) -> bool:
        found = [min(self._offsets[message]) for message in messages if message in self._offsets]
        return not found or found == list(range(found[0], found[0] + len(messages)))


def taken_unanswered(pulls: Iterable[Pull], most: int) -> set[int]:
    """The offsets that pulls with automatic acknowledgement took, at most so many each, whose answers never came.

    A message queue goes on where it stood: what lies between two answers is what was taken in between.
    """
    taken: set[int] = set()
    expected = 0
    for pull in pulls:
        first = pull.offsets[0] if pull.offsets else pull.next_offset
        if first - expected <= most * pull.unanswered:
            taken.update(range(expected, first))
        expected = pull.next_offset
    return taken
