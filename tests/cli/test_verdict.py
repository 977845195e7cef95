"""The state of a server in words, which `peerbus top` and the page say alike."""

import re
from typing import Any

import msgspec
import pytest

from peerbus.cli import verdict
from peerbus.cli.verdict import Recent, judge
from peerbus.http.pages import FILES
from peerbus.wire.views import Stats, TopicView


def figures(**named: Any) -> Stats:
    limits = {most: 1000 for _, most in verdict.LIMITS.values()}
    known = dict.fromkeys(Stats.__struct_fields__, 0) | limits | {"epoch": "one"}
    return msgspec.convert(known | named, Stats)


def topic(name: str, unread: int, overflow: str = "reject", age: float | None = None) -> TopicView:
    return TopicView(name, 100, overflow, None, 1000, 0, unread, unread - 10, 0, 1, 0, 0, 0, 0, 0, age, 10)


def told(stats: Stats, *topics: TopicView) -> tuple[str, list[str]]:
    judged = judge(stats, topics, Recent())
    return judged.sentence, [reason.sentence for reason in judged.reasons]


def lately(*looks: tuple[float, Stats]) -> tuple[str, list[str]]:
    recent = Recent()
    for at, stats in looks:
        recent.note(at, stats)
    judged = judge(looks[-1][1], [], recent)
    return judged.sentence, [reason.sentence for reason in judged.reasons]


def test_a_server_with_room_and_without_losses_is_well() -> None:
    assert told(figures(), topic("a", 79)) == ("All is well.", [])


def test_limits_and_topics_that_fill_are_told_the_bad_ones_first() -> None:
    topics = (topic("a", 80), topic("b", 100), topic("c", 100, "drop_oldest"), topic("d", 79))
    assert told(figures(memory_bytes=999, peers=1000, topics=899), *topics) == (
        "Something is wrong.",
        [
            "Peers: 100 % full, 1000 of 1000.",
            "Topic b is full and refuses publishes.",
            "Memory for messages: 99 % full, 999 B of 1.0 KiB.",
            "Topic c is full and drops the oldest messages.",
            "Topic a is 80 % full; once full, it refuses publishes.",
        ],
    )


def test_old_messages_are_told_the_oldest_first() -> None:
    topics = (topic("a", 11, age=3599.0), topic("b", 11, age=3600.0), topic("c", 11, age=200_000.0))
    assert told(figures(), *topics) == (
        "Worth a look.",
        ["Topic c has an unread message that is 2 d old.", "Topic b has an unread message that is 1 h old."],
    )


def test_scheduled_messages_without_room_are_told() -> None:
    said = "Scheduled messages are overdue because there is no room for them: 3."
    assert told(figures(scheduled_waiting=3)) == ("Something is wrong.", [said])


@pytest.mark.parametrize("figure", verdict.LATELY)
def test_what_grew_in_the_last_minute_is_told(figure: str) -> None:
    tone, sentence = verdict.LATELY[figure]
    grown = (10.0, figures(**{figure: 3}))
    assert lately((9.0, figures()), grown) == (verdict.VERDICTS[tone], [sentence])
    assert lately((9.0, figures()), grown, (70.0, figures(**{figure: 3}))) == ("All is well.", [])
    assert lately((9.0, figures(**{figure: 5})), grown) == (verdict.VERDICTS[tone], [sentence]), "it began again at 0"


def test_a_server_without_its_state_begins_anew() -> None:
    assert lately((9.0, figures()), (10.0, figures(epoch="two", missed=5))) == ("All is well.", [])


def test_the_page_says_the_same() -> None:
    labels = re.findall(r'(\w+): \["([A-Z].*)", "(\w+)", ', (FILES / "figures.js").read_text())
    assert labels == [(figure, label, most) for figure, (label, most) in verdict.LIMITS.items()]
    script = (FILES / "verdict.js").read_text()
    said = [*verdict.VERDICTS.values(), *(sentence for _, sentence in verdict.LATELY.values())]
    said += [*verdict.FULL.values(), *verdict.FULL_ONCE.values(), verdict.OLD, verdict.WAITING, verdict.LIMIT]
    assert re.findall(r'"([A-Z{][^"]*\.)"', script) == said
    tones = re.findall(r'(\w+): \["(\w+)", "', script)
    assert tones == [(figure, tone) for figure, (tone, _) in verdict.LATELY.items()]
