"""The pages that describe a service: one for programs, one for people."""

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from flask import request

from peerbus.endpoints import Endpoint
from peerbus.web.api_page import api_page
from peerbus.web.openapi import JSON, Service, describe
from peerbus.web.pages import Page
from peerbus.web.schemas import Schema


def described(service: Service, rows: Iterable[Endpoint[Any, Any]], pages: Iterable[Page] = ()) -> tuple[Page, ...]:
    """`pages`, and two more that describe them, the calls and themselves."""
    rows = tuple(rows)

    @cache
    def description() -> Schema:
        return describe(service, rows, all_pages)

    @cache
    def for_programs() -> bytes:
        return json.dumps(description()).encode()

    def for_people() -> bytes:
        return api_page(description(), request.host)

    all_pages = (
        *pages,
        Page(
            "/openapi.json", JSON, for_programs, description="The description of all calls and pages, in OpenAPI 3.1."
        ),
        Page("/api", "text/html; charset=utf-8", for_people, description="The same, for a person."),
    )
    return all_pages
