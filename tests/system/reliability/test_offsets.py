"""What offsets tell of a history is found, and nothing else."""

import pytest

from tests.system.reliability.history import Delivery
from tests.system.reliability.notes import Pull, Sending
from tests.system.reliability.offsets import Places, taken_unanswered

SENT = [Sending(["a0"], 0), Sending(["b0", "b1"], 1), Sending(["c0", "c1"], None)]
GOT = [Delivery("a0", 0), Delivery("b0", 1), Delivery("b1", 2), Delivery("c0", 3), Delivery("c1", 4)]


def test_a_clean_history_has_no_faults() -> None:
    assert Places(SENT, GOT).faults() == {}
    assert Places(SENT, GOT).at([0, 4, 5]) == {"a0", "c1"}


def test_calls_that_nobody_answered_may_have_had_no_effect() -> None:
    assert Places(SENT, GOT[:3]).faults() == {}


def test_a_message_that_is_there_twice_is_found() -> None:
    assert Places(SENT, [*GOT, Delivery("a0", 5)]).faults() == {"republished": ("a0",)}


def test_an_offset_given_twice_is_found() -> None:
    assert Places([*SENT, Sending(["d0"], 0)], GOT).faults() == {"misplaced": ("a0", "d0")}


@pytest.mark.parametrize("arrived", [GOT[:4], [*GOT[:3], GOT[4]], [*GOT[:4], Delivery("c1", 5)]])
def test_a_batch_that_is_there_in_part_or_scattered_is_found(arrived: list[Delivery]) -> None:
    assert Places(SENT, arrived).faults() == {"torn": ("c0",)}


def pull(*offsets: int, upto: int, unanswered: int = 0) -> Pull:
    return Pull(list(offsets), upto, 0, unanswered)


def test_what_an_unanswered_pull_took_is_what_lies_between_two_answers() -> None:
    pulls = [pull(0, 1, upto=2), pull(5, upto=6, unanswered=1), pull(upto=8, unanswered=2), pull(8, upto=9)]
    assert taken_unanswered(pulls, most=3) == {2, 3, 4, 6, 7}


def test_no_pull_takes_more_than_it_may() -> None:
    assert taken_unanswered([pull(7, upto=8, unanswered=2)], most=3) == set()


def test_what_answered_pulls_skip_is_not_excused() -> None:
    assert taken_unanswered([pull(1, upto=2), pull(3, upto=4)], most=3) == set()
