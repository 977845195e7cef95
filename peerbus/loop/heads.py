"""Heads of requests and answers that came before: both sides repeat themselves."""

from typing import Generic, TypeVar

Meaning = TypeVar("Meaning")

END = b"\r\n\r\n"
MOST = 256
LONGEST = 1024


class Heads(Generic[Meaning]):
    """What some of the heads that came mean: parsing one takes as long as all else that forwarding does with it.

    The same bytes in the same place mean the same. Who learns one sees to it that the bytes of its body are as many as
    it says, and were all that came with it.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Meaning] = {}
        self.get = self._known.get
        """What a head means, without the empty line at its end; None where that is not known."""

    def learn(self, head: bytes, meaning: Meaning) -> None:
        """A head, without the empty line at its end, was found to mean this."""
        if len(head) <= LONGEST:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[head] = meaning
