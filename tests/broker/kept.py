"""Brokers that keep their state on disk."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Protocol, cast

from peerbus.broker import Broker, Limits
from peerbus.broker.state import PER_SLICE, Slice

OnTopicDeleted = Callable[[str, Sequence[str]], None]


class Journal(Protocol):
    """Keeps the changes of the broker that it opens."""

    def open(self, limits: Limits, on_topic_deleted: OnTopicDeleted, *, per_slice: Slice) -> Broker:
        """The broker with the state that is kept."""

    def write(self) -> None:
        """Keep the changes made until now."""


class _WritingEachCall:
    def __init__(self, broker: Broker, journal: Journal) -> None:
        self._broker = broker
        self._journal = journal
        self._lock = Lock()

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._broker, name)
        if not callable(member):
            return member

        def call(*arguments: Any, **named: Any) -> Any:
            try:
                return member(*arguments, **named)
            finally:
                with self._lock:
                    self._journal.write()

        return call

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self if name.startswith("_") else self._broker, name, value)


def writing_each_call(
    journal: Journal,
    limits: Limits,
    on_topic_deleted: OnTopicDeleted = lambda *_: None,
    per_slice: Slice = PER_SLICE,
) -> Broker:
    """What `journal` has, as a broker each of whose calls is on disk when it returns or raises; for any thread."""
    return cast(Broker, _WritingEachCall(journal.open(limits, on_topic_deleted, per_slice=per_slice), journal))
