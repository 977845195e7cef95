"""The page of a peer node shows its own peer, and acts for it."""

from collections.abc import Callable, Iterator

import pytest
from selenium.webdriver.common.keys import Keys

from tests.support.harness import Api, start_node
from tests.support.servers import Restartable
from tests.system.browser.chromium import Browser


def test_it_shows_whom_it_acts_for(node_page: Browser, node: Api, index: Api) -> None:
    node_page.shows("#peer", "peer1")
    node_page.shows("#verdict", "Registered.")
    node_page.shows("#held", f"{node.url} · lease of 60 s · renewed")
    node_page.shows("#events", "Peer 'peer1' is registered")
    assert node_page.find("#index").get_attribute("href") == f"{index.url}/"
    node_page.shows("#no-subscriptions", "No subscriptions yet.")


def test_it_shows_its_own_subscriptions_and_no_others(node_page: Browser, node: Api, index: Api) -> None:
    index.subscriber("other", "theirs")
    index.post("/create_topic", topic="news")
    node.post("/subscribe", topic="news", ack="explicit", ack_deadline=40, group="g")
    index.post("/publish", topic="news", messages=[1, 2])
    node.post("/pull_messages", topic="news", max_messages=1)
    node_page.shows("#subscriptions", "2\t1\t0\twithin 40 s, in group g of 1\nstands 7 days without members")
    assert node_page.text("#subscriptions th") == "news"
    index.delete("/delete_topic", topic="news")
    node_page.shows("#events", "topic deleted")
    node_page.shows("#topic-about", "Topic 'news' does not exist.")


def test_messages_are_pulled_and_settled_by_keyboard(
    node_page: Browser, node: Api, index: Api, tab_to: Callable[[str], None]
) -> None:
    index.post("/create_topic", topic="jobs")
    node_page.shows("#live", "Live")
    tab_to("topic")
    node_page.press("jobs", Keys.ENTER)
    node_page.shows("#subscribed", "Peer 'peer1' is subscribed to topic 'jobs'.")
    node.post("/subscribe", topic="jobs", ack="explicit")
    index.post("/publish", topic="jobs", messages=["<b>paint</b>", "bake"])
    node_page.shows("#messages", "bake")
    tab_to("button")
    node_page.press(Keys.ENTER)
    node_page.shows("#told", "2 messages from topic 'jobs'.")
    node_page.shows("#pulled", '0\n"<b>paint</b>"\n1\n"bake"')
    node_page.shows("#subscriptions", "2\t2\t0\t")
    node_page.find("#pull [name=reject]").click()
    node_page.shows("#told", "2 messages rejected.")
    node_page.find("#pull [name=button]").click()
    node_page.shows("#pulled", "bake")
    node_page.find("#pull [name=acknowledge]").click()
    node_page.shows("#told", "2 messages acknowledged.")
    node_page.shows("#subscriptions", "0\t0\t0\t")
    assert node_page.text("#pulled") == ""
    assert not node_page.find("#pull [name=acknowledge]").is_displayed()


def test_it_publishes_for_its_peer(node_page: Browser, index: Api) -> None:
    index.post("/create_topic", topic="news")
    node_page.find("#publish [name=topic]").send_keys("news")
    node_page.find("#publish textarea").send_keys("hello")
    node_page.find("#publish [name=button]").click()
    node_page.shows("#published", "Message published to topic 'news'. Its offset is 0.")
    assert index.get("/messages", topic="news").body["messages"] == ["hello"]


@pytest.fixture
def server() -> Iterator[Restartable]:
    restartable = Restartable()
    yield restartable
    restartable.stop()


def test_it_says_that_the_indexing_server_is_away_and_back(
    server: Restartable, open_page: Callable[[str], Browser]
) -> None:
    server.start()
    with start_node("peer1", server.url, lease_seconds=1) as node:
        page = open_page(node.url)
        page.shows("#verdict", "Registered.")
        server.stop()
        page.shows("#verdict", "Not registered.")
        page.shows("#events", "index lost")
        server.start()
        page.shows("#verdict", "Registered.")
        page.shows("#events", "index restarted")
        page.shows("#live", "Live")
        page.open("about:blank")
