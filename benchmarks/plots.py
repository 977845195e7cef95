"""The plots of the API benchmark, the comparison of brokers and the response time test, drawn from their CSV."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from benchmarks.stats import Measurement, Rate, ResponseTime, Table
from benchmarks.suite import CALLS, DIRECT, LIVEZ, PEER

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
"""Distinguishable with any kind of colour vision (Okabe and Ito's palette); marker and line style differ as well."""
MOST_TICKS = 8
DOTS_PER_INCH = 130
HEAD_INCHES = 0.9

Rows = Sequence[Measurement]
PERCENTILES = (
    ("p50_ms", "p50: half are faster", BLUE, "o-"),
    ("p95_ms", "p95", GREEN, "s--"),
    ("p99_ms", "p99: one in a hundred is slower", ORANGE, "^:"),
)
WAYS = ((PEER, "through the peers' nodes", BLUE, "o-"), (DIRECT, "directly at the indexing server", ORANGE, "s--"))
INCHES_PER_BAR = 0.36
LINES = ((BLUE, "o-"), (ORANGE, "s--"), (GREEN, "^:"), (GREY, "d-."), ("black", "x-"), ("#CC79A7", "v--"))
"""Of a panel with a line for each number."""


def draw_calls(table: Table[Measurement], folder: Path) -> list[Path]:
    """Draw every plot of the API benchmark into a folder; returns their paths."""
    drawn = {
        "latency": latency(table.rows),
        "throughput": throughput(table.rows),
        "distribution": distribution(table.rows),
        "direct": direct(table.rows),
        "batches": batches(table.rows),
    }
    return [save(made, folder / f"api_{name}.png", table.notes) for name, made in drawn.items()]


def of(rows: Rows, via: str, call: str, *, batched: bool = False) -> list[Measurement]:
    """The measurements of a call that had a good answer, directly or through nodes, by number of peers."""
    found = [
        row
        for row in rows
        if (row.via, row.call) == (via, call)
        and (row.messages_per_request > 1) == batched
        and row.requests > row.errors
    ]
    return sorted(found, key=lambda row: row.peers)


def latency(rows: Rows) -> Figure:
    """Percentiles of each call's latency by number of peers."""

    def draw(axes: Axes, call: str) -> None:
        found = of(rows, PEER, call)
        for name, label, colour, style in PERCENTILES:
            values = [getattr(row, name) for row in found]
            axes.plot([row.peers for row in found], values, style, color=colour, label=label, markersize=4)

    subtitle = "Each peer calls through its own node, again as soon as it is answered. Lower is better."
    return _multiples("Latency of each call", subtitle, "latency (ms)", rows, draw)


def throughput(rows: Rows) -> Figure:
    """Each call's throughput by number of peers, through the nodes and directly."""

    def draw(axes: Axes, call: str) -> None:
        for via, label, colour, style in WAYS:
            found = of(rows, via, call)
            values = [row.requests_per_s for row in found]
            axes.plot([row.peers for row in found], values, style, color=colour, label=label, markersize=4)
        most = of(rows, DIRECT, LIVEZ)
        values = [row.requests_per_s for row in most]
        label = "/livez directly, which costs the server next to nothing"
        axes.plot([row.peers for row in most], values, ":", color=GREY, label=label, linewidth=1.2)

    subtitle = (
        "Requests a second of all peers together, each calling again as soon as it is answered. Higher is better."
    )
    return _multiples("Throughput of each call", subtitle, "requests/s", rows, draw)


def _multiples(title: str, subtitle: str, unit: str, rows: Rows, draw: Callable[[Axes, str], None]) -> Figure:
    """A panel for each call, all with the same axes, and one legend."""
    made = figure(title, subtitle, 12, 6.6)
    panels = made.subplots(2, 4, sharex=True, sharey=True)
    counts = [row.peers for row in rows]
    for axes, call in zip(panels.flat, CALLS, strict=True):
        draw(axes, call)
        tidy(axes, call)
    count_axis(panels[0][0], counts)
    plain_log_axis(panels[0][0])
    for axes in panels[1]:
        axes.set_xlabel("peers calling at once", fontsize=9)
    for axes in panels[:, 0]:
        axes.set_ylabel(unit, fontsize=9)
    legend(made, panels[0][0])
    return made


def distribution(rows: Rows) -> Figure:
    """The spread of each call's latencies, with the fewest and with the most peers."""
    counts = sorted({row.peers for row in rows})
    shown = sorted({counts[0], counts[-1]})
    made = figure(
        "How latencies are spread",
        "Box: the middle half, with the median as a line. Whiskers: fastest to p95. Dot: p99. Through peer nodes.",
        12,
        4.8,
    )
    panels = made.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)
    for axes, count in zip(panels.flat, shown, strict=True):
        found = [row for call in reversed(CALLS) for row in of(rows, PEER, call) if row.peers == count]
        _boxes(axes, found)
        tidy(axes, "1 peer" if count == 1 else f"{count} peers at once")
        plain_log_axis(axes, "x")
        axes.set_xlabel("latency (ms)", fontsize=9)
    return made


