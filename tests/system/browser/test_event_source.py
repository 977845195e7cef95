"""A page follows a topic by EventSource, which can send no token: by the function in docs/security.md."""

import re
from typing import Any

from peerbus.server.access import Tokens
from tests.support.harness import ROOT, eventually, start_index
from tests.system.browser.chromium import Browser

TOKENS = Tokens("enrolment" * 4, "admin" * 8)
FOLLOWED: dict[str, Any] = {"peer_id": "peer1", "topic": "news"}


def function() -> str:
    (found,) = re.findall(r"```js\n(.*?)```", (ROOT / "docs" / "security.md").read_text(), re.DOTALL)
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
