"""`peerbus top`: frames of looks made up, one frame of a server, and the live view in a terminal."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from peerbus.cli.top import Snapshot, frame
from peerbus.cli.verdict import Recent
from peerbus.wire.views import PeerView, Stats, TopicView
from tests.support.cli import COMMAND, CommandLine, ended, environment, start
from tests.support.harness import DEADLINE, ROOT, Api, eventually, in_background

URL = "http://127.0.0.1:5000"
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()].|\x1b[=>]")


def figures(**named: Any) -> Stats:
    known = dict.fromkeys(Stats.__struct_fields__, 0) | {"epoch": "one", "uptime_seconds": 100.0}
    return msgspec.convert(known | named, Stats)


def topic(name: str, next_offset: int = 0, unread: int = 0) -> TopicView:
    return TopicView(name, 1000, "reject", None, 1000, 0, next_offset, unread, 0, 1, 0, 0, 0, 0, 0, None, 0)


def peer(name: str) -> PeerView:
    return PeerView(name, f"http://{name}/", 30.0, 12.34, ["news"])


def lines(before: Snapshot | None, now: Snapshot, width: int = 80, height: int = 24) -> list[str]:
    recent = Recent()
    for each in (before, now):
        if each:
            recent.note(each.at, each.stats)
    found = frame(URL, before, now, recent, width, height)
    assert len(found) <= height
    assert all(len(line) <= width for line in found)
    return found


def row(found: list[str], name: str) -> list[str]:
    return next(line.split() for line in found if line.startswith(name))


def test_a_frame_tells_the_rates_since_the_look_before() -> None:
    before = Snapshot(10.0, figures(published=5, pulled=10), [topic("news", 5)], [])
    now = Snapshot(
        12.0,
        figures(published=25, pulled=11, peers=1, topics=2),
        [topic("jobs", 4), topic("news", 21, 7)],
        [peer("bob")],
    )
    found = lines(before, now)
    assert found[0] == f"peerbus at {URL}, up 1 min"
    assert row(found, "a second")[2:4] == ["10.0", "0.5"]
    assert row(found, "in all")[2:4] == ["25", "11"]
    assert row(found, "news") == ["news", "8.0", "7", "0", "1"]
    assert row(found, "jobs") == ["jobs", "2.0", "0", "0", "1"], "a new topic began at 0"
    assert row(found, "bob") == ["bob", "12", "s", "1", "http://bob/"]


def test_a_frame_tells_the_state_of_the_server_and_why() -> None:
    before = Snapshot(10.0, figures(missed=5), [], [])
    calm = lines(before, Snapshot(12.0, figures(missed=5), [topic("news", 21, 7)], []))
    assert calm[2:4] == ["All is well.", ""]
    now = Snapshot(12.0, figures(missed=5, discarded=3), [topic("news", 1000, 1000)], [])
    assert lines(before, now)[2:6] == [
        "Something is wrong.",
        "- Topic news is full and refuses publishes.",
        "- Messages were discarded in the last minute with queues that ended.",
        "",
    ]
    assert row(lines(before, now), "in all")[6:8] == ["0", "8"], "dead letters, and lost ones"


def test_without_a_look_before_there_are_no_rates() -> None:
    now = Snapshot(12.0, figures(), [topic("news", 21)], [])
    for before in (None, Snapshot(10.0, figures(epoch="another"), [topic("news", 5)], [])):
        assert row(lines(before, now), "a second")[2] == "-"
        assert row(lines(before, now), "news")[1] == "-"


def test_a_topic_that_was_made_anew_is_counted_anew() -> None:
    before, now = (Snapshot(at, figures(), [topic("news", count)], []) for at, count in ((1.0, 100), (2.0, 3)))
    assert row(lines(before, now), "news")[1] == "3.0"


def test_the_busiest_topics_come_first_then_those_with_most_to_do() -> None:
    before = Snapshot(1.0, figures(), [], [])
    now = Snapshot(2.0, figures(), [topic("a"), topic("b", 1), topic("c", unread=2), topic("d", 9)], [])
    found = [line.partition(" ")[0] for line in lines(before, now)]
    assert found[found.index("TOPIC") + 1 :][:4] == ["d", "b", "c", "a"]


@pytest.mark.parametrize(("topics", "peers"), [(0, 0), (1, 1), (3, 500), (500, 3), (500, 500)])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 100), (40, 14), (10, 3)])
def test_a_frame_fits_and_says_what_it_leaves_out(topics: int, peers: int, width: int, height: int) -> None:
    names = [f"{n}".rjust(128, "x") for n in range(max(topics, peers))]
    now = Snapshot(
        1.0,
        figures(peers=peers, topics=topics),
        [topic(n) for n in names[:topics]],
        [peer(n) for n in names[:200][:peers]],
    )
    found = lines(None, now, width, height)
    if (width, height) == (80, 24):
        cut = [line for line in found if line.startswith("... and ")]
        assert len(cut) == (topics > 100) + (peers > 100)
        assert any(line.startswith("PEER") for line in found)


def test_one_frame_can_be_piped(index: Api) -> None:
    index.subscriber("bob", "news")
    index.post("/publish", topic="news", messages=[1, 2])
    code, out, err = ended(start(index.url, "top", "--once", "--interval", "0.1", COLUMNS="80", LINES="24"))
    assert (code, err) == (0, "")
    found = out.splitlines()
    assert found[0].startswith(f"peerbus at {index.url}, up ")
    assert row(found, "news") == ["news", "0.0", "2", "0", "1"]
    assert row(found, "bob") == ["bob", "-", "1", "-"]


def test_a_server_that_cannot_be_reached_is_said_before_anything_is_drawn() -> None:
    assert CommandLine("http://127.0.0.1:1").refused(3, "top", "--once").startswith("error: index_unreachable: ")


class Terminal:
    """A terminal of 80 columns and 24 lines, and a command in it."""

    def __init__(self, url: str, *arguments: str, kind: str = "xterm") -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.settings = termios.tcgetattr(slave)
        self._slave = slave
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=ROOT,
            env=environment(PEERBUS_URL=url, TERM=kind),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        self.shown = ""

    def shows(self, text: str) -> None:
        """Wait until `text` was shown."""
        in_background(lambda: self._read_until(text)).result(DEADLINE)

    def _read_until(self, text: str) -> None:
        while text not in CONTROLS.sub("", self.shown):
            self.shown += os.read(self._master, 10_000).decode()

    def press(self, key: str) -> None:
        os.write(self._master, key.encode())

    def is_as_it_was(self) -> bool:
        """Whether the terminal's settings are those it began with."""
        return termios.tcgetattr(self._slave) == self.settings

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def terminal(index: Api) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_terminal(*arguments: str, **options: str) -> Terminal:
        opened.append(Terminal(index.url, *arguments, **options))
        return opened[-1]

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield open_terminal
    signal.signal(signal.SIGINT, before)
    for each in opened:
        each.close()


