"""What the README shows of a tour by curl is what happens."""

import re
import shlex

import pytest
import requests

from tests.support.harness import ROOT, Api

TOUR = (ROOT / "README.md").read_text().partition("\n## A tour by curl\n")[2].partition("\n## ")[0]
SECTIONS = {"": TOUR.partition("\n### ")[0]} | {
    title: text for title, _, text in (part.partition("\n") for part in TOUR.split("\n### ")[1:])
}
SHORTER = {'"ack_deadline": 15': '"ack_deadline": 3'}
"""The tests do not wait as long as a person may take to type."""
BEFORE = {"Later": "jobs"}
"""The topic that is there from an earlier section."""


def said(url: str, line: str) -> str:
    """The answer to a command line of curl, with an empty line after it."""
    words = iter(shlex.split(line)[1:])
    method, body, headers, place = "GET", None, {}, ""
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, headers[name] = next(words).partition(": ")
        elif word == "-d":
            body = next(words)
        else:
            place = word.replace("localhost:5000", url)
    return requests.request(method, place, data=body, headers=headers, timeout=30).text.strip()


def alike(shown: str) -> str:
    """The same for each server and each time: epochs, and times since 1970."""
    return re.sub(r'(?<="epoch":")\w+|\b1[0-9]{9}\.[0-9]+', "*", shown)


@pytest.mark.parametrize("title", [title for title, text in SECTIONS.items() if "curl -N" not in text])
def test_the_tour_shows_what_happens(index: Api, title: str) -> None:
    if title in BEFORE:
        index.post("/create_topic", topic=BEFORE[title])
    shown = re.findall(r"^\$ (curl .*)\n(.*)$", SECTIONS[title], re.MULTILINE)
    assert len(shown) > 2
    for line, answer in shown:
        for long, short in SHORTER.items():
            line = line.replace(long, short)
        assert alike(said(index.url, line)) == alike(answer), line
