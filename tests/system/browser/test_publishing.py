"""Publishing through the form, and looking at messages."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.support.harness import Api
from tests.system.browser.chromium import Browser

RIGHT_TO_LEFT = "\u202e"
HOSTILE: dict[str, tuple[str, str]] = {
    "a script": ('"<script>window.hacked = 1</script>"', '"<script>window.hacked = 1</script>"'),
    "an image": ('"<img src=x onerror=window.hacked=1>"', '"<img src=x onerror=window.hacked=1>"'),
    "an end of the element": ('"</code></li><h1>hello"', '"</code></li><h1>hello"'),
    "text turned around": (f'"{RIGHT_TO_LEFT}drowssap"', '"\\u202edrowssap"'),
    "something unseen": ('"a\u200bb\u0085c\ufeff"', '"a\\u200bb\\u0085c\\ufeff"'),
    "something huge": (json.dumps("x" * 3_000_000), "… and 2.9 MiB more"),
    "deep nesting": ("[" * 190 + "]" * 190, "[" * 190 + "]" * 190),
    "a number beyond any": ("9007199254740993e400", "9007199254740993e400"),
    "a name twice": ('{"a":1,"a":2}', '{"a":1,"a":2}'),
    "quotes and brackets in strings": ('{"]\\"\\\\":"}],[{\\\\\\""}', '{"]\\"\\\\":"}],[{\\\\\\""}'),
    "other alphabets": ('"héllo 世界 😀 שלום"', '"héllo 世界 😀 שלום"'),
    "lines": ('{\n  "a": [1,\n\t2]\n}', '{\n  "a": [1,\n'),
}


def fill_in(page: Browser, topic: str, message: str, kind: str = "text") -> None:
    page.find("#publish [name=topic]").clear()
    page.find("#publish [name=topic]").send_keys(topic)
    page.find(f"#publish [value={kind}]").click()
    page.find("#publish textarea").clear()
    page.find("#publish textarea").send_keys(message)
    page.find("#publish [name=button]").click()


def last(index: Api, topic: str) -> Any:
    return index.get("/messages", topic=topic, limit=1).body["messages"]


@pytest.fixture
def news(page: Browser, index: Api) -> Browser:
    index.post("/create_topic", topic="news")
    page.shows("#topic-title", "news")
    return page


def test_text_is_published_as_a_string(news: Browser, index: Api) -> None:
    for message in ("hello", '{"not": "an object"}', "42", "", "two\nlines", 'a"b\\c'):
        fill_in(news, "news", message)
        news.shows("#messages li:first-child", json.dumps(message))
        assert last(index, "news") == [message]


def test_json_is_published_as_it_was_typed(news: Browser) -> None:
    fill_in(news, "news", '{"n": 9007199254740993, "n": [1e2]}', "json")
    news.shows("#published", "Message published to topic 'news'. Its offset is 0.")
    news.shows("#messages", '{"n": 9007199254740993, "n": [1e2]}')


def test_what_is_not_json_is_not_published(news: Browser, index: Api) -> None:
    for message in ("hello", '1, "peer_id": "x"', "", "[1"):
        fill_in(news, "news", message, "json")
        news.shows("#published", "This is not JSON.")
    assert index.get("/stats").body["stats"]["published"] == 0


def test_a_refusal_is_told_in_the_servers_words(news: Browser) -> None:
    fill_in(news, "nowhere", "hello")
    news.shows("#published", "Topic 'nowhere' does not exist. POST /create_topic first.")


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_message_is_shown_as_text_whatever_it_is(news: Browser, index: Api, kind: str) -> None:
    value, seen = HOSTILE[kind]
    body = f'{{"topic": "news", "messages": [1, {value}, 2]}}'.encode()
    assert index.send("POST", "/publish", data=body, headers={"Content-Type": "application/json"}).status == 200
    if kind == "something huge":
        index.post("/create_topic", topic="huge")
        index.send(
            "POST",
            "/publish",
            data=f'{{"topic": "huge", "message": {value}}}'.encode(),
            headers={"Content-Type": "application/json"},
        )
        news.shows("#topics", "huge")
        news.run("[...document.querySelectorAll('#topics button')].at(-1).click()")
    news.shows("#messages", seen)
    assert news.run("return window.hacked") is None
    tags = news.run("return [...new Set([...document.querySelectorAll('#messages *')].map((each) => each.tagName))]")
    assert set(tags) <= {"LI", "SPAN", "CODE", "DIV", "SMALL"}
    assert len(news.text("#messages")) < 5_000


def test_the_last_messages_come_newest_first_and_stay_in_the_topic(news: Browser, index: Api) -> None:
    index.post("/publish", topic="news", messages=list(range(100, 125)))
    news.shows("#messages li:first-child", "124")
    assert news.text("#messages .offset").split() == [str(offset) for offset in range(24, 14, -1)]
    news.shows("#retained", "The last of 25 messages kept.")
    assert index.get("/stats").body["stats"]["pulled"] == 0


def test_publishing_works_by_keyboard_alone(news: Browser, index: Api, tab_to: Callable[[str], None]) -> None:
    index.post("/create_topic", topic="sport")
    news.shows("#topics", "sport")
    tab_to("sport")
    news.press(Keys.ENTER)
    news.shows("#topic-title", "sport")
    tab_to("message")
    news.press("goal")
    news.press(Keys.CONTROL, Keys.ENTER)
    news.shows("#published", "Message published to topic 'sport'.")
    news.press("!")
    tab_to("kind")
    tab_to("button")
    news.press(Keys.SPACE)
    news.shows("#messages li:first-child", '"goal!"')
    assert last(index, "sport") == ["goal!"]
