"""The page of the indexing server shows what was done by other means, and keeps showing it."""

import re

from selenium.webdriver.common.keys import Keys

from tests.support.harness import Api, eventually
from tests.system.browser.chromium import Browser


def subscribe(index: Api, peer_id: str, topic: str, **options: object) -> None:
    for path, fields in (
        ("/register_peer_node", {"peer_id": peer_id}),
        ("/create_topic", {"topic": topic}),
        ("/subscribe", {"peer_id": peer_id, "topic": topic, **options}),
    ):
        assert index.post(path, **fields).status == 200


def row(page: Browser, table: str, name: str) -> list[str]:
    """The cells of a row, once it is there."""
    page.shows(table, name)
    lines = page.text(f"{table} tr").split("\n")
    return next(line.split("\t") for line in lines if line.startswith(name))


def seconds_left(page: Browser) -> int:
    return int(re.findall("([0-9]+) s", page.shows("#peers", " s"))[0])


def test_an_empty_server_says_what_to_do_first(page: Browser) -> None:
    page.shows("#verdict", "All is well.")
    page.shows("#no-topics", "POST /create_topic")
    page.shows("#no-peers", "POST /register_peer_node")
    assert page.run("return document.querySelector('#topic').hidden")


def test_it_shows_topics_peers_and_backlogs_as_they_come(page: Browser, index: Api) -> None:
    subscribe(index, "slow", "news")
    subscribe(index, "fast", "news")
    index.post("/register_peer_node", peer_id="leased", lease_seconds=90, address="http://127.0.0.1:9/x")
    index.post("/publish", topic="news", messages=[1, 2, 3])
    index.post("/pull_messages", peer_id="fast", topic="news")
    page.shows("#held", "3 peers, 1 topic, 2 subscriptions")
    page.shows("#topics", "news")
    page.shows("#topics", "3\t0\t2\t0\t0\t0")
    page.shows("#subscribers", "3 behind")
    assert page.text("#subscribers b") == "slow\nfast", "who is furthest behind comes first"
    page.shows("#peers", "no lease")
    page.shows("#peers", "http://127.0.0.1:9/x")
    page.shows("#figures", "3 in all")
    index.post("/pull_messages", peer_id="slow", topic="news")
    page.shows("#subscribers", "up to date\nat offset 3")
    page.shows("#topics", "0\t0\t2\t0\t0\t0")


def test_leases_count_down(page: Browser, index: Api) -> None:
    index.post("/register_peer_node", peer_id="leased", lease_seconds=90)
    first = seconds_left(page)
    eventually(lambda: 0 < seconds_left(page) < first - 2)


def test_a_peer_and_a_topic_that_are_gone_go_from_the_page(page: Browser, index: Api) -> None:
    subscribe(index, "peer1", "news")
    page.shows("#subscribers", "peer1")
    index.delete("/delete_topic", topic="news")
    index.post("/unregister_peer_node", peer_id="peer1")
    page.shows("#topic-about", "Topic 'news' does not exist.")
    page.shows("#held", "0 peers, 0 topics")
    assert page.text("#topics tr") == page.text("#peers tr") == ""


def test_redeliveries_dead_letters_and_refusals_are_seen(page: Browser, index: Api) -> None:
    subscribe(index, "peer1", "jobs", ack="explicit", max_attempts=2, dead_letter_topic="dead")
    index.post("/create_topic", topic="small", max_messages=2)
    index.post("/subscribe", peer_id="peer1", topic="small")
    page.shows("#topics", "small")
    index.post("/publish", topic="jobs", message="hard")
    for _ in range(2):
        index.post("/pull_messages", peer_id="peer1", topic="jobs")
        index.post("/nack_messages", peer_id="peer1", topic="jobs", up_to=0)
    index.post("/publish", topic="small", messages=[1, 2])
    assert index.post("/publish", topic="small", message=3).status == 429
    page.shows("#topics", "dead")
    page.shows("#topics", "0\t0\t1\t1\t1\t0")
    page.shows("#topics", "2\t0\t1\t0\t0\t1")
    page.shows("#verdict", "Something is wrong.")
    page.shows("#reasons", "Topic small is full and refuses publishes.")
    page.shows("#reasons", "Publishes were refused in the last minute")
    page.shows("#reasons", "Messages became dead letters in the last minute")


