"""Times on command lines."""

import math
from typing import Any

import click


class Seconds(click.FloatRange):
    """A time within bounds, in seconds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; what is none, NaN, is within no range."""
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return seconds
