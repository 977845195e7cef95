"""JSON Schemas of requests, answers and errors."""

import inspect
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from peerbus.errors import PeerbusError
from peerbus.wire.protocol import Answer, ErrorAnswer, Request

Schema = dict[str, Any]
Schemas = dict[str, Schema]
Bounds = Mapping[tuple[type[Request], str], float]
"""The maximum of a field, by request and field name, if it depends on the service's settings."""

REFERENCE = "#/components/schemas/{name}"


def reference(kind: type) -> Schema:
    """A schema that refers to the schema of a type."""
    return {"$ref": REFERENCE.format(name=kind.__name__)}


def text(documented: object) -> str:
    """The text of a docstring, with each paragraph on one line."""
    paragraphs = (inspect.getdoc(documented) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def request_schemas(kinds: Iterable[type[Request]], peer_id: str | None, bounds: Bounds) -> Schemas:
    """The schemas of requests by their names. `peer_id` is the id that the service fills in, if it does."""
    schemas: Schemas = {}
    for kind in kinds:
        found = _found((kind,))
        schema = schemas[kind.__name__] = _inlined(found[kind.__name__], found)
        schema.update(_one_of(kind))
        fields = schema["properties"]
        for field in fields:
            if (kind, field) in bounds:
                fields[field]["maximum"] = bounds[kind, field]
        if peer_id is not None and "peer_id" in fields:
            fields["peer_id"] = {"const": peer_id, "description": "This node's own peer. The node fills it in."}
            schema["required"] = [name for name in schema["required"] if name != "peer_id"]
    return schemas


def answer_schemas(kinds: Iterable[type[Answer]]) -> Schemas:
    """The schemas of answers, and of the types that they contain, by their names."""
    return _found(kinds)


def error_schema(errors: Iterable[type[PeerbusError]]) -> Schema:
    """The schema of an error's body, with the meaning of each code."""
    schema = _found((ErrorAnswer,))[ErrorAnswer.__name__]
    schema["properties"]["code"] = {"oneOf": [_code(error) for error in errors]}
    return schema


def refusal_schema(errors: Iterable[type[PeerbusError]]) -> Schema:
    """The schema of an error's body, limited to the codes of these errors."""
    return reference(ErrorAnswer) | {"properties": {"code": {"enum": [error.code for error in errors]}}}


def status(number: int) -> str:
    """A status with its phrase, such as "404 Not Found"."""
    return f"{number} {HTTPStatus(number).phrase}"


def _found(kinds: Iterable[type[msgspec.Struct]]) -> Schemas:
    found: Schemas = msgspec.json.schema_components(kinds, ref_template=REFERENCE)[1]
    for schema in found.values():
        if "description" in schema:
            schema["description"] = " ".join(schema["description"].split())
    return found


def _inlined(schema: Any, found: Schemas) -> Any:
    """A schema with the schemas that it refers to in their places: objects inside of a request are small."""
    if isinstance(schema, list):
        return [_inlined(each, found) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(found[schema["$ref"].rpartition("/")[2]], found)
    return {name: _inlined(each, found) for name, each in schema.items()}


def _one_of(kind: type[Request]) -> Schema:
    """Requires exactly one of the fields in `one_of`. Null counts as absent if it is the field's default."""
    defaults = {field.encode_name: field.default for field in msgspec.structs.fields(kind)}
    named: list[Schema] = []
    for field in kind.one_of:
        named.append({"required": [field]})
        if defaults[field] is None:
            named[-1]["properties"] = {field: {"not": {"type": "null"}}}
    return {"oneOf": named} if named else {}


def _code(error: type[PeerbusError]) -> Schema:
    return {"const": error.code, "title": status(error.status), "description": text(error)}
