"""One browser for all tests; each gets a page that asks nobody but its server, and has nothing to complain about."""

from collections.abc import Callable, Iterator

import pytest
from selenium.webdriver.common.keys import Keys

from tests.support.harness import Api, start_node
from tests.system.browser.chromium import Browser, chromium, missing


@pytest.fixture(scope="session")
def chrome() -> Iterator[Browser]:
    if how := missing():
        pytest.fail(how, pytrace=False)
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_page(chrome: Browser) -> Iterator[Callable[[str], Browser]]:
    """Opens a URL and gives the window."""
    opened: list[str] = []

    def open_page(url: str) -> Browser:
        opened.append(url)
        chrome.complaints(), chrome.origins()  # of tests before
        chrome.size(1280, 1600)
        chrome.prefers("light")
        chrome.open(url)
        chrome.shows("#live", "Live")
        return chrome

    yield open_page
    chrome.open("about:blank")
    assert chrome.origins() - {"://"} == set(opened)
    assert chrome.complaints() == []


@pytest.fixture
def page(index: Api, open_page: Callable[[str], Browser]) -> Browser:
    """The page of an empty indexing server."""
    return open_page(index.url)


@pytest.fixture
def node(index: Api) -> Iterator[Api]:
    """The node of the peer `peer1`."""
    with start_node("peer1", index.url, lease_seconds=60) as api:
        yield api


@pytest.fixture
def node_page(node: Api, open_page: Callable[[str], Browser]) -> Browser:
    """Its page."""
    return open_page(node.url)


@pytest.fixture
def tab_to(chrome: Browser) -> Callable[[str], None]:
    """Moves the focus by the tab key alone until it is on what is called so, and is seen there."""

    def tab_to(name: str) -> None:
        for _ in range(60):
            chrome.press(Keys.TAB)
            if chrome.focused() == name:
                outline = chrome.run("return getComputedStyle(document.activeElement).outline")
                assert "solid 2px" in outline, f"the focus on {name} is not seen: {outline}"
                return
        raise AssertionError(f"the tab key never gets to {name}")

    return tab_to
