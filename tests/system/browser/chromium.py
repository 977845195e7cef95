"""Chromium, driven by its own driver: nothing is downloaded."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.support.harness import eventually

BROWSER = Path("/usr/bin/chromium")
DRIVER = Path("/usr/bin/chromedriver")
HOW = "There is no Chromium to see the pages in: apt-get install -y chromium chromium-driver"
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")


REFUSED = re.compile(r"[0-9]/[a-z_]+([?]\S*)? - Failed to load resource: the server responded with a status of")
"""What the browser notes by itself of a call."""


class Browser:
    """One window, and what a person sees and does in it."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)

    def prefers(self, scheme: str) -> None:
        """Let the person prefer `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def size(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def hide(self, hidden: bool) -> None:
        """Let the page be in a tab that nobody sees, or no longer."""
        self.run(
            "Object.defineProperty(document, 'hidden', { value: arguments[0], configurable: true });"
            "document.dispatchEvent(new Event('visibilitychange'))",
            hidden,
        )

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def find(self, css: str) -> WebElement:
        """The element, once it is there."""
        found: list[WebElement] = eventually(lambda: self.driver.find_elements(By.CSS_SELECTOR, css))
        return found[0]

    def text(self, css: str) -> str:
        """The text of all such elements, as a person sees it."""
        seen = "[...document.querySelectorAll(arguments[0])].filter((each) => each.checkVisibility())"
        return str(self.run(f"return {seen}.map((each) => each.innerText).join('\\n')", css))

    def shows(self, css: str, text: str) -> str:
        """Wait until such an element shows `text`."""

        def seen() -> str | None:
            found = self.text(css)
            return found if text in found else None

        try:
            return str(eventually(seen))
        except AssertionError:
            raise AssertionError(f"{css} does not show {text!r} but {self.text(css)!r}") from None

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def focused(self) -> str:
        """What the element with the focus is called: by its id, its name, or its text."""
        return str(self.run("const e = document.activeElement; return e.id || e.name || e.innerText"))

    def complaints(self) -> list[str]:
        """What the console has of errors and warnings since it was last asked, but for calls that were refused."""
        messages = [str(entry["message"]) for entry in self._log("browser")]
        return [message for message in messages if "/pages/" in message or not REFUSED.search(message)]

    def origins(self) -> set[str]:
        """Where requests went since it was last asked."""
        events = (json.loads(entry["message"])["message"] for entry in self._log("performance"))
        urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return {f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, urls)}

    def _log(self, name: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.execute("getLog", {"type": name})["value"]
        return entries


def missing() -> str | None:
    """How to get a browser where there is none."""
    return None if BROWSER.exists() and DRIVER.exists() else HOW


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, which is there."""
    options = ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options, ChromeService(str(DRIVER)))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
