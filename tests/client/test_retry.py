"""Which calls are repeated, and how long: what the catalogue of errors says, from the first failure on."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from peerbus.client.retry import MAX_BACKOFF_SECONDS, Retries
from peerbus.errors import CATALOGUE, IndexTimeout, IndexUnreachable, PeerbusError

UNKNOWN = {IndexUnreachable.status, IndexTimeout.status}


@pytest.mark.parametrize("error", CATALOGUE.values(), ids=CATALOGUE)
def test_an_error_that_says_when_to_retry_is_repeated_and_no_other(error: type[PeerbusError]) -> None:
    retries = Retries(60.0, repeat=False)
    again = retries.pause(0.0, error.status, str(error.retry_after or "")) is not None
    same_status = [other for other in CATALOGUE.values() if other.status == error.status]
    assert again == (any(other.retry_after for other in same_status) and error.status not in UNKNOWN)


@pytest.mark.parametrize("status", [None, *sorted(UNKNOWN)])
def test_what_may_have_been_done_is_repeated_only_where_that_does_no_harm(status: int | None) -> None:
    assert Retries(60.0, repeat=True).pause(0.0, status) is not None
    assert Retries(60.0, repeat=False).pause(0.0, status) is None


def test_patience_counts_from_the_first_failure() -> None:
    retries = Retries(10.0, repeat=True)
    assert retries.pause(1000.0, None) is not None
    assert retries.pause(1009.0, None) is not None
    assert retries.pause(1010.0, None) is None


def test_pauses_are_as_long_as_asked_for_and_end_with_patience() -> None:
    retries = Retries(20.0, repeat=False)
    first = retries.pause(0.0, 507, "10")
    assert first is not None
    assert 10.0 <= first <= 10.0 + MAX_BACKOFF_SECONDS
    last = retries.pause(9.0, 507, "10")
    assert last is not None
    assert last <= 11.0
    assert retries.pause(11.0, 507, "10") is None, "it would be too late then"


@pytest.mark.parametrize("text", ["", "soon", "-1", "1e9", "Mon, 99 Foo 2026"])
def test_a_header_that_says_no_time_is_none(text: str) -> None:
    pause = Retries(60.0, repeat=False).pause(0.0, 503, text)
    assert pause is not None
    assert pause <= MAX_BACKOFF_SECONDS


def test_a_time_of_day_may_be_asked_for() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    pause = Retries(60.0, repeat=False).pause(0.0, 503, later)
    assert pause is not None
    assert 20.0 < pause < 30.0 + MAX_BACKOFF_SECONDS
    past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    pause = Retries(60.0, repeat=False).pause(0.0, 503, past)
    assert pause is not None
    assert pause <= MAX_BACKOFF_SECONDS
