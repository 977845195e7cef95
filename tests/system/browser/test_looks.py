"""Light and dark, and nothing from elsewhere."""

import pytest

from tests.support.connections import call
from tests.support.harness import Api
from tests.system.browser.chromium import Browser

TEXTS = ("ink", "soft", "good", "warn", "bad", "accent")
GROUNDS = ("ground", "card")
READABLE = 4.5
"""The contrast that WCAG 2 asks of text, level AA."""


def brightness(colour: str) -> float:
    """The relative luminance of a colour such as #fff or #17211e."""
    digits = colour.strip().lstrip("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    channels = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def colour(page: Browser, name: str) -> float:
    return brightness(
        page.run("return getComputedStyle(document.documentElement).getPropertyValue(arguments[0])", f"--{name}")
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_light_or_dark_as_preferred_and_readable(page: Browser, scheme: str) -> None:
    page.prefers(scheme)
    assert (colour(page, "ground") > 0.5) == (scheme == "light")
    for ground in GROUNDS:
        for text in TEXTS:
            dark, light = sorted((colour(page, ground), colour(page, text)))
            assert (light + 0.05) / (dark + 0.05) >= READABLE, (text, ground)


@pytest.mark.parametrize("width", [1280, 760, 360])
def test_it_fits_into_any_width(page: Browser, index: Api, width: int) -> None:
    index.subscriber("peer" + "1" * 120, "topic/" + "x" * 120)
    page.shows("#subscribers", "peer11")
    page.size(width, 900)
    assert page.run("return document.documentElement.scrollWidth") <= width


def test_the_page_may_ask_nobody_but_its_server(index: Api) -> None:
    policy = call(index, "GET", "/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy


def test_scripts_that_are_not_the_pages_own_do_not_run(page: Browser) -> None:
    page.run(
        "const script = document.createElement('script');"
        "script.textContent = 'window.hacked = 1';"
        "document.body.append(script)"
    )
    assert page.run("return window.hacked") is None
    (complaint,) = page.complaints()
    assert "Content Security Policy" in complaint
