"""How soon pulls are answered that wait for the same message."""

from dataclasses import asdict, dataclass

from tqdm import tqdm

from benchmarks.processes import indexing_server
from benchmarks.summary import Summary, summarise
from benchmarks.waiting import waiting_pulls


@dataclass(frozen=True, slots=True)
class Waking(Summary):
    """The times from sending one publish to each of the answers of the pulls that waited for it, in one round."""

    pulls: int
    round: int

    def __str__(self) -> str:
        """One line for a person."""
        times = f"p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms, last {self.max_ms:.1f} ms"
        return f"{self.pulls:,} pulls woken by one publish, round {self.round}: {times}"


def wake(pulls: int, rounds: int) -> list[Waking]:
    """Let so many pulls wait on one topic of a fresh server, and publish one message, several times."""
    rows = []
    with indexing_server() as server, waiting_pulls(server.url, pulls) as waiting:
        for number in tqdm(range(1, rounds + 1), unit="run", dynamic_ncols=True, leave=False, desc="waking"):
            waiting.begin()
            rows.append(Waking(**asdict(summarise(waiting.wake())), pulls=pulls, round=number))
    return rows
