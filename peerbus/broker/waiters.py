"""The pulls and push targets that wait for one message queue."""

from collections.abc import Iterable, Iterator

from peerbus.broker.peers import Peer
from peerbus.broker.push_target import PushKey, PushTarget
from peerbus.broker.queue import MessageQueue
from peerbus.broker.results import Pulled
from peerbus.broker.structures import NEVER
from peerbus.future import Future


class _Waiter:
    """Waits until `deadline` at most for messages of `queue`, for one of its members."""

    __slots__ = ("deadline", "peer", "queue")

    def __init__(self, peer: Peer, queue: MessageQueue, deadline: float) -> None:
        self.peer = peer
        self.queue = queue
        self.deadline = deadline

    @property
    def is_ready(self) -> bool:
        """Whether there is something for it."""
        return self.queue.ready


class IdleTarget(_Waiter):
    """A push target that waits for messages to push."""

    __slots__ = ("target",)

    def __init__(self, peer: Peer, queue: MessageQueue, target: PushTarget) -> None:
        super().__init__(peer, queue, NEVER)
        self.target = target

    @property
    def key(self) -> PushKey:
        """The key of the target."""
        return PushKey(self.peer.peer_id, self.queue.topic.name, self.target.number)


class LongPoll(_Waiter):
    """One pull that waits for messages of which its peer may have `in_flight` at most.

    `reader_token` is that of the stream it belongs to, if any; `token_hash` that of its peer when it began.
    """

    __slots__ = ("answer", "details", "in_flight", "max_messages", "reader_token", "token_hash")

    def __init__(
        self,
        peer: Peer,
        queue: MessageQueue,
        max_messages: int,
        deadline: float,
        reader_token: int | None,
        in_flight: int | None,
        *,
        details: bool,
    ) -> None:
        super().__init__(peer, queue, deadline)
        self.token_hash = peer.token_hash
        self.max_messages = max_messages
        self.reader_token = reader_token
        self.in_flight = in_flight
        self.details = details
        self.answer: Future[Pulled] = Future()

    @property
    def is_ready(self) -> bool:
        """Whether it can be answered with messages."""
        return self.queue.ready_for(self.peer.peer_id, self.in_flight)


Waiter = LongPoll | IdleTarget


class Waiters:
    """Those that wait for one queue, in the order in which they came.

    Pulls whose peer may have no more messages in flight are kept aside until the peer may have room again. So finding
    the next pull to answer is constant time, however many of a group are kept aside.
    """

    __slots__ = ("_aside", "_open")

    def __init__(self) -> None:
        self._open: dict[Waiter, None] = {}
        self._aside: dict[str, dict[Waiter, None]] = {}
        """By peer id."""

    def __bool__(self) -> bool:
        return bool(self._open or self._aside)

    def __iter__(self) -> Iterator[Waiter]:
        yield from self._open
        for of_peer in self._aside.values():
            yield from of_peer

    def add(self, waiter: Waiter) -> None:
        """Let one wait."""
        self._open[waiter] = None

    def remove(self, waiter: Waiter) -> None:
        """Let one wait no longer."""
        if waiter in self._open:
            del self._open[waiter]
            return
        of_peer = self._aside[waiter.peer.peer_id]
        del of_peer[waiter]
        if not of_peer:
            del self._aside[waiter.peer.peer_id]

    def may_have_room(self, peer_ids: Iterable[str] | None = None) -> None:
        """These peers, or all, may have room for messages in flight."""
        for peer_id in list(self._aside) if peer_ids is None else peer_ids:
            self._open.update(self._aside.pop(peer_id, {}))

    def first_ready(self) -> Waiter | None:
        """The first one that there is something for."""
        while self._open:
            waiter = next(iter(self._open))
            if waiter.is_ready:
                return waiter
            if not waiter.queue.ready:
                return None
            del self._open[waiter]
            self._aside.setdefault(waiter.peer.peer_id, {})[waiter] = None
        return None
