"""Times on command lines."""

import math
from typing import Any

import click


class Seconds(click.FloatRange):
    """A time within bounds, in seconds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; NaN and infinity are none, though they may be within the range."""
        seconds = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return seconds
