"""What is on disk when a call is answered."""

from pathlib import Path

from peerbus.broker import Broker, Limits
from peerbus.journal import OnDisk
from peerbus.storage import Storage
from tests.storage.support import contents


def opened(folder: Path, reserve: int = 0) -> tuple[OnDisk, Broker]:
    journal = OnDisk(Storage(folder), reserve)
    return journal, journal.open(Limits(), lambda *_: None)


def test_closing_writes_what_is_left_though_nothing_was_started(tmp_path: Path) -> None:
    journal, broker = opened(tmp_path)
    broker.create_topic("news")
    journal.close()
    assert [topic.name for topic in contents(tmp_path).topics] == ["news"]
