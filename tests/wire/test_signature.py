"""Signatures of pushed messages."""

import hmac
from hashlib import sha256
from time import time

import pytest

from peerbus.client import verify_signature
from peerbus.wire.signature import TOLERANCE_SECONDS, sign

NOW = 1_796_096_450.75
KEY = "a-key-of-16-characters"
BODY = '{"topic":"news","messages":["Grüße"]}'.encode()


def test_the_signature_is_that_of_the_time_and_the_body() -> None:
    expected = hmac.new(KEY.encode(), b"1796096450." + BODY, sha256).hexdigest()
    assert sign(BODY, KEY, NOW) == f"t=1796096450,v1={expected}"


def test_a_signature_is_valid_for_its_body_and_secret_alone() -> None:
    header = sign(BODY, KEY, time())
    assert verify_signature(BODY, header, KEY)
    assert not verify_signature(BODY + b" ", header, KEY)
    assert not verify_signature(BODY, header, KEY + "s")
    assert not verify_signature(BODY, header.replace("t=1", "t=2"), KEY)


@pytest.mark.parametrize("seconds", [TOLERANCE_SECONDS - 1, 1 - TOLERANCE_SECONDS])
def test_a_signature_is_valid_for_some_minutes(seconds: float) -> None:
    header = sign(BODY, KEY, NOW)
    assert verify_signature(BODY, header, KEY, now=NOW + seconds)
    assert not verify_signature(BODY, header, KEY, now=NOW + 2 * seconds)
    assert verify_signature(BODY, header, KEY, 2 * TOLERANCE_SECONDS, now=NOW + 1.5 * seconds)


@pytest.mark.parametrize("header", ["", "t=,v1=", "v1=00", "t=1796096450", "t=x,v1=" + "0" * 64, "t=1,v1=é"])
def test_anything_else_is_no_signature(header: str) -> None:
    assert not verify_signature(BODY, header, KEY, now=NOW)
