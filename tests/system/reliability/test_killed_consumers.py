"""Consumers are killed at random while 20 processes publish and consume: every message still arrives as promised."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from random import Random
from signal import SIGTERM
from typing import Any

import pytest

from tests.support.harness import Api, Process, eventually
from tests.system.reliability.history import Report, check
from tests.system.reliability.notes import deliveries, publishes
from tests.system.reliability.workers import Workers, check_that_all_end_well, stats, subscribe

PUBLISHERS = [f"publisher-{number}" for number in range(10)]
CONSUMERS_EACH = 5
KILLS = 20
PROGRESS = 300, 600
"""Messages acknowledged between two kills, at least and at most so many."""
SEED = 20
ROOM = 1000
"""Messages the topic holds for whoever is slowest, above which publishers have to wait."""
LEASES = {"billing": 3600.0, "shipping": 1.0}
ACK_DEADLINES = {"billing": 1.0, "shipping": 3600.0}
"""What the dead had in hand comes back to one group when its deadline passes, to the other when they are removed."""
GROUPS = list(LEASES)


class Groups(Workers):
    """Workers among which are consumers of groups, to be killed."""

    def __init__(self, run: Callable[..., Process], url: str, folder: Path) -> None:
        super().__init__(run, url, folder)
        self._numbers = count()
        self.consumers: dict[str, Process] = {}

    def start_consumer(self, group: str) -> None:
        peer_id = f"{group}-{next(self._numbers)}"
        self.consumers[peer_id] = self.start("consumer", peer_id, group=group, lease=LEASES[group])

    def replace_one(self, random: Random) -> None:
        """Kill a consumer that is at work, wherever it is in it, and start another in its place."""
        at_work = eventually(lambda: [peer_id for peer_id in self.consumers if self._has_noted_something(peer_id)])
        victim = random.choice(at_work)
        self.consumers.pop(victim).kill()
        self.start_consumer(victim.split("-")[0])

    def report(self, consumers: str) -> Report:
        """The history of the consumers, dead or alive, whose peer ids match."""
        sent = [publishes(self.notes(publisher)) for publisher in PUBLISHERS]
        notes = self.notes(consumers)
        report = check(sent, [deliveries(path) for path in notes.parent.glob(notes.name)])
        print(f"{consumers}: {report}")
        return report

    def _has_noted_something(self, peer_id: str) -> bool:
        notes = self.notes(peer_id)
        return notes.exists() and notes.stat().st_size > 0


@pytest.fixture
def server(run: Callable[..., Process]) -> Iterator[Api]:
    """It must be well to the end."""
    process = run("indexing_server.py", "--port", "0")
    (url,) = process.urls()
    api = Api(url)
    yield api
    api.close()
    process.signal(SIGTERM)
    assert process.finish() == (0, "", "")


@pytest.fixture
def workers(run: Callable[..., Process], server: Api, tmp_path: Path) -> Groups:
    return Groups(run, server.url, tmp_path)


def test_nothing_is_lost_duplicated_invented_or_reordered_when_consumers_are_killed(
    server: Api, workers: Groups
) -> None:
    create_topic(server)
    publishers = [workers.start("publisher", peer_id) for peer_id in PUBLISHERS]
    auditor = workers.start("consumer", "auditor")
    for group in GROUPS * CONSUMERS_EACH:
        workers.start_consumer(group)
    kill_consumers(server, workers)
    for peer_id in PUBLISHERS:
        server.post("/unregister_peer_node", peer_id=peer_id)
    check_that_all_end_well(publishers)
    eventually(lambda: server.get("/topics").body["topics"][0]["unread"] == 0)
    server.delete("/delete_topic", topic="orders")
    check_that_all_end_well([auditor, *workers.consumers.values()])

    published = stats(server)["published"]
    audit = workers.report("auditor")
    assert not audit.faults
    assert (audit.published, audit.delivered, audit.redelivered) == (published, published, 0)
    reports = [workers.report(f"{group}-*") for group in GROUPS]
    assert [report.faults for report in reports] == [{}, {}]
    assert stats(server)["acknowledged"] == len(GROUPS) * published
    assert stats(server)["missed"] == 0
    assert sum(report.redelivered for report in reports) > 0


def create_topic(server: Api) -> None:
    """With all its subscriptions: of the auditor, and of a member of each group that never pulls and never dies.

    So a group lasts though all its consumers are killed.
    """
    subscriptions: dict[str, dict[str, Any]] = {"auditor": {}}
    for group, deadline in ACK_DEADLINES.items():
        subscriptions[f"keeper-of-{group}"] = {"group": group, "ack": "explicit", "ack_deadline": deadline}
    assert server.post("/create_topic", topic="orders", max_messages=ROOM).status == 200
    for peer_id in PUBLISHERS:
        assert server.post("/register_peer_node", peer_id=peer_id).status == 200
    for peer_id, options in subscriptions.items():
        subscribe(server, peer_id, "orders", **options)


def kill_consumers(server: Api, workers: Groups) -> None:
    """Kill one whenever the groups have got a little further."""
    random = Random(SEED)  # noqa: S311  # repeatable, not secret
    for _ in range(KILLS):
        wait_until_acknowledged(server, stats(server)["acknowledged"] + random.randint(*PROGRESS))
        workers.replace_one(random)


def wait_until_acknowledged(server: Api, messages: int) -> None:
    eventually(lambda: stats(server)["acknowledged"] >= messages)
