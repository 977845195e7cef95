"""Where a server or a node asks for a token, the page asks the person for it."""

from collections.abc import Iterator

import pytest
from selenium.webdriver.common.keys import Keys

from peerbus.server.access import Tokens
from tests.support.harness import Api, start_index, start_node
from tests.system.browser.chromium import Browser

TOKENS = Tokens("enrolment" * 4, "admin" * 8)
OF_NODE = "node" * 8


@pytest.fixture
def guarded() -> Iterator[Api]:
    with start_index(tokens=TOKENS) as index:
        yield index


@pytest.fixture
def guarded_node(guarded: Api) -> Iterator[Api]:
    with start_node("peer1", guarded.url, index_token=TOKENS.enrolment, token=OF_NODE) as node:
        yield node


@pytest.fixture
def browser(chrome: Browser) -> Iterator[Browser]:
    """The window, whose console has nothing to say; named last, it leaves before what serves the page stops."""
    chrome.complaints()
    yield chrome
    chrome.open("about:blank")
    assert chrome.complaints() == []


def give(browser: Browser, token: str) -> None:
    browser.find(".token input").send_keys(token, Keys.ENTER)


def test_the_page_of_the_server_asks_until_it_may_look_and_keeps_the_token(guarded: Api, browser: Browser) -> None:
    browser.open(guarded.url)
    browser.shows(".token", "This server asks for a token")
    give(browser, "wrong")
    browser.shows(".token", "The token is not known.")
    give(browser, TOKENS.enrolment)
    browser.shows(".token", "This call needs the metrics token or the admin token.")
    give(browser, str(TOKENS.admin))
    browser.shows("#live", "Live")
    browser.shows("#verdict", "All is well.")
    assert browser.text(".token") == ""
    browser.driver.refresh()
    browser.shows("#live", "Live")
    assert browser.text(".token") == ""


def test_the_page_of_a_node_asks_for_the_token_of_the_node(guarded_node: Api, browser: Browser) -> None:
    browser.open(guarded_node.url)
    browser.shows(".token", "This peer node asks for its token")
    give(browser, OF_NODE)
    browser.shows("#verdict", "Registered.")
    mine = guarded_node.showing(OF_NODE)
    mine.post("/create_topic", topic="news")
    mine.post("/subscribe", topic="news")
    mine.post("/publish", topic="news", message="for me")
    browser.shows("#subscriptions", "news")
    browser.shows("#messages", "for me")
