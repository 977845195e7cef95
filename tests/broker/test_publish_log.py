"""The log of publishes against a list with one entry for each message."""

from hypothesis import given
from hypothesis import strategies as st

from peerbus.broker.publish_log import FEW_PUBLISHERS, MOST_PUBLISHERS, Publish, PublishLog

NAMES = st.sampled_from([None, "a", "b", "c"])
APPENDED = st.tuples(NAMES, st.integers(1, 5), st.sampled_from([0.0, 0.0002, 0.001, 5.0]))
"""A publisher, how many messages it publishes, and the seconds since the publish before."""
STEPS = st.lists(st.one_of(APPENDED, st.integers(0, 60)), max_size=40)


def append(log: PublishLog, offset: int, now: float, publisher: str | None) -> None:
    """As a topic does."""
    if now >= log.until or publisher != log.publisher:
        log.append(offset, now, publisher)


@given(STEPS, st.floats(-1000, 1000))
def test_each_message_keeps_its_publisher_and_its_time(
    steps: list[tuple[str | None, int, float] | int], now: float
) -> None:
    log, published, start = PublishLog(), list[Publish](), 0
    for step in steps:
        if isinstance(step, int):
            if published:
                start = max(start, min(step, len(published) - 1))
                log.free(start)
        else:
            publisher, count, passed = step
            now += passed
            append(log, len(published), now, publisher)
            published += [Publish(publisher, round(now * 1000))] * count
        kept = range(start, len(published))
        assert list(log.publishes(kept)) == published[start:]
        assert list(log.publishes(kept[::-2])) == published[start:][::-2]
        for offset in kept[::3]:
            since = published[offset].milliseconds
            first = next(at for at, publish in enumerate(published) if publish.milliseconds >= since)
            assert max(start, log.first_since(since, len(published))) == max(start, first)
            assert log.first_since(published[-1].milliseconds + 1, len(published)) == len(published)


def test_messages_grow_old_in_the_order_in_which_they_were_published() -> None:
    log = PublishLog()
    for offset in range(10):
        append(log, offset, float(offset), None)
    log.free(2)
    assert log.expiry(3, 4.5) == 7.5
    assert log.expired(3, 10, 4.5, 7.5) == 4
    assert log.expired(3, 10, 4.5, 9.4) == 5
    assert log.expired(3, 10, 4.5, 100.0) == 10


def test_messages_of_a_time_to_come_do_not_keep_older_ones_from_growing_old() -> None:
    """The wall clock was set back before a restart."""
    log = PublishLog()
    for offset, published_at in enumerate([50.0, 1000.0, 60.0]):
        log.restore(offset, published_at, None)
    append(log, 3, 70.0, None)
    assert [publish.milliseconds for publish in log.publishes(range(4))] == [50_000, 1_000_000, 60_000, 70_000]
    assert log.expired(0, 4, 10.0, 65.0) == 1
    assert log.expiry(2, 10.0) == 70.0
    assert log.expired(2, 4, 10.0, 70.0) == 3


def test_publishes_of_one_peer_in_one_millisecond_share_an_entry() -> None:
    log = PublishLog()
    for offset in range(1000):
        append(log, offset, 7.0 + offset / 2**22, "a")
    assert log.entries == 1
    append(log, 1000, 7.0, "b")
    append(log, 1001, 7.0, "a")
    append(log, 1002, 7.25, "a")
    assert log.entries == 4


def test_publishers_without_messages_are_forgotten() -> None:
    log = PublishLog()
    for offset in range(10 * FEW_PUBLISHERS):
        append(log, offset, float(offset), f"peer{offset}")
        log.free(offset)
    assert log.publishers <= FEW_PUBLISHERS + 5
    assert [publish.publisher for publish in log.publishes([offset])] == [f"peer{offset}"]


def test_messages_of_more_publishers_than_can_be_told_apart_have_none() -> None:
    log = PublishLog()
    for number in range(1, MOST_PUBLISHERS):
        append(log, number, float(number), f"peer{number}")
    append(log, MOST_PUBLISHERS, 0.0, "one more")
    seen = [publish.publisher for publish in log.publishes([1, MOST_PUBLISHERS - 1, MOST_PUBLISHERS])]
    assert seen == ["peer1", f"peer{MOST_PUBLISHERS - 1}", None]
