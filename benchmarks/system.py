"""A system that wrk is let loose on, and what it comes to in one round."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.request import Request
from benchmarks.setup import ask
from benchmarks.stolen import Stolen
from benchmarks.wrk import Round, attack


class Outcome(NamedTuple):
    """What one round came to.

    `errors` counts the answers that were missing, or not what was asked for. `stolen` is the share of all processors'
    time that the hypervisor took away meanwhile.
    """

    messages_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    stolen: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """What is sent where, by turns.

    Its rate is compared with that of the system named in `against`, if any. Each request is about `messages`
    messages. `total` tells how many the system has handled so far, by its own account: an answer of status 200 may
    be empty. A round takes place `during` a context, which puts things right before it; after it, the answer to
    the first request is looked at.
    """

    name: str
    call: str
    url: str
    requests: Sequence[Request]
    against: str = ""
    messages: int = 1
    total: Callable[[], int] | None = None
    during: Callable[[], AbstractContextManager[None]] = nullcontext

    def measure(self, connections: int, seconds: int) -> Outcome:
        """Let wrk send requests for some seconds; raises `WrkFailed`, `LineBroken` and `SetupFailed`."""
        with self.during():
            before = self.total() if self.total else 0
            stolen = Stolen()
            came = attack(self.url, [request.data for request in self.requests], connections, seconds)
            share = stolen.share()
            handled = self.total() - before if self.total else None
            ask(self.url, self.requests[0])
        return outcome(came, self.messages, handled)._replace(stolen=share)


def outcome(came: Round, messages: int, handled: int | None) -> Outcome:
    """A round of requests with so many `messages` each, of which the system says that it `handled` so many in all.

    It may have handled more than were answered in time, but not fewer.
    """
    good = came.answers - came.refused
    empty = 0
    if handled is not None and handled < good * messages:
        empty = good - handled // messages
    rate = (good - empty) * messages / (came.microseconds / 1e6)
    return Outcome(rate, came.p50 / 1000, came.p99 / 1000, came.refused + came.broken + empty)
