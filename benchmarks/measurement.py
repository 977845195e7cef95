"""A measurement: one row of the CSV."""

from dataclasses import dataclass

from benchmarks.load import Load
from benchmarks.summary import Summary, summarise


@dataclass(frozen=True, slots=True)
class Measurement(Summary):
    """What calling one call came to, through peer nodes or directly at the indexing server.

    `peers` callers called at once, each on one connection. `errors` counts the answers that were not the expected
    ones; all other figures are of the good answers. `generator_cpu` is the share of one processor core that the
    load generator used meanwhile, `stolen` that of all processors' time that the hypervisor took away.
    """

    call: str
    via: str
    peers: int
    messages_per_request: int
    requests: int
    errors: int
    seconds: float
    requests_per_s: float
    messages_per_s: float
    generator_cpu: float
    stolen: float


def measured(load: Load, call: str, via: str, peers: int, messages_per_request: int = 0) -> Measurement:
    """The measurement of one of the calls in a load.

    Where the load was of several calls, which took turns, this one's time is its share of all the waiting done.
    """
    latencies = load.latencies[call]
    waited = sum(sum(each) for each in load.latencies.values())
    seconds = load.seconds * sum(latencies) / waited if waited else load.seconds
    rate = len(latencies) / seconds if seconds else 0.0
    summary = summarise(latencies)
    return Measurement(
        **{name: getattr(summary, name) for name in Summary.__dataclass_fields__},
        call=call,
        via=via,
        peers=peers,
        messages_per_request=messages_per_request,
        requests=len(latencies) + load.errors[call],
        errors=load.errors[call],
        seconds=seconds,
        requests_per_s=rate,
        messages_per_s=rate * messages_per_request,
        generator_cpu=load.processor_seconds / load.seconds if load.seconds else 0.0,
        stolen=load.stolen,
    )
