"""A page follows a topic by EventSource: by the functions in docs/security.md, with tickets, and docs/operations.md."""

import re
from typing import Any
from urllib.parse import urlencode

import requests

from peerbus.server.access import Tokens
from tests.support.harness import DEADLINE, ROOT, Api, eventually, start_index
from tests.system.browser.chromium import Browser

TOKENS = Tokens("enrolment" * 4, "admin" * 8)
FOLLOWED: dict[str, Any] = {"peer_id": "peer1", "topic": "news"}


RECORDING = """
    window.taken = []; window.sources = []; window.timers = [];
    window.EventSource = class extends EventSource { constructor(url) { super(url); sources.push(this); } };
    window.setTimeout = (callback) => timers.push(callback);
"""


def function(document: str = "security.md") -> str:
    (found,) = re.findall(r"```js\n(.*?)```", (ROOT / "docs" / document).read_text(), re.DOTALL)
    return str(found)


def test_a_page_follows_by_tickets_and_resumes_where_it_was(chrome: Browser) -> None:
    with start_index(tokens=TOKENS) as index:
        token = index.showing(TOKENS.enrolment).post("/register_peer_node", peer_id="peer1").body["token"]
        peer = index.showing(token)
        peer.post("/create_topic", topic="news")
        peer.post("/subscribe", **FOLLOWED)
        peer.post("/publish", topic="news", messages=["one", "two"])
        chrome.open(f"{index.url}/livez")
        chrome.run(
            f"{function()} window.taken = []; follow('news', 'peer1', arguments[0], (each) => taken.push(each))", token
        )
        eventually(lambda: chrome.run("return taken") == ["one", "two"])
        peer.post("/unsubscribe", **FOLLOWED)
        peer.post("/publish", topic="news", message="three")
        peer.post("/subscribe", **FOLLOWED, **{"from": "earliest"})
        peer.post("/pull_messages", **FOLLOWED)
        eventually(lambda: chrome.run("return taken") == ["one", "two", "three"])
        chrome.open("about:blank")
        chrome.complaints()


def follow(chrome: Browser, index: Api) -> None:
    """Follow, in a page that records its event sources, and the timers by which it would make others."""
    index.post("/register_peer_node", peer_id="peer1")
    index.post("/create_topic", topic="news")
    index.post("/subscribe", **FOLLOWED)
    chrome.open(f"{index.url}/livez")
    url = "/stream?topic=news&peer_id=peer1"
    chrome.run(f"{RECORDING} {function('operations.md')} follow('{url}', (event) => taken.push(event.data))")
    index.post("/publish", topic="news", message="one")
    eventually(lambda: chrome.run("return taken") == ['"one"'])


def test_a_page_whose_stream_was_turned_away_makes_a_new_one(chrome: Browser) -> None:
    with start_index() as index:
        follow(chrome, index)
        index.post("/unsubscribe", **FOLLOWED)
        eventually(lambda: chrome.run("return timers.length") == 1)
        index.post("/subscribe", **FOLLOWED)
        chrome.run("timers.pop()()")
        index.post("/publish", topic="news", message="two")
        eventually(lambda: chrome.run("return taken") == ['"one"', '"two"'])
        chrome.open("about:blank")
        chrome.complaints()


def test_a_page_that_another_one_replaced_makes_no_new_one(chrome: Browser) -> None:
    with start_index() as index:
        follow(chrome, index)
        query = urlencode(FOLLOWED | {"lastEventId": 0})
        with requests.get(f"{index.url}/stream?{query}", stream=True, timeout=DEADLINE) as other:
            assert other.ok
            eventually(lambda: chrome.run("return sources[0].readyState") == 2)
            assert chrome.run("return [sources.length, timers.length]") == [1, 0]
        chrome.open("about:blank")
        chrome.complaints()
