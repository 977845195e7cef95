"""Errors as they are read from answers."""

import pytest

from peerbus.errors import InternalError, TopicFull, error_in


def test_an_error_body_becomes_its_class() -> None:
    error = error_in(429, b'{"code": "topic_full", "message": "Full."}')
    assert (type(error), error.message) == (TopicFull, "Full.")


def test_an_unknown_code_becomes_an_internal_error() -> None:
    error = error_in(418, b'{"code": "teapot", "message": "Short and stout."}')
    assert (type(error), error.message) == (InternalError, "Short and stout.")


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"code": "topic_full"}', b'{"code": %b}' % (b"[" * 100_000)])
def test_a_body_of_somebody_else_says_so(body: bytes) -> None:
    error = error_in(502, body)
    assert (type(error), error.message) == (InternalError, "The answer with status 502 is not peerbus's.")
