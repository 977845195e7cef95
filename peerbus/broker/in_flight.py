"""The messages of a queue that are handed over and not acknowledged."""

from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import groupby, islice, takewhile

from peerbus.broker.context import Totals
from peerbus.broker.memory_budget import MemoryBudget
from peerbus.broker.structures import NEVER, NOW

NOT_IN_TIME = "not acknowledged in time"
PEER_LEFT = "its peer left"
REJECTED = "rejected"
HANDED_BACK = "handed back"
"""The problem of messages that were handed back untouched: their delivery does not count as an attempt."""
PASSED_OVER = "passed over"
"""That of new messages that wait for their first delivery, because a later one was taken out of the queue."""
SETTLED_ENTRIES = 64
"""Offsets, or deliveries, that are settled and still listed, beyond as many that are not, before they are removed."""

MESSAGE_SIZE = 200
"""Bytes counted for a message in flight: CPython's number, and its places in two dictionaries and a list.

Measured with 500,000 in flight: 100 when it is handed over, 200 when it waits for redelivery or was redelivered.
"""
DELIVERY_SIZE = 400
"""Bytes counted for a delivery: the object, its place in the heap, its dictionary and list. Measured: 390 to 470."""

Claim = tuple[int, int | None]
"""A message claimed by a member: its offset, and the attempt meant, None for the latest."""
Claims = Iterable[Claim] | int
"""Some messages, or all that the member has up to an offset."""


Attempt = tuple[int, float | None, float | None]
"""The number of an attempt, and when the message was handed over first, and as this attempt; None if not known."""


class Delivery:
    """Messages handed over together, to one member, as the same attempt: the state they share."""

    __slots__ = ("attempt", "due", "first", "left", "member", "offsets", "problem", "since", "taken")

    def __init__(
        self, member: str, attempt: Attempt, problem: str, due: float | None, offsets: Sequence[int] = ()
    ) -> None:
        self.member = member
        self.attempt, self.first, self.since = attempt
        self.problem = problem
        """Why the messages are redelivered, if they are."""
        self.due = due
        """When the deadline passes; None for messages that wait for redelivery, or wait no more."""
        self.offsets = offsets
        """In the order of handing over; some may be settled."""
        self.taken = 0
        """How many of `offsets`, from the first on, were taken when overdue."""
        self.left = len(offsets)
        """Of the others, those not settled."""

    def next(self, now: float) -> Attempt:
        """The next delivery of these messages, which begins `now`."""
        attempt = self.attempt if self.problem == HANDED_BACK else self.attempt + 1
        return attempt, now if self.problem == PASSED_OVER else self.first, now

    def is_last(self, max_attempts: int | None) -> bool:
        """Whether the messages are exhausted once they are overdue."""
        return max_attempts is not None and self.attempt >= max_attempts and self.problem != HANDED_BACK

    def problem_after(self, event: str) -> str:
        """Why the messages are redelivered after `event`: those that were handed back stay untouched."""
        return self.problem if self.problem == HANDED_BACK else event


