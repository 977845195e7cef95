"""Heads that came before: clients and servers repeat themselves."""

from typing import Generic, TypeVar

Meaning = TypeVar("Meaning")

END = b"\r\n\r\n"
"""The empty line at the end of a head, and the end of the line before it."""
MOST = 256
LONGEST = 1024


class KnownHeads(Generic[Meaning]):
    """The meaning of some heads that came before; parsing one takes as long as all else that a request needs.

    The same bytes in the same place mean the same. A head may be learned only if its body has the length it declares.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Meaning] = {}
        self.get = self._known.get
        """The meaning of a head, given without the empty line at its end; None for an unknown one."""

    def forget(self) -> None:
        """Forget all heads: they have another meaning now."""
        self._known.clear()

    def learn(self, head: bytes, meaning: Meaning) -> None:
        """Remember the meaning of a head, given without the empty line at its end."""
        if len(head) <= LONGEST:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[head] = meaning
