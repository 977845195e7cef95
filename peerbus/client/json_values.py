"""Python values as JSON: each is the same when it is read again, or is refused."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Raw


def encode(value: Any) -> bytes:
    """A value as JSON. A tuple becomes an array, and a `msgspec.Raw` is JSON already.

    Raises `ValueError`, or `TypeError` for a type that JSON does not have, with the place of what would change on the
    way: NaN and infinities, keys that are no strings, bytes, sets, dates and other objects.
    """
    try:
        encoded = msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        _check(value, "$")
        raise
    with suppress(msgspec.DecodeError, RecursionError):  # a `Raw` may be more than Python can hold
        if msgspec.json.decode(encoded) == value:
            return encoded
    _check(value, "$")
    return encoded


def _check(value: Any, place: str) -> None:
    """Raise an error if something in a value is not the same as JSON; `place` is where the value is."""
    match value:
        case None | bool() | Raw():
            return
        case float() | int() | str():
            _check_scalar(value, place)
        case Mapping():
            for key, inner in value.items():
                if not isinstance(key, str):
                    raise TypeError(f"The key {key!r} at {place} is no string, and would become one.")
                _check_scalar(key, place)
                _check(inner, f"{place}.{key}")
        case list() | tuple():
            for number, inner in enumerate(value):
                _check(inner, f"{place}[{number}]")
        case _:
            raise TypeError(f"JSON has no {type(value).__name__}: convert the value at {place} first.")


def _check_scalar(value: float | str, place: str) -> None:
    try:
        again = msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise ValueError(f"The value at {place} cannot be written as JSON: {error}.") from None
    if again != value:
        raise ValueError(f"JSON has no {value!r}: it would become {again!r} at {place}.")
