"""When Python looks for garbage that its reference counts do not find, which stops everything else meanwhile."""

import gc

NEW_OBJECTS = 10_000
"""Containers made and not let go of, after which Python looks through them; by itself, 700."""
LOOKS = 10
"""So many looks make one at what the last of them left, and so many of those one at everything."""


def look_seldom() -> None:
    """Leave out what there is now, and look only when a great deal has come since.

    By itself Python looks at everything again and again while pulls come and wait, however little comes to stay: 50 ms
    for a thousand peers, 0.4 s for a hundred thousand topics. What is deleted leaves no such garbage, and calls
    that fail leave little.
    """
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, LOOKS, LOOKS)
