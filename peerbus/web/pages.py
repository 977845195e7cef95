"""Pages: what is answered with something else than a call's JSON."""

from collections.abc import Callable
from dataclasses import dataclass

from peerbus.serving import Environ


@dataclass(frozen=True, slots=True)
class Page:
    """Something to look at, at a path of its own: `make` is called for each request, its type is `content_type`."""

    path: str
    content_type: str
    make: Callable[[], bytes]
    admit: Callable[[Environ], object] | None = None
    """Raises what keeps a caller from seeing it."""
