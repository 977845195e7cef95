"""Pages beside the calls."""

from peerbus.errors import NotReady
from peerbus.serving import Server, bind
from peerbus.web import Door, Page, create_app
from tests.support import serving
from tests.web.support import call


def refused() -> bytes:
    raise NotReady("Not yet.")


PAGES = (Page("/", "text/plain; charset=utf-8", lambda: "grün".encode()), Page("/later", "text/plain", refused))


def test_a_page_is_made_for_who_asks_and_refuses_as_calls_do() -> None:
    for api in serving(Server(Door(create_app({}, PAGES), {}), bind("127.0.0.1", 0), threads=2)):
        shown, refusal, posted = (call(api, *each) for each in (("GET", "/"), ("GET", "/later"), ("POST", "/")))
        assert (shown.status, shown.body.decode()) == (200, "grün")
        assert shown.headers["content-type"] == "text/plain; charset=utf-8"
        assert (refusal.status, refusal.json()["code"]) == (503, "not_ready")
        assert (posted.status, posted.json()["code"]) == (405, "method_not_allowed")
