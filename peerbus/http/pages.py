"""Pages: answers other than the JSON of a call."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from peerbus.http.handler import Guard

FILES = Path(__file__).parent.parent / "pages"
"""HTML for people, and the styles and scripts that it asks for."""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""The headers of every page: it loads from its own server alone, and no other page may frame it."""


@dataclass(frozen=True, slots=True)
class Page:
    """An answer at a path of its own: `make` is called for each request and returns content of `content_type`."""

    path: str
    content_type: str
    make: Callable[[], bytes]
    guard: Guard | None = None
    """Raises the error that keeps a caller from seeing it."""
    callers: str = ""
    """The callers that `guard` admits, for the description; empty if every caller with a known token is admitted."""
    description: str = ""
    """Its contents in a sentence; empty for a file that other pages load."""


def pages(first: str) -> list[Page]:
    """The file `first` at `/`, and the files that it loads under `/pages/`; all are read once, now."""
    found = [_page("/", FILES / first, "What goes on here, to look at and to try out.")]
    found += [_page(f"/pages/{file.name}", file) for file in sorted(FILES.iterdir()) if file.suffix != ".html"]
    return found


def _page(path: str, file: Path, description: str = "") -> Page:
    content = file.read_bytes()
    return Page(path, TYPES[file.suffix], lambda: content, description=description)
