"""Judges the notes of a run in which the server was killed: what was promised, and what came of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.system.reliability.history import Delivery, Publish, Report, check
from tests.system.reliability.notes import Sending, count, deliveries, doubtful, publishes, pulls, sendings
from tests.system.reliability.offsets import Places, taken_unanswered
from tests.system.reliability.worker import PAGE

Notes = Callable[[str], Path]
"""The notes of a worker by its name."""
FAULTS = ("lost", "duplicated", "invented", "reordered", "republished", "misplaced", "torn", "forgotten", "missed")


@dataclass(frozen=True)
class Cast:
    """The workers of a run by name: one consumes for itself, one may send messages to the dead, some share."""

    publishers: Sequence[str]
    automatic: str
    neglectful: str
    undertaker: str
    group: Sequence[str]

    @property
    def consumers(self) -> Sequence[str]:
        return [self.automatic, self.neglectful, *self.group, self.undertaker]


@dataclass(frozen=True)
class Verdict:
    """What a run came to: figures of what happened, and the messages at fault by who got them and what is wrong."""

    figures: Mapping[str, int]
    faults: Mapping[str, Sequence[str]]

    def __str__(self) -> str:
        found = {kind: sum(len(those) for name, those in self.faults.items() if name.endswith(kind)) for kind in FAULTS}
        return ", ".join(f"{name} {number}" for name, number in (*self.figures.items(), *found.items()))


def judge(notes: Notes, cast: Cast) -> Verdict:
    """Compare what was sent with what came, in every way that a consumer was to get it."""
    sent = [publishes(notes(name)) for name in cast.publishers]
    calls = [call for name in cast.publishers for call in sendings(notes(name))]
    got = {name: deliveries(notes(name)) for name in cast.consumers}
    doubt = {name: doubtful(notes(name)) for name in cast.consumers}
    places = Places(calls, (each for name in cast.consumers if name != cast.undertaker for each in got[name]))
    answered = pulls(notes(cast.automatic))
    taken = places.at(taken_unanswered(answered, PAGE))
    dead = {letter.message for letter in got[cast.undertaker]}
    alive = unsettled(sent, got[cast.neglectful], places.at(doubt[cast.neglectful]))
    shared = [delivery for name in cast.group for delivery in got[name]]
    reports = {
        cast.automatic: check(sent, [got[cast.automatic]], taken),
        cast.neglectful: check(sent, [got[cast.neglectful]], dead),
        "group": check(sent, [got[name] for name in cast.group]),
        cast.undertaker: check([[publish] for publish in alive], [got[cast.undertaker]]),
    }
    left = unsettled(sent, shared, places.at(offset for name in cast.group for offset in doubt[name]))
    others = {
        "forgotten": [publish.message for publish in left if publish.acknowledged],
        "missed": [name for name in cast.consumers if any(pull.missed for pull in pulls(notes(name)))],
    }
    faults = {f"{name} {kind}": those for name, report in reports.items() for kind, those in report.faults.items()}
    return Verdict(
        figures={
            **_published(calls, places, notes, cast),
            **_delivered(reports),
            "dead letters": len(got[cast.undertaker]),
            "unanswered pulls with auto": sum(pull.unanswered for pull in answered),
            "taken by these": len(taken),
        },
        faults=faults | places.faults() | {kind: those for kind, those in others.items() if those},
    )


def unsettled(sent: Sequence[Sequence[Publish]], got: Sequence[Delivery], doubtful: set[str]) -> Sequence[Publish]:
    """What consumers have not acknowledged for certain; as a publish of unknown outcome where they may have.

    Where messages die it must be in the dead-letter topic, and nothing else may be there. Where they do not, there
    must be nothing when all is drained: what nobody acknowledged and is gone was forgotten.
    """
    settled = {delivery.message for delivery in got if delivery.acknowledged}
    return [
        Publish(message, certain and message not in doubtful)
        for publisher in sent
        for message, certain in publisher
        if message not in settled
    ]


def _published(calls: Sequence[Sending], places: Places, notes: Notes, cast: Cast) -> dict[str, int]:
    unknown = [message for messages, offset in calls for message in messages if offset is None]
    acknowledged = sum(len(messages) for messages, offset in calls if offset is not None)
    there = sum(places.has(message) for message in unknown)
    return {
        "published": acknowledged + there,
        "acknowledged": acknowledged,
        "unknown": len(unknown),
        "of these there": there,
        "repeated publishes told as duplicates": sum(
            count(notes(name), "published", duplicate=True) for name in cast.publishers
        ),
    }


def _delivered(reports: Mapping[str, Report]) -> dict[str, int]:
    return {
        "delivered": sum(report.delivered for report in reports.values()),
        "redelivered": sum(report.redelivered for report in reports.values()),
    }
