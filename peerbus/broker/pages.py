"""Pages of a listing."""

import heapq
from collections.abc import Iterable


def page(names: Iterable[str], limit: int, after: str) -> list[str]:
    """The first `limit` names, in order, that come after `after`."""
    return heapq.nsmallest(limit, (name for name in names if name > after))
