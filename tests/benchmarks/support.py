"""Measurements made up for the tests."""

import math

from benchmarks.load import Load, ask, prepare
from benchmarks.stats import Measurement, Rate, measured
from benchmarks.suite import CALLS, DIRECT, LIVEZ, PEER
from benchmarks.wrk import Outcome, System

NOTES = {"cpu": "Some: processor", "cores": "2", "memory": "4 GiB", "python": "3.11", "date": "2026-01-01"}


def a_load(call: str, *latencies: float, errors: int = 0, seconds: float = 1.0) -> Load:
    load = Load(seconds=seconds, processor_seconds=seconds / 4)
    load.latencies[call] += latencies
    load.errors[call] += errors
    return load


def a_measurement(call: str, via: str, peers: int, messages: int = 0) -> Measurement:
    return measured(a_load(call, 0.001 * peers, 0.002 * peers, 0.004 * peers), call, via, peers, messages)


def a_rate(system: str, against: str = "") -> Rate:
    ratio = 2.0 if against else math.nan
    return Rate(system, "publish", 1, 3, 2000.0, 1000.0, 2500.0, 0.5, 1.5, 0, 0.0, against, ratio)


def measurements(*counts: int) -> list[Measurement]:
    """What a run of the API benchmark measures, with made-up figures."""
    rows = []
    for peers in counts:
        rows.append(a_measurement(LIVEZ, DIRECT, peers))
        for via in (DIRECT, PEER):
            rows += [a_measurement(call, via, peers, int(call in ("publish", "pull_messages"))) for call in CALLS]
            rows += [a_measurement(call, via, peers, 1000) for call in ("publish", "pull_messages")]
    return rows


def a_system(name: str, url: str = "", against: str = "", call: str = "publish") -> System:
    return System(name, call, url, [prepare("livez", method="GET")], against)


def an_outcome(rate: float, errors: int = 0) -> Outcome:
    return Outcome(rate, 1.0, 2.0, errors)


def asked_once(system: System) -> int:
    """Send some requests of a system once each; returns how many messages it says that it handled."""
    assert system.total
    before = system.total()
    for request in system.requests[:3]:
        ask(system.url, request)
    return system.total() - before
