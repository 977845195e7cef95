"""The plot of the comparison of brokers, drawn from its CSV."""

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks.canvas import BLUE, GREY, ORANGE, figure, plain, plain_log_axis, save, tidy
from benchmarks.rate import Rate
from benchmarks.table import Table

INCHES_PER_BAR = 0.36


def draw(table: Table[Rate], path: Path) -> Path:
    """Draw a bar for each system, in a panel for each call; returns the path."""
    return save(_figure(table.rows), path, table.notes)


def _figure(rows: list[Rate]) -> Figure:
    calls = sorted({row.call for row in rows})
    panels = [sorted((row for row in rows if row.call == call), key=lambda row: row.messages_per_s) for call in calls]
    made = figure(
        "Messages a second",
        "Of 100 bytes, one a request where nothing else is said. Bar: median of rounds taken by turns; line: range.",
        10,
        2 + len(calls) * 0.4 + len(rows) * INCHES_PER_BAR,
    )
    heights = [len(panel) for panel in panels]
    every = made.subplots(len(calls), 1, sharex=True, squeeze=False, height_ratios=heights)
    for axes, call, panel in zip(every.flat, calls, panels, strict=True):
        _bars(axes, panel)
        tidy(axes, call)
    last = every.flat[-1]
    plain_log_axis(last, "x")
    last.xaxis.set_major_locator(LogLocator())
    last.set_xlim(left=100, right=5 * max(row.most for row in rows))
    last.set_xlabel("messages/s, on a logarithmic scale", fontsize=9)
    return made


def _bars(axes: Axes, rows: list[Rate]) -> None:
    names = [row.system for row in rows]
    values = [row.messages_per_s for row in rows]
    ends = [[row.messages_per_s - row.least for row in rows], [row.most - row.messages_per_s for row in rows]]
    axes.barh(names, values, xerr=ends, color=[_colour(name) for name in names], height=0.7, ecolor="black")
    for place, row in enumerate(rows):
        ratio = "" if math.isnan(row.ratio) else f"  ({plain(round(row.ratio, 1))} x {row.against})"
        axes.annotate(f"  {plain(row.messages_per_s)}{ratio}", (row.most, place), va="center", fontsize=8)


def _colour(system: str) -> str:
    return BLUE if system.startswith("peerbus") else ORANGE if system.startswith("naive") else GREY
