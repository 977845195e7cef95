"""The page that shows an OpenAPI description to people."""

import json
import shlex
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment
from markupsafe import Markup, escape

from peerbus.http.docs.openapi import JSON
from peerbus.http.docs.schemas import Schema, Schemas
from peerbus.http.event_stream import CONTENT_TYPE
from peerbus.http.pages import FILES

_PAGE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string((FILES / "api.html").read_text())


def api_page(description: Schema, host: str) -> bytes:
    """The page in HTML, UTF-8; its examples call the service at `host`, a host and port."""
    schemas: Schemas = description["components"]["schemas"]
    operations = [
        Operation(method.upper(), path, operation, schemas, host)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    codes = schemas["ErrorAnswer"]["properties"]["code"]["oneOf"]
    return _PAGE.render(info=description["info"], operations=operations, codes=codes, prose=prose).encode()


class Operation:
    """A call or a page, in the form that the template shows."""

    def __init__(self, method: str, path: str, operation: Schema, schemas: Schemas, host: str) -> None:
        self.method = method
        self.path = path
        self.anchor = operation["operationId"]
        self.summary = operation["summary"]
        self.description = operation.get("description", "")
        self.fields = _fields(operation, schemas)
        self.one_of = _one_of(operation, schemas)
        self.curl = _curl(method, host + path, operation)
        self.answer = operation["responses"]["200"]["description"]
        self.answered = _answered(operation)
        self.errors = _errors(operation)


def prose(text: str) -> Markup:
    """Escaped text, with its `words in backticks` as code."""
    parts = text.split("`")
    return Markup().join(
        Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in enumerate(parts)
    )


def _fields(operation: Schema, schemas: Schemas) -> list[dict[str, Any]]:
    """Name, type and meaning of each field of a request, and whether it is required."""
    fields = [(each["name"], each["schema"], each["required"]) for each in operation.get("parameters", ())]
    if schema := _body(operation, schemas):
        fields = [(each, of, each in schema["required"]) for each, of in schema["properties"].items()]
    return [
        {"name": name, "required": required, "type": _type(schema), "meaning": _meaning(schema)}
        for name, schema, required in fields
    ]


def _one_of(operation: Schema, schemas: Schemas) -> str:
    """The fields of which exactly one is needed, joined by "or"; empty if there are none."""
    choices = _body(operation, schemas).get("oneOf", ())
    return " or ".join(f"`{field}`" for choice in choices for field in choice["required"])


def _body(operation: Schema, schemas: Schemas) -> Schema:
    """The schema of the body; empty if the call has no body."""
    if "requestBody" not in operation:
        return {}
    return schemas[operation["requestBody"]["content"][JSON]["schema"]["$ref"].rpartition("/")[2]]


def _type(schema: Schema) -> str:
    """The type and the bounds of a value, in a few words."""
    if "anyOf" in schema:
        bound = {key: schema[key] for key in ("maximum",) if key in schema}
        return " or ".join(_type(each | bound) for each in schema["anyOf"] if each != {"type": "null"})
    if "const" in schema or "enum" in schema:
        return " or ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"array of {_type(schema['items'])}"
    least, most = (schema.get(key) for key in ("minimum", "maximum"))
    bounds = [f"from {least:g}"] if least is not None else []
    bounds += [f"to {most:,}"] if most is not None else []
    return " ".join([schema.get("type", "any JSON value"), *bounds])


def _meaning(schema: Schema) -> str:
    described = [schema, *schema.get("anyOf", ())]
    return next((each["description"] for each in described if "description" in each), "")


def _curl(method: str, url: str, operation: Schema) -> str:
    """A curl command that makes the example call."""
    query = {}
    for field in operation.get("parameters", ()):
        if field["in"] == "path":
            url = url.replace(f"{{{field['name']}}}", field["example"])
        elif "example" in field:
            query[field["name"]] = field["example"]
    command = ["curl", "-X", method] if method != "GET" else ["curl"]
    if CONTENT_TYPE in operation["responses"]["200"]["content"]:
        command.append("-N")
    command.append(f"{url}?{urlencode(query)}" if query else url)
    if "security" in operation:
        command += ["-H", "Authorization: Bearer TOKEN"]
    if "requestBody" in operation:
        example = operation["requestBody"]["content"][JSON].get("example", {})
        command += ["-H", f"Content-Type: {JSON}", "-d", json.dumps(example)]
    return shlex.join(command)


def _answered(operation: Schema) -> str:
    media = operation["responses"]["200"]["content"].get(JSON, {})
    return json.dumps(media["example"], indent=2) if "example" in media else ""


def _errors(operation: Schema) -> list[dict[str, str]]:
    return [
        {"status": status, "code": code, "meaning": example["value"]["message"]}
        for status, response in operation["responses"].items()
        if status >= "400"
        for code, example in response["content"][JSON]["examples"].items()
    ]
