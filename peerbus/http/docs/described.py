"""The pages that describe a service: `/openapi.json` for programs, `/api` for people."""

import json
from collections.abc import Iterable
from functools import cache

from flask import request

from peerbus.http.docs.api_page import api_page
from peerbus.http.docs.openapi import JSON, Service, describe
from peerbus.http.docs.schemas import Schema
from peerbus.http.pages import Page
from peerbus.wire.endpoints import Endpoint


def described(service: Service, rows: Iterable[Endpoint], pages: Iterable[Page] = ()) -> tuple[Page, ...]:
    """`pages` plus two that describe all calls and pages, themselves included, made on first request."""
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
        Page("/openapi.json", JSON, for_programs, description="All calls and pages, described in OpenAPI 3.1."),
        Page("/api", "text/html; charset=utf-8", for_people, description="All calls and pages, described for people."),
    )
    return all_pages