ENDINGS: dict[str, Callable[[Terminal], None]] = {
    "q": lambda terminal: terminal.press("q"),
    "Ctrl-C": lambda terminal: terminal.process.send_signal(signal.SIGINT),
    "SIGTERM": lambda terminal: terminal.process.send_signal(signal.SIGTERM),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_live_view_shows_what_comes_and_leaves_the_terminal_as_it_was(
    terminal: Callable[..., Terminal], index: Api, ending: str
) -> None:
    opened = terminal("top", "--interval", "0.1")
    opened.shows("SUBSCRIBERS")
    index.post("/create_topic", topic="breaking-news")
    opened.shows("breaking-news")
    ENDINGS[ending](opened)
    assert opened.process.wait(DEADLINE) == 0
    assert opened.is_as_it_was()


def test_a_terminal_that_cannot_be_drawn_on_is_said(terminal: Callable[..., Terminal]) -> None:
    opened = terminal("top", kind="no-such-terminal")
    opened.shows("error: This terminal cannot be drawn on")
    assert opened.process.wait(DEADLINE) == 2


def test_who_follows_at_a_terminal_is_told_how_to_end_it(terminal: Callable[..., Terminal], index: Api) -> None:
    index.post("/create_topic", topic="news")
    opened = terminal("subscribe", "news", "--follow", "--peer-id", "me")
    opened.shows("Following topic 'news' as peer 'me'. Ctrl-C ends.")
    opened.process.send_signal(signal.SIGINT)
    assert opened.process.wait(DEADLINE) == 0
    eventually(lambda: index.get("/stats").body["stats"]["waiting_pulls"] == 0)