class InFlight:
    """The deliveries of one queue by offset, their deadlines, and the messages that wait for redelivery.

    Messages handed over together share one delivery and one deadline: a message costs its offset and a place in a
    dictionary, 100 to 200 bytes. When the deadline passes, the message waits for redelivery, first come, first served.

    Each step costs at most the logarithm of the number of deliveries for each message it is about.
    """

    __slots__ = (
        "_deadlines",
        "_deliveries",
        "_delivery_count",
        "_departed",
        "_memory",
        "_of_member",
        "_order",
        "_settled",
        "_totals",
        "_unsettled",
        "redelivery",
    )

    def __init__(self, totals: Totals, memory: MemoryBudget) -> None:
        self._deliveries: dict[int, Delivery] = {}
        """In the order of offsets: new messages are handed over in that order."""
        self.redelivery: OrderedDict[int, None] = OrderedDict()
        """The offsets that wait for redelivery, in the order in which they came back."""
        self._deadlines: list[tuple[float, int, Delivery]] = []
        """A heap; the number says which of two with the same deadline came first."""
        self._order = 0
        self._settled = 0
        """Entries of the heap whose messages are all settled."""
        self._of_member: dict[str, dict[Delivery, None]] = {}
        """The deliveries to each member whose deadline has not passed, as they were made."""
        self._unsettled: dict[str, int] = {}
        """How many messages of those deliveries are neither acknowledged nor rejected, by member."""
        self._departed: deque[Delivery] = deque()
        """Deliveries to members that left: overdue now."""
        self._totals = totals
        self._memory = memory
        self._delivery_count = 0
        """Deliveries that have messages."""

    def __len__(self) -> int:
        return len(self._deliveries)

    def get(self, offset: int) -> Delivery | None:
        """The delivery of a message, or None when it is not in flight."""
        return self._deliveries.get(offset)

    def first(self, begin: int, end: int) -> int:
        """The first offset in flight, or `end` where there is none; no offset before `begin` may be in flight."""
        if not self._deliveries:
            return end
        near = range(begin, begin + len(self._deliveries) + 1)
        found = next(filter(self._deliveries.__contains__, near), None)
        return min(self._deliveries) if found is None else found

    def offsets(self) -> list[int]:
        """All offsets in flight, in order."""
        return list(self._deliveries)

    def page(self, limit: int, after: int) -> list[tuple[int, Delivery]]:
        """The first `limit` offsets in flight that come after `after`, each with its delivery."""
        offsets = self.offsets()
        begin = bisect_right(offsets, after)
        return [(offset, self._deliveries[offset]) for offset in offsets[begin : begin + limit]]

    def since(self, offset: int) -> list[int]:
        """The offsets in flight from `offset` on."""
        return [other for other in self._deliveries if other >= offset]

    def count_of(self, member: str) -> int:
        """How many messages `member` has: handed over to it, not overdue, and neither acknowledged nor rejected."""
        return self._unsettled.get(member, 0)

    def count_before(self, offset: int) -> int:
        """How many messages before `offset` are in flight."""
        return sum(1 for _ in takewhile(lambda other: other < offset, self._deliveries))

    def held_by(self, member: str, up_to: int) -> list[int]:
        """The offsets, up to `up_to`, of the messages handed over to `member` last."""
        return [o for o, delivery in self._deliveries.items() if delivery.member == member and o <= up_to]

    def claims_of(self, member: str, up_to: int, size: int) -> Iterator[list[Claim]]:
        """Claims on the same messages as they are now, `size` at a time.

        The call costs a copy of a dictionary, 1 ms for 100,000 messages; the rest is paid by each step.
        """
        return _claims(self._deliveries.copy(), member, up_to, size)

    def check(self, member: str, claims: Claims) -> tuple[list[int], list[int]]:
        """The offsets of valid claims, and of stale ones: settled, unknown, or handed over to another member since."""
        if isinstance(claims, int):
            return self.held_by(member, claims), []
        valid: dict[int, None] = {}
        stale: list[int] = []
        for offset, attempt in claims:
            delivery = self._deliveries.get(offset)
            if delivery and delivery.member == member and attempt in (None, delivery.attempt):
                valid[offset] = None
            else:
                stale.append(offset)
        return list(valid), stale

    def hand_over(self, offsets: Sequence[int], member: str, now: float, deadline: float | None) -> list[int]:
        """Hand messages over to `member` until `deadline`, for good when it is None; returns the attempt of each.

        Each is new, or was taken from those that wait for redelivery.
        """
        get = self._deliveries.get
        new: Attempt = (1, now, now)
        known = list(map(get, offsets))
        attempts = [before.next(now) if before else new for before in known]
        if deadline is not None:
            self._add(member, offsets, attempts, NOT_IN_TIME, deadline)
            new_ones = known.count(None)
            self._count(new_ones)
            if new_ones < len(known):
                for offset, before in zip(offsets, known, strict=True):
                    if before:
                        self._left(offset, before)
        else:
            for offset in offsets:
                if offset in self._deliveries:
                    self.forget(offset)
        return [attempt for attempt, _, _ in attempts]

    def restore(self, delivery: Delivery) -> None:
        """Put back messages that were in flight before a restart; called in the order of offsets."""
        self._count(len(delivery.offsets))
        self._deliver(delivery)

    def put_back(self, delivery: Delivery) -> None:
        """Let messages that were settled wait for redelivery, before all others that wait: 8 ms beside 100,000."""
        offsets = delivery.offsets
        self.restore(delivery)
        in_order = sorted(self._deliveries)
        self._deliveries = dict(zip(in_order, map(self._deliveries.__getitem__, in_order), strict=True))
        for offset in reversed(offsets):
            self.redelivery.move_to_end(offset, last=False)

    def postpone(self, offsets: Iterable[int], due: float, problem: str) -> None:
        """Let messages be redelivered at `due`, unless settled before, because of `problem`."""
        for member, of_member in groupby(offsets, lambda offset: self._deliveries[offset].member):
            postponed = list(of_member)
            before = [self._deliveries[offset] for offset in postponed]
            attempts = [(delivery.attempt, delivery.first, delivery.since) for delivery in before]
            self._add(member, postponed, attempts, problem, due)
            for offset, delivery in zip(postponed, before, strict=True):
                self._left(offset, delivery)

    def depart(self, member: str) -> None:
        """Let everything that `member` has be overdue now, however late its deadlines are."""
        for delivery in self._of_member.pop(member, ()):
            delivery.problem = delivery.problem_after(PEER_LEFT)
            self._departed.append(delivery)
        self._unsettled.pop(member, None)

    def next_deadline(self) -> float:
        """When the next deadline passes; `NOW` when a member left, `NEVER` when nothing is due."""
        while self._departed and not self._departed[0].left:
            self._departed.popleft()
        if self._departed:
            return NOW
        while self._deadlines and not self._deadlines[0][2].left:
            heappop(self._deadlines)
            self._settled -= 1
        return self._deadlines[0][0] if self._deadlines else NEVER

    def first_overdue(self, now: float) -> Delivery | None:
        """The first delivery whose deadline passed by `now`, for `requeue`."""
        if self.next_deadline() > now:
            return None
        return self._departed[0] if self._departed else self._deadlines[0][2]

    def offsets_of(self, delivery: Delivery) -> list[int]:
        """The offsets of the messages that still belong to a delivery whose deadline has not been dealt with."""
        left = islice(delivery.offsets, delivery.taken, None)
        return [offset for offset in left if self._deliveries.get(offset) is delivery]

    def requeue(self, delivery: Delivery, limit: int) -> tuple[Delivery, list[int]]:
        """Let up to `limit` messages of the first overdue delivery wait for redelivery.

        Returns their delivery from now on, and their offsets, at least one.
        """
        left = islice(delivery.offsets, delivery.taken, None)
        offsets = list(islice((offset for offset in left if self._deliveries.get(offset) is delivery), limit))
        attempt = delivery.attempt, delivery.first, delivery.since
        requeued = Delivery(delivery.member, attempt, delivery.problem, None, offsets)
        self._deliver(requeued)
        delivery.taken = delivery.offsets.index(offsets[-1], delivery.taken) + 1
        self._count_settled(delivery, len(offsets))
        return requeued, offsets

    def take_redelivery(self) -> int:
        """Take the first offset that waits for redelivery, of at least one, to hand it over or forget it."""
        offset, _ = self.redelivery.popitem(last=False)
        return offset

    def forget(self, *offsets: int) -> None:
        """Forget messages that are in flight."""
        for offset in offsets:
            self._left(offset, self._deliveries.pop(offset))
        self._count(-len(offsets))

    def forget_all(self) -> None:
        """Forget all messages."""
        self._count(-len(self._deliveries), -self._delivery_count)
        self._deliveries = {}
        self.redelivery.clear()
        self._deadlines = []
        self._departed.clear()
        self._of_member = {}
        self._unsettled = {}
        self._settled = 0

    def _add(self, member: str, offsets: Sequence[int], attempts: list[Attempt], problem: str, due: float) -> None:
        """Deliver to `member` as these attempts: one delivery for all that follow each other with the same attempt."""
        if attempts and attempts.count(attempts[0]) == len(attempts):
            runs = [(attempts[0], len(attempts))]
        else:
            runs = [(attempt, sum(1 for _ in run)) for attempt, run in groupby(attempts)]
        begin = 0
        for attempt, count in runs:
            delivery = Delivery(member, attempt, problem, due, offsets[begin : begin + count])
            self._deliver(delivery)
            begin += count

    def _count(self, messages: int, deliveries: int = 0) -> None:
        """There are so many messages in flight, and deliveries, more."""
        self._totals.unacknowledged += messages
        self._delivery_count += deliveries
        self._memory.count_in_flight(messages * MESSAGE_SIZE + deliveries * DELIVERY_SIZE)

    def _deliver(self, delivery: Delivery) -> None:
        self._count(0, 1)
        self._deliveries.update(dict.fromkeys(delivery.offsets, delivery))
        if delivery.due is None:
            self.redelivery.update(dict.fromkeys(delivery.offsets))
            delivery.offsets = ()
        else:
            self._order += 1
            heappush(self._deadlines, (delivery.due, self._order, delivery))
            self._of_member.setdefault(delivery.member, {})[delivery] = None
            if delivery.problem == NOT_IN_TIME:
                self._unsettled[delivery.member] = self.count_of(delivery.member) + len(delivery.offsets)

    def _left(self, offset: int, delivery: Delivery) -> None:
        """A message belongs to `delivery` no longer."""
        if delivery.due is None:
            self.redelivery.pop(offset, None)
            delivery.left -= 1
            if not delivery.left:
                self._count(0, -1)
        else:
            self._count_settled(delivery, 1)

    def _count_settled(self, delivery: Delivery, count: int) -> None:
        delivery.left -= count
        if delivery.problem == NOT_IN_TIME:
            self._unsettled[delivery.member] -= count
        if not delivery.left:
            self._count(0, -1)
            delivery.offsets = ()
            self._forget_of_member(delivery)
            self._settled += 1
            if self._settled > len(self._deadlines) // 2 + SETTLED_ENTRIES:
                self._deadlines = [entry for entry in self._deadlines if entry[2].left]
                heapify(self._deadlines)
                self._settled = 0
        elif len(delivery.offsets) - delivery.taken > 2 * delivery.left + SETTLED_ENTRIES:
            listed = islice(delivery.offsets, delivery.taken, None)
            delivery.offsets = [offset for offset in listed if self._deliveries.get(offset) is delivery]
            delivery.taken = 0

    def _forget_of_member(self, delivery: Delivery) -> None:
        """A delivery has no messages left; that of a member that left is forgotten already."""
        of_member = self._of_member.get(delivery.member, {})
        of_member.pop(delivery, None)
        if not of_member:
            self._of_member.pop(delivery.member, None)
            self._unsettled.pop(delivery.member, None)


def _claims(deliveries: dict[int, Delivery], member: str, up_to: int, size: int) -> Iterator[list[Claim]]:
    held = ((o, delivery.attempt) for o, delivery in deliveries.items() if delivery.member == member and o <= up_to)
    while claims := list(islice(held, size)):
        yield list[Claim](claims)
