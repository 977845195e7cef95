"""Pages beside the calls."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Barrier, BrokenBarrierError

import pytest
from flask import Flask

from peerbus.errors import NotReady
from peerbus.http.dispatch import Dispatch
from peerbus.http.flask_app import FlaskHandler, WSGIApplication, create_app, when_needed
from peerbus.http.listener import bind
from peerbus.http.pages import FILES, SECURITY, Page
from tests.support.connections import call
from tests.support.harness import DEADLINE, Api, start_node
from tests.support.servers import running_loop, start_server


@contextmanager
def serve(app: WSGIApplication) -> Iterator[Api]:
    router = Dispatch(FlaskHandler(app), {}).route
    with running_loop() as loop, start_server(router, loop, bind("127.0.0.1", 0)) as api:
        yield api


def refused() -> bytes:
    raise NotReady("Not yet.")


PAGES = (Page("/", "text/plain; charset=utf-8", lambda: "grün".encode()), Page("/later", "text/plain", refused))


def test_a_page_is_made_for_who_asks_and_refuses_as_calls_do() -> None:
    with serve(create_app({}, PAGES)) as api:
        shown, refusal, posted = (call(api, *each) for each in (("GET", "/"), ("GET", "/later"), ("POST", "/")))
        assert (shown.status, shown.body.decode()) == (200, "grün")
        assert shown.headers["content-type"] == "text/plain; charset=utf-8"
        assert {name: shown.headers[name.lower()] for name in SECURITY} == SECURITY
        assert (refusal.status, refusal.json()["code"]) == (503, "not_ready")
        assert (posted.status, posted.json()["code"]) == (405, "method_not_allowed")


def test_an_application_that_is_made_when_needed_is_made_once_by_the_first_who_ask() -> None:
    made: list[Flask] = []
    both_asked = Barrier(2, timeout=DEADLINE)
    both_make = Barrier(2)

    def make() -> Flask:
        with suppress(BrokenBarrierError):
            both_make.wait(0.2)  # for a second one, who is not to come
        made.append(create_app({}, PAGES))
        return made[0]

    def ask(api: Api) -> int:
        both_asked.wait()
        return call(api, "GET", "/").status

    with serve(when_needed(make)) as api:
        assert made == []
        with ThreadPoolExecutor(2) as callers:
            assert list(callers.map(ask, [api, api])) == [200, 200]
        assert len(made) == 1


def asked_for(text: str) -> set[str]:
    """The files that a page, or a script of it, asks for."""
    return set(re.findall(r"""(?:pages/|from "[.]/)([a-z]+[.](?:js|css|svg))""", text))


@pytest.mark.parametrize("service", ["server", "node"])
def test_a_service_serves_its_page_and_all_that_it_asks_for(index: Api, service: str) -> None:
    with start_node("peer1", index.url) as node:
        api = index if service == "server" else node
        page = call(api, "GET", "/")
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        served, wanted = dict[str, str](), asked_for(page.body.decode())
        while wanted - served.keys():
            name = (wanted - served.keys()).pop()
            file = call(api, "GET", f"/pages/{name}")
            assert file.status == 200, name
            served[name] = file.headers["content-type"]
            wanted |= asked_for(file.body.decode())
        assert len(served) > 10
        assert {served[name] for name in served if name.endswith(".js")} == {"text/javascript; charset=utf-8"}


def test_every_file_of_the_pages_is_asked_for() -> None:
    texts = [file.read_text() for file in FILES.iterdir()]
    assert set().union(*map(asked_for, texts)) == {file.name for file in FILES.iterdir() if file.suffix != ".html"}


def test_nothing_in_the_pages_becomes_markup_or_asks_somebody_else() -> None:
    for file in FILES.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document[.]write|eval[(]|://| style=| on[a-z]+=", text
        )