def test_how_a_group_acknowledges_is_told(page: Browser, index: Api) -> None:
    options = {"group": "painters", "ack": "explicit", "ack_deadline": 40, "max_attempts": 3}
    for peer_id in ("a", "b"):
        subscribe(index, peer_id, "jobs", **options, dead_letter_topic="dead")
    index.post("/publish", topic="jobs", messages=[1, 2, 3])
    index.post("/pull_messages", peer_id="a", topic="jobs", max_messages=2)
    page.shows("#subscribers", "painters (group of 2)")
    page.shows("#subscribers", "3 behind")
    page.shows("#subscribers", "2 messages in flight · 40 s to acknowledge, 3 attempts · then to dead")


def test_topics_can_be_filtered_and_there_is_more(page: Browser, index: Api) -> None:
    for number in range(40):
        index.post("/create_topic", topic=f"t{number:02}")
    subscribe(index, "peer1", "t39")
    index.post("/publish", topic="t39", message=1)
    page.shows("#topics-shown", "15 of 40")
    page.shows("#topics", "t39")
    page.find("#more-topics").click()
    eventually(lambda: page.text("#topics-shown") == "40")
    assert len(page.text("#topics th").split()) == 40
    page.find("#topics-matching").send_keys("t1")
    page.shows("#topics-shown", "10 of 40")
    page.find("#topics-matching").send_keys("xyz")
    page.shows("#no-topics", "No topic has “t1xyz” in its name.")


def test_it_says_when_the_server_does_not_answer_and_goes_on_when_it_does(page: Browser, index: Api) -> None:
    page.run("window.fetched = window.fetch; window.fetch = () => Promise.reject(new TypeError('no way'))")
    page.shows("#live", "No answer for")
    page.shows("#problem", "The server does not answer.")
    index.post("/create_topic", topic="meanwhile")
    page.run("window.fetch = window.fetched")
    page.shows("#live", "Live")
    page.shows("#topics", "meanwhile")
    assert page.text("#problem") == ""


def test_it_pauses_where_nobody_sees_it(page: Browser, index: Api) -> None:
    page.hide(True)
    page.shows("#live", "Paused")
    index.post("/create_topic", topic="meanwhile")
    page.origins()  # of before
    for _ in range(3):
        page.hide(True)
    assert page.origins() == set(), "nothing is asked, although there would be occasion to"
    page.hide(False)
    page.shows("#topics", "meanwhile")


def test_the_topic_chosen_stays_chosen_when_the_page_is_loaded_again(page: Browser, index: Api) -> None:
    for topic in ("a", "b/c", "bb"):
        index.post("/create_topic", topic=topic)
    index.post("/publish", topic="b/c", message="found")
    page.shows("#topics", "b/c")
    page.run("[...document.querySelectorAll('#topics button')].find((each) => each.innerText === 'b/c').click()")
    page.shows("#messages", "found")
    page.driver.refresh()
    page.shows("#topic-title", "b/c")
    page.shows("#messages", "found")
    page.shows("#topics tr.selected", "b/c")


def test_rows_do_not_move_away_from_the_focus(page: Browser, index: Api) -> None:
    for name in ("a", "b"):
        subscribe(index, "peer1", name)
    index.post("/publish", topic="a", message=1)
    page.shows("#topics", "b")
    page.run("document.querySelector('#topics tr:nth-child(2) button').focus()")
    focused = page.focused()
    index.post("/publish", topic=focused, messages=[1, 2, 3])
    page.shows("#topics", "3\t0\t1\t0\t0\t0")
    assert page.focused() == focused
    page.press(Keys.TAB)
    page.shows("#topics tr:first-child", focused)
