"""Shared by all plots: colours, axes with plain numbers, a caption that names the machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
"""Distinguishable with any kind of colour vision (Okabe and Ito's palette); marker and line style differ as well."""
MOST_TICKS = 8
DOTS_PER_INCH = 130
HEAD_INCHES = 0.9


def figure(title: str, subtitle: str, width: float, height: float) -> Figure:
    """An empty figure, `width` by `height` inches, with room at the top for title, subtitle and legend."""
    made = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - HEAD_INCHES / height)))
    made.text(0.5, 1 - 0.2 / height, title, ha="center", va="center", fontsize=13, fontweight="bold")
    made.text(0.5, 1 - 0.47 / height, subtitle, ha="center", va="center", fontsize=9.5, color=GREY)
    return made


def legend(made: Figure, axes: Axes) -> None:
    """The one legend of a figure, under its subtitle: what is drawn in `axes` stands for all its panels."""
    handles, labels = axes.get_legend_handles_labels()
    place = (0.5, 1 - 0.73 / made.get_figheight())
    box = made.legend(handles, labels, loc="center", bbox_to_anchor=place, ncols=len(labels), frameon=False, fontsize=9)
    box.set_in_layout(False)


def save(made: Figure, path: Path, notes: Mapping[str, str]) -> Path:
    """Write a figure as PNG, with a caption under it about the conditions of its figures."""
    made.supxlabel(caption(notes), fontsize=7.5, color=GREY)
    made.savefig(path, dpi=DOTS_PER_INCH)
    return path


def caption(notes: Mapping[str, str]) -> str:
    """One line with the machine, the Python version and the time of the measurement."""
    parts = (
        notes.get("cpu"),
        f"{notes.get('cores', '?')} cores for server, peer nodes and load generator together",
        notes.get("memory"),
        f"Python {notes.get('python', '?')}",
        notes.get("date"),
    )
    return ", ".join(part for part in parts if part)


def count_axis(axes: Axes, counts: Sequence[int]) -> None:
    """A logarithmic x axis of numbers of peers, with a tick at the measured ones or at some of them."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(_some(counts)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def plain_log_axis(axes: Axes, which: str = "y") -> None:
    """A logarithmic axis with numbers as people write them: 0.5, 20, 10,000."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    (axes.set_yscale if which == "y" else axes.set_xscale)("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))


def plain(value: float) -> str:
    """A number as people write it."""
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


def tidy(axes: Axes, title: str = "") -> None:
    """A light grid, no box, the title at the left."""
    axes.set_title(title, fontsize=10, loc="left")
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _some(counts: Sequence[int]) -> list[int]:
    """The counts, or where they are many about `MOST_TICKS` of them, at even distances on a logarithmic axis."""
    distinct = sorted(set(counts))
    if len(distinct) <= MOST_TICKS:
        return distinct
    last = distinct[-1]
    return [n for n in distinct if n in (1, 2, 5, 10, 20, 50, 100, 200, 500) and n <= last]
