"""The pictures of the pages in `docs/images`: `python -m tests.system.browser.pictures`."""

import threading

from tests.support.harness import ROOT
from tests.system.browser.chromium import Browser, chromium
from tests.system.browser.shop import shop

IMAGES = ROOT / "docs" / "images"
SECONDS = 95.0
"""How long there is something to see before the pictures are taken."""


def take(browser: Browser, name: str, scheme: str) -> None:
    """Keep what the window shows as a picture."""
    browser.prefers(scheme)
    browser.driver.save_screenshot(str(IMAGES / name))


def main() -> None:
    """Take all pictures."""
    with shop() as (server, nodes), chromium() as browser, chromium() as other:
        for window, url in ((browser, f"{server}#topic=orders"), (other, f"{nodes['shipper-1']}#topic=jobs/ship")):
            window.size(1280, 800)
            window.open(url)
        threading.Event().wait(SECONDS)
        take(browser, "page.png", "light")
        take(browser, "page-dark.png", "dark")
        take(other, "node.png", "light")


if __name__ == "__main__":
    main()
