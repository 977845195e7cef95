"""What msgspec finds wrong with values, in words for who gave them."""

import re

import msgspec
from msgspec import inspect

from peerbus.fields import MEANINGS

NOT_ONE_OF = re.compile(r"Invalid enum value (?P<value>.*) - at `\$\.(?P<field>\w+)`", re.DOTALL)


def in_words(error: msgspec.ValidationError, request: type[msgspec.Struct] | None = None) -> str:
    """The fault, with what was expected: also where a field of `request` is one of a few words."""
    fault = str(error)
    for pattern, meaning in MEANINGS.items():
        fault = fault.replace(f"`str` matching regex {pattern!r}", meaning)
    if request is not None and (found := NOT_ONE_OF.fullmatch(fault)):
        fault = f"Expected {_words_for(request, found['field'])}, got {found['value']} - at $.{found['field']}"
    return fault.replace("`", "")


def _words_for(request: type[msgspec.Struct], name: str) -> str:
    (field,) = [field for field in msgspec.structs.fields(request) if field.encode_name == name]
    return " or ".join(_words(inspect.type_info(field.type)))


def _words(kind: inspect.Type) -> list[str]:
    match kind:
        case inspect.Metadata():
            return _words(kind.type)
        case inspect.UnionType():
            return [word for each in kind.types for word in _words(each)]
        case inspect.LiteralType():
            return [repr(value) for value in kind.values]
        case inspect.IntType():
            return ["int"]
        case _:
            return []
