"""Decides from the history of a run whether every message arrived as promised.

In the spirit of Jepsen's total-queue checker: what went in, what came out, and what the difference is called.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple


class Publish(NamedTuple):
    """A publisher sent a message, different from all others. Unless acknowledged, nobody knows what became of it.

    A publish that the server refused is none.
    """

    message: str
    acknowledged: bool = True


class Delivery(NamedTuple):
    """A consumer got a message; `acknowledged` once the server confirmed its acknowledgement.

    With automatic acknowledgement every delivery is a first attempt.
    """

    message: str
    offset: int
    attempt: int = 1
    acknowledged: bool = False


@dataclass(frozen=True)
class Report:
    """What became of the messages of a run in one group of consumers.

    `published` counts the acknowledged, and of the others those that were delivered; `delivered` all deliveries,
    `redelivered` those of a later attempt, which explicit acknowledgement allows. `elsewhere` are the acknowledged
    messages that no consumer got because they went another way. The rest are faults:

    - lost: the publish was acknowledged, and no consumer got the message;
    - duplicated: delivered again with the same attempt, or after an earlier attempt was acknowledged;
    - invented: delivered, though nobody published it;
    - reordered: first delivered after, or with a higher offset than, what its publisher published later.
    """

    published: int
    delivered: int
    redelivered: int
    elsewhere: tuple[str, ...]
    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    invented: tuple[str, ...]
    reordered: tuple[str, ...]

    @property
    def faults(self) -> dict[str, tuple[str, ...]]:
        """The messages at fault by what is wrong; empty when everything arrived as promised."""
        kinds = ("lost", "duplicated", "invented", "reordered")
        return {kind: messages for kind in kinds if (messages := getattr(self, kind))}

    def __str__(self) -> str:
        return (
            f"published {self.published}, delivered {self.delivered}, redelivered {self.redelivered}, "
            f"lost {len(self.lost)}, duplicated {len(self.duplicated)}, invented {len(self.invented)}, "
            f"reordered {len(self.reordered)}"
        )


def check(
    publishers: Sequence[Sequence[Publish]],
    consumers: Sequence[Sequence[Delivery]],
    elsewhere: Collection[str] = (),
) -> Report:
    """Compare what each publisher sent, in its order, with what each consumer of one group got, in its order.

    `elsewhere` are messages that may have gone another way, as was promised: to a dead-letter topic, say.
    """
    acknowledged = {publish.message: publish.acknowledged for publisher in publishers for publish in publisher}
    deliveries = [delivery for consumer in consumers for delivery in consumer]
    arrived = {delivery.message for delivery in deliveries}
    genuine = [[delivery for delivery in consumer if delivery.message in acknowledged] for consumer in consumers]
    rightful, duplicated = _without_duplicates(genuine)
    absent = [message for message, certain in acknowledged.items() if certain and message not in arrived]
    return Report(
        published=sum(certain or message in arrived for message, certain in acknowledged.items()),
        delivered=len(deliveries),
        redelivered=sum(delivery.attempt > 1 for consumer in rightful for delivery in consumer),
        elsewhere=tuple(message for message in absent if message in elsewhere),
        lost=tuple(message for message in absent if message not in elsewhere),
        duplicated=tuple(duplicated),
        invented=tuple(sorted(arrived - acknowledged.keys())),
        reordered=tuple(sorted(_reordered(publishers, rightful))),
    )


def _without_duplicates(consumers: Sequence[Sequence[Delivery]]) -> tuple[list[list[Delivery]], list[str]]:
    """The deliveries that each consumer rightly got, and the messages that somebody got when nobody should."""
    settled: dict[str, int] = {}
    for message, _, attempt, acknowledged in chain.from_iterable(consumers):
        if acknowledged:
            settled[message] = min(attempt, settled.get(message, attempt))
    seen: set[tuple[str, int]] = set()
    rightful: list[list[Delivery]] = [[] for _ in consumers]
    duplicated: list[str] = []
    for consumer, kept in zip(consumers, rightful, strict=True):
        for delivery in consumer:
            message, attempt = delivery.message, delivery.attempt
            if (message, attempt) in seen or attempt > settled.get(message, attempt):
                duplicated.append(message)
            else:
                seen.add((message, attempt))
                kept.append(delivery)
    return rightful, duplicated


def _reordered(publishers: Sequence[Sequence[Publish]], consumers: Sequence[Sequence[Delivery]]) -> set[str]:
    """The messages that were overtaken: at the consumer that got them, or by offset in the whole group.

    A publish that was not acknowledged may take effect at any time, so it has no place in the order; neither has
    a redelivery.
    """
    places = {
        publish.message: (publisher, number)
        for publisher, publishes in enumerate(publishers)
        for number, publish in enumerate(publishes)
        if publish.acknowledged
    }
    first = [[d for d in consumer if d.attempt == 1 and d.message in places] for consumer in consumers]
    by_offset = sorted(chain.from_iterable(first), key=lambda delivery: delivery.offset)
    return {message for ordering in [*first, by_offset] for message in _overtaken(ordering, places)}


def _overtaken(ordering: Iterable[Delivery], places: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    latest: dict[int, int] = {}
    for delivery in ordering:
        publisher, number = places[delivery.message]
        if number < latest.get(publisher, number):
            yield delivery.message
        else:
            latest[publisher] = number
