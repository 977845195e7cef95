"""Measurements made up for the tests."""

import math

from benchmarks.calls import CALLS, DIRECT, LIVEZ, PEER
from benchmarks.load import Load
from benchmarks.measurement import Measurement, measured
from benchmarks.rate import Rate

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
