"""The plot of the response time test, drawn from its CSV."""

from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.canvas import BLUE, ORANGE, figure, legend, save, tidy
from benchmarks.measurement import Measurement
from benchmarks.table import Table

FEW = 30
"""Points that have room for large markers."""


def draw(table: Table[Measurement], path: Path) -> Path:
    """Draw the average and the 95th percentile of the response time by number of peers; returns the path."""
    return save(_figure(table), path, table.notes)


def _figure(table: Table[Measurement]) -> Figure:
    rows = sorted((row for row in table.rows if row.requests > row.errors), key=lambda row: row.peers)
    counts = [row.peers for row in rows]
    made = figure(
        "Response time of query_peers",
        "Every peer asks through its own node, again as soon as it is answered. Lower is better.",
        8,
        4.8,
    )
    axes = made.subplots()
    size = 4 if len(counts) <= FEW else 2
    axes.plot(counts, [row.mean_ms for row in rows], "o-", color=BLUE, label="average", markersize=size)
    axes.plot(
        counts, [row.p95_ms for row in rows], "s--", color=ORANGE, label="p95: one in twenty is slower", markersize=size
    )
    tidy(axes)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("peers asking at once", fontsize=9)
    axes.set_ylabel("response time (ms)", fontsize=9)
    legend(made, axes)
    return made
