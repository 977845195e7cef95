"""The plots of the API benchmark, drawn from its CSV."""

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.calls import CALLS, DIRECT, LIVEZ, PEER
from benchmarks.canvas import BLUE, GREEN, GREY, ORANGE, count_axis, figure, legend, plain_log_axis, save, tidy
from benchmarks.measurement import Measurement
from benchmarks.table import Table

Rows = Sequence[Measurement]
PERCENTILES = (
    ("p50_ms", "p50: half are faster", BLUE, "o-"),
    ("p95_ms", "p95", GREEN, "s--"),
    ("p99_ms", "p99: one in a hundred is slower", ORANGE, "^:"),
)
WAYS = ((PEER, "through the peers' nodes", BLUE, "o-"), (DIRECT, "directly at the indexing server", ORANGE, "s--"))


def draw_all(table: Table[Measurement], folder: Path) -> list[Path]:
    """Draw every plot of the benchmark into a folder; returns their paths."""
    drawn = {
        "latency": latency(table.rows),
        "throughput": throughput(table.rows),
        "distribution": distribution(table.rows),
        "direct": direct(table.rows),
        "batches": batches(table.rows),
    }
    return [save(made, folder / f"api_{name}.png", table.notes) for name, made in drawn.items()]


def of(rows: Rows, via: str, call: str, *, batched: bool = False) -> list[Measurement]:
    """The measurements of a call one way that had an answer, by number of peers."""
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
    """How each call's latencies are spread, with the fewest and with the most peers."""
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
    """What the way through a peer's node adds to each call: the median latency of one caller, both ways."""
    fewest = min(row.peers for row in rows)
    who = "one caller" if fewest == 1 else f"{fewest} callers"
    made = figure(
        "What the way through a peer's node costs", f"Median latency of {who}: dots close together cost little.", 9, 4.6
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
    """Messages a second, one a request and in batches, by number of peers."""
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