def _boxes(axes: Axes, rows: Rows) -> None:
    boxes = [
        {"label": row.call, "whislo": row.min_ms, "q1": row.p25_ms, "med": row.p50_ms, "q3": row.p75_ms,
         "whishi": row.p95_ms}
        for row in rows
    ]  # fmt: skip
    axes.bxp(
        boxes,
        orientation="horizontal",
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": "#9ecae1", "edgecolor": BLUE},
        medianprops={"color": "black", "linewidth": 1.8},
        whiskerprops={"color": BLUE},
        capprops={"color": BLUE},
    )
    axes.plot([row.p99_ms for row in rows], range(1, len(rows) + 1), "o", color=ORANGE, markersize=5)


def direct(rows: Rows) -> Figure:
    """The median latency of each call directly and through a peer's node, with the fewest callers."""
    fewest = min(row.peers for row in rows)
    callers = "one caller" if fewest == 1 else f"{fewest} callers"
    made = figure(
        "What the way through a peer's node costs",
        f"Median latency of {callers}: dots close together cost little.",
        9,
        4.6,
    )
    axes = made.subplots()
    for place, call in enumerate(reversed(CALLS)):
        ends = []
        for via, label, colour, style in WAYS:
            values = [row.p50_ms for row in of(rows, via, call) if row.peers == fewest]
            axes.plot(
                values, [place] * len(values), style[0], color=colour, label=label if not place else None, zorder=3
            )
            ends += values
        axes.plot(ends, [place] * len(ends), "-", color="#bbbbbb", linewidth=2)
    axes.set_yticks(range(len(CALLS)), list(reversed(CALLS)))
    tidy(axes)
    axes.set_xlim(left=0)
    axes.set_xlabel("median latency (ms)", fontsize=9)
    legend(made, axes)
    return made


def batches(rows: Rows) -> Figure:
    """Messages a second, singly and in batches, by number of peers."""
    size = max((row.messages_per_request for row in rows), default=0)
    made = figure(
        "Messages a second, singly and in batches",
        f"Solid: {size:,} messages a request. Dotted: one a request. Of all peers together; higher is better.",
        9,
        4.8,
    )
    panels = made.subplots(1, 2, sharex=True, sharey=True)
    for axes, call in zip(panels, ("publish", "pull_messages"), strict=True):
        for via, label, colour, style in WAYS:
            for batched, line in ((True, "-"), (False, ":")):
                found = of(rows, via, call, batched=batched)
                values = [row.messages_per_s for row in found]
                counts = [row.peers for row in found]
                name = label if batched else None
                axes.plot(counts, values, style[0] + line, color=colour, label=name, markersize=4)
        tidy(axes, call)
        axes.set_xlabel("peers calling at once", fontsize=9)
    count_axis(panels[0], [row.peers for row in rows])
    plain_log_axis(panels[0])
    panels[0].set_ylabel("messages/s", fontsize=9)
    legend(made, panels[0])
    return made


def draw_brokers(table: Table[Rate], path: Path) -> Path:
    """Draw the comparison of brokers, a bar for each system in a panel for each call; returns the path."""
    return save(_brokers(table.rows), path, table.notes)


def _brokers(rows: list[Rate]) -> Figure:
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


def draw_response_times(table: Table[ResponseTime], path: Path) -> Path:
    """Draw the average response time by number of peers, and by number of topics; returns the path."""
    return save(_response_times(table), path, table.notes)


def _response_times(table: Table[ResponseTime]) -> Figure:
    rows = [row for row in table.rows if row.requests > row.errors]
    made = figure(
        "Average response time of query_peers",
        "Each peer asks through its own node, again as soon as it is answered. Lower is better.",
        11,
        4.8,
    )
    by_peers, by_topics = made.subplots(1, 2, sharey=True)
    _lines(by_peers, rows, "peers", "topics")
    _lines(by_topics, rows, "topics", "peers")
    count_axis(by_peers, [row.peers for row in rows])
    plain_log_axis(by_topics, "x")
    by_topics.xaxis.set_major_locator(LogLocator())
    by_peers.set_ylim(bottom=0)
    by_peers.set_xlabel("peers asking at once", fontsize=9)
    by_topics.set_xlabel("topics", fontsize=9)
    by_peers.set_ylabel("response time (ms)", fontsize=9)
    return made


def _lines(axes: Axes, rows: Sequence[ResponseTime], along: str, of_each: str) -> None:
    """A line for each number of one thing, or for some of them, along the numbers of the other."""
    numbers = sorted({getattr(row, of_each) for row in rows}, reverse=True)
    for number, (colour, style) in zip(numbers[:: -(-len(numbers) // len(LINES))], LINES, strict=False):
        found = sorted((row for row in rows if getattr(row, of_each) == number), key=lambda row: getattr(row, along))
        values = [row.mean_ms for row in found]
        label = f"{number:,} {of_each}" if number > 1 else f"1 {of_each[:-1]}"
        axes.plot([getattr(row, along) for row in found], values, style, color=colour, label=label, markersize=4)
    tidy(axes)
    axes.legend(fontsize=8, frameon=False)


# Shared by all plots: axes with plain numbers, a caption that names the machine


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
