"""The OpenAPI 3.1 description of a service's calls and pages."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

import msgspec

from peerbus import __version__
from peerbus.errors import (
    ALWAYS,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PeerbusError,
    StreamReplaced,
    TooSlow,
    Unauthorized,
)
from peerbus.http.docs.examples import EXAMPLES
from peerbus.http.docs.schemas import (
    Bounds,
    Schema,
    Schemas,
    answer_schemas,
    error_schema,
    reference,
    refusal_schema,
    request_schemas,
    text,
)
from peerbus.http.event_stream import CONTENT_TYPE, PATH
from peerbus.http.pages import Page
from peerbus.wire.endpoints import Access, Endpoint
from peerbus.wire.protocol import ErrorAnswer, StreamRequest

Row = Endpoint
Error = type[PeerbusError]

ABOUT = """\
Requests and answers are JSON. Every success has status 200 and a `message`, a sentence for a person. Every error is \
`{"code": ..., "message": ...}` with the matching status. If a retry can succeed, `Retry-After` says after how many \
seconds. An unknown path is 404 `not_found`. A wrong method is 405 `method_not_allowed`; `Allow` lists the methods of \
the path."""
JSON = "application/json"
TOKEN = "token"  # noqa: S105  # a name
TICKET = "ticket"
SECURITY: Schema = {
    TOKEN: {"type": "http", "scheme": "bearer"},
    TICKET: {"type": "apiKey", "in": "query", "name": TICKET},
}
WITH_TOKEN: Schema = {"security": [{TOKEN: []}]}
ANYWHERE = (NotFound, MethodNotAllowed)
"""Errors outside of all calls."""
LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^([0-9]{0,16}|stream_replaced)$"},
    "description": "The id of the last event that was read. The stream continues after it; after `stream_replaced` "
    "there is none.",
}
RETRY_AFTER = {"description": "Seconds after which the same call may succeed.", "schema": {"type": "integer"}}


@dataclass(frozen=True, slots=True)
class Service:
    """The service to describe."""

    title: str
    about: str
    peer_id: str | None = None
    """The peer id that the service fills in if a request has none."""
    asks_for_tokens: bool = False
    bounds: Bounds = field(default_factory=dict)
    stream_errors: tuple[Error, ...] = ()
    """Errors that refuse a stream; empty for a service without streams."""


def describe(service: Service, rows: Iterable[Row], pages: Iterable[Page]) -> Schema:
    """The OpenAPI description of a service with the calls `rows` and the pages `pages`."""
    rows = tuple(rows)
    requests = request_schemas({row.request: None for row in rows}, service.peer_id, service.bounds)
    bodies = {row.request.__name__ for row in rows if row.method == "POST"}
    errors = dict.fromkeys(error for row in rows for error in (*row.errors, *ALWAYS))
    errors |= dict.fromkeys((*service.stream_errors, StreamReplaced, TooSlow, *ANYWHERE))
    paths: dict[str, Schema] = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _call(row, requests, service)
    if service.stream_errors:
        paths[PATH] = {"get": _stream(service)}
    pages = tuple(pages)
    for page in pages:
        if page.description:
            paths.setdefault(page.path, {})["get"] = _page(page)
    paths |= _files([page for page in pages if not page.description])
    schemes = {"securitySchemes": SECURITY} if service.asks_for_tokens else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": service.title, "version": __version__, "description": f"{service.about}\n\n{ABOUT}"},
        "paths": paths,
        "components": schemes
        | {
            "schemas": {name: schema for name, schema in requests.items() if name in bodies}
            | answer_schemas({row.answer: None for row in rows})
            | {ErrorAnswer.__name__: error_schema(_by_status(errors))}
        },
    }


def _call(row: Row, requests: Schemas, service: Service) -> Schema:
    schema = requests[row.request.__name__]
    example = _plain(EXAMPLES[row.name].request) if row.name in EXAMPLES else None
    if example and service.peer_id is not None:
        example.pop("peer_id", None)
    fields = _body(row, schema, example) if row.method == "POST" else _query(schema, example)
    remarks = ["The fields may be in a JSON body instead."] if row.method == "DELETE" else []
    guarded = service.asks_for_tokens and row.access is not Access.ANYONE
    if guarded:
        remarks.append(_allowed(row.access.value))
    return {
        "operationId": row.name,
        "summary": row.summary,
        "description": " ".join(remarks),
        **(WITH_TOKEN if guarded else {}),
        **fields,
        "responses": {"200": _success(row), **_refusals((*row.errors, *ALWAYS))},
    }


def _allowed(callers: str) -> str:
    return f"Allowed callers: {callers}."


def _body(row: Row, schema: Schema, example: Schema | None) -> Schema:
    media = {"schema": reference(row.request)} | ({} if example is None else {"example": example})
    return {"requestBody": {"required": bool(schema["required"]), "content": {JSON: media}}}


def _query(schema: Schema, example: Schema | None) -> Schema:
    return {
        "parameters": [
            {"name": name, "in": "query", "required": name in schema["required"], "schema": each}
            | ({"example": example[name]} if example and name in example else {})
            for name, each in schema["properties"].items()
        ]
    }


def _success(row: Row) -> Schema:
    media: Schema = {"schema": reference(row.answer)}
    if row.name in EXAMPLES:
        media["example"] = _plain(EXAMPLES[row.name].answer)
    return {"description": text(row.answer), "content": {JSON: media}}


def _refusals(errors: Iterable[Error]) -> Schemas:
    """One response for each status, with all error codes of that status."""
    return {
        str(status): _refusal(tuple(alike)) for status, alike in groupby(_by_status(errors), lambda each: each.status)
    }


def _refusal(errors: tuple[Error, ...]) -> Schema:
    examples = {error.code: {"value": {"code": error.code, "message": text(error)}} for error in errors}
    refusal: Schema = {
        "description": "\n\n".join(f"`{error.code}`: {text(error)}" for error in errors),
        "content": {JSON: {"schema": refusal_schema(errors), "examples": examples}},
    }
    may_pass = [error.retry_after is not None for error in errors]
    if any(may_pass):
        refusal["headers"] = {"Retry-After": RETRY_AFTER | {"required": all(may_pass)}}
    return refusal


def _stream(service: Service) -> Schema:
    schema = request_schemas((StreamRequest,), service.peer_id, {})[StreamRequest.__name__]
    example = {"topic": "news"} | ({"peer_id": "peer1"} if service.peer_id is None else {})
    described = _query(schema, example)
    described["parameters"].append(LAST_EVENT_ID)
    summary = "Follow a message queue."
    return {
        "operationId": "stream",
        "summary": summary,
        "description": "Server-sent events, one for each message, until the reader disconnects: `id` is the offset, "
        "`data` the message. An event `missed` counts lost messages. The last event is `end`, with the error that a "
        "pull would get. A reader whose `Accept` has `text/event-stream` gets errors with `Retry-After` as that event, "
        "and the time after which to try again.",
        **({"security": [{TOKEN: []}, {TICKET: []}]} if service.asks_for_tokens else {}),
        **described,
        "responses": {
            "200": {"description": summary, "content": {CONTENT_TYPE: {"schema": {"type": "string"}}}},
            "204": {"description": "The reader has read that another stream replaced its own. A browser stops here."},
            **_refusals((*service.stream_errors, *ALWAYS)),
        },
    }


def _page(page: Page) -> Schema:
    errors = (Unauthorized, Forbidden, InternalError) if page.guard else (InternalError,)
    return {
        "operationId": page.path.strip("/").replace(".", "_") or "start",
        "summary": page.description,
        **({"description": _allowed(page.callers)} if page.callers else {}),
        **(WITH_TOKEN if page.guard else {}),
        "responses": {"200": _shown(page.description, [page]), **_refusals(errors)},
    }


def _files(pages: Iterable[Page]) -> Schemas:
    """The files that pages load, described once for each folder."""
    return {
        f"{folder}/{{file}}": {"get": _folder(folder, tuple(files))}
        for folder, files in groupby(pages, lambda page: page.path.rpartition("/")[0])
    }


def _folder(folder: str, files: tuple[Page, ...]) -> Schema:
    names = [file.path.rpartition("/")[2] for file in files]
    name = {"name": "file", "in": "path", "required": True, "schema": {"enum": names}, "example": names[0]}
    summary = "Scripts, styles and images of the pages."
    return {
        "operationId": folder.strip("/"),
        "summary": summary,
        "parameters": [name],
        "responses": {"200": _shown(summary, files), **_refusals((NotFound, InternalError))},
    }


def _shown(summary: str, pages: Iterable[Page]) -> Schema:
    kinds = {page.content_type.partition(";")[0] for page in pages}
    return {
        "description": summary,
        "content": {kind: {"schema": {"type": "object" if kind == JSON else "string"}} for kind in sorted(kinds)},
    }


def _by_status(errors: Iterable[Error]) -> list[Error]:
    return sorted(dict.fromkeys(errors), key=lambda error: error.status)


def _plain(sent: msgspec.Struct) -> Schema:
    plain: Schema = json.loads(msgspec.json.encode(sent))
    return plain
