"""Where a server asks for a token, the page asks the person for it."""

from collections.abc import Iterator

import pytest
from selenium.webdriver.common.keys import Keys

from peerbus.broker import Broker
from peerbus.endpoints import ENDPOINTS
from peerbus.serving import Environ, Respond, Server, bind
from peerbus.web import Door, answering, create_app, pages
from tests.browser.chromium import Browser
from tests.support import MAX_BODY, Api, serving

ACCEPTED = "open sesame"


@pytest.fixture
def guarded() -> Iterator[Api]:
    """All calls, for who has the token alone."""
    routes = {row: answering(row, Broker(), MAX_BODY) for row in ENDPOINTS}
    door = Door(create_app(routes, pages("index.html")), routes)

    def guard(environ: Environ, respond: Respond) -> None:
        path = environ["PATH_INFO"]
        if path == "/" or path.startswith("/pages/") or environ.get("HTTP_AUTHORIZATION") == f"Bearer {ACCEPTED}":
            door(environ, respond)
        else:
            respond(401, [("Content-Type", "application/json")], b'{"code":"unauthorized","message":"Who are you?"}')

    yield from serving(Server(guard, bind("127.0.0.1", 0), threads=8))


def test_the_page_asks_for_a_token_and_keeps_it_for_the_tab(chrome: Browser, guarded: Api) -> None:
    chrome.open(guarded.url)
    chrome.shows(".token", "This server asks for a token.")
    chrome.press("wrong", Keys.ENTER)
    chrome.shows(".token", "This server asks for a token.")
    chrome.find(".token input").send_keys(ACCEPTED, Keys.ENTER)
    chrome.shows("#live", "Live")
    assert chrome.text(".token") == ""
    chrome.driver.refresh()
    chrome.shows("#live", "Live")
    assert chrome.text(".token") == ""
    assert all("status of 401" in complaint for complaint in chrome.complaints())
    chrome.open("about:blank")
