"""Brokers in memory and on disk: what a test says of one holds for the other."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from peerbus.broker import Broker, Limits
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from tests.broker.kept import OnTopicDeleted, writing_each_call
from tests.support.harness import Clock


@pytest.fixture(params=["memory", "disk"])
def make_broker(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Brokers on the test's clock, with limits of its own."""
    journals: list[GroupCommit] = []

    def in_memory(on_topic_deleted: OnTopicDeleted = lambda *_: None, **limits: Any) -> Broker:
        return Broker(Limits(**limits), clock, on_topic_deleted)

    def on_disk(on_topic_deleted: OnTopicDeleted = lambda *_: None, **limits: Any) -> Broker:
        journals.append(GroupCommit(Storage(tmp_path / f"data{len(journals)}"), reserve=0, clock=clock))
        return writing_each_call(journals[-1], Limits(**limits), on_topic_deleted)

    yield on_disk if request.param == "disk" else in_memory
    for journal in journals:
        journal.close()
