"""The log against a plain list that forgets nothing."""

from hypothesis import given
from hypothesis import strategies as st

from peerbus.broker.log import COMPACT_FROM, MESSAGE_OVERHEAD, Log, size_of

STEPS = st.lists(st.one_of(st.lists(st.binary(max_size=5), max_size=2000), st.integers(0, 5000)), max_size=20)


@given(STEPS, st.integers(0, 100), st.integers(0, 3000))
def test_offsets_stay_with_their_values_while_the_oldest_are_freed_and_let_go_of(
    steps: list[list[bytes] | int], back: int, released_at_once: int
) -> None:
    log, everything, start, released = Log(), list[bytes](), 0, 0
    for step in steps:
        if isinstance(step, int):
            start = max(start, min(step, len(everything)))
            log.free(step)
            released += log.release_values(released_at_once)
        else:
            assert log.extend(step) == len(everything)
            everything += step
        assert (log.start, log.end) == (start, len(everything))
        assert released == size_of(everything[: start - log.unreleased])
        offset = max(start, log.end - back)
        assert list(log.read(offset, 50, 10**9)) == everything[offset : offset + 50]


def test_freed_values_are_let_go_of_once_and_in_slices() -> None:
    log = Log()
    log.extend([b"12345", b"1", b"22"])
    assert log.free(2)
    assert not log.free(2)
    assert (log.start, log.unreleased) == (2, 2)
    assert log.release_values(1) == 5 + MESSAGE_OVERHEAD
    assert log.release_values(10) == 1 + MESSAGE_OVERHEAD
    assert log.release_values(10) == log.unreleased == 0


def test_a_read_ends_at_the_bytes_allowed_but_hands_over_one_larger_value() -> None:
    log = Log()
    log.extend([b"aaaa", b"bb", b"cccccccc"])
    assert log.read(0, 3, 6) == [b"aaaa", b"bb"]
    assert log.read(0, 3, 5) == [b"aaaa"]
    assert log.read(2, 3, 1) == [b"cccccccc"]
    assert log.read(3, 3, 1) == []


def test_freed_slots_are_given_back() -> None:
    log = Log()
    for _ in range(10 * COMPACT_FROM):
        log.extend([b"x"])
        log.free(log.end - 1)
        log.release_values(10)
    assert log.slots <= 2 * COMPACT_FROM
