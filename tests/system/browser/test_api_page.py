"""The page that shows the calls, in a browser."""

from tests.support.harness import Api
from tests.system.browser.chromium import Browser


def test_it_is_shown_whole_with_its_style_and_asks_nobody_else(chrome: Browser, index: Api) -> None:
    chrome.complaints(), chrome.origins()  # of tests before
    chrome.open(f"{index.url}/api")
    shown = chrome.text("body")
    assert "pull_messages" in shown
    assert "Follow a message queue." in shown
    assert chrome.run("return [...document.styleSheets].map((sheet) => sheet.cssRules.length > 0)") == [True, True]
    assert chrome.complaints() == []
    assert chrome.origins() == {index.url}
