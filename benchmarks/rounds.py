"""Rounds: several systems measured by turns, so that what else the machine does meets all of them."""

from collections.abc import Sequence

from tqdm import tqdm

from benchmarks.system import Outcome, System


def by_turns(systems: Sequence[System], rounds: int, connections: int, seconds: int) -> dict[System, list[Outcome]]:
    """What each system came to in each round."""
    outcomes: dict[System, list[Outcome]] = {system: [] for system in systems}
    with tqdm(total=rounds * len(systems), unit="run", dynamic_ncols=True, leave=False) as bar:
        for _ in range(rounds):
            for system, its in outcomes.items():
                bar.set_description(f"{system.call}: {system.name}")
                its.append(system.measure(connections, seconds))
                bar.update()
    return outcomes
