"""`peerbus top`: a live view."""

from __future__ import annotations

import shutil
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from peerbus.cli.frame import frame, look
from peerbus.cli.interrupt import Interruption
from peerbus.cli.options import Seconds
from peerbus.cli.settings import Settings, command
from peerbus.errors import PeerbusError

if TYPE_CHECKING:
    from peerbus.client import Client

NO_KEY = -1


@command(
    click.option(
        "--interval",
        type=Seconds(0.1, 3_600),
        default=1.0,
        metavar="SECONDS",
        show_default=True,
        help="Seconds between two frames.",
    ),
    click.option("--once", is_flag=True, help="Print one frame, whose rates are those of one interval."),
)
def top(settings: Settings, interval: float, once: bool) -> None:
    """Watch topics and peers live.

    The busiest topics come first, then those with most left to do. q or Ctrl-C ends it.
    """
    with settings.client() as client:
        if once:
            before = look(client)
            threading.Event().wait(interval)
            click.echo("\n".join(frame(settings.url, before, look(client), *shutil.get_terminal_size())))
        elif not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise click.UsageError("top needs a terminal; with --once it prints one frame anywhere.")
        else:
            with suppress(KeyboardInterrupt), Interruption().armed():
                _watch(client, settings.url, interval)


def _watch(client: Client, url: str, interval: float) -> None:
    """Take the terminal over and draw frames until q is pressed."""
    try:
        import curses
    except ImportError:
        raise click.UsageError("This Python has no curses; --once prints one frame.") from None
    first = look(client)

    def draw(window: Any) -> None:
        before, now, problem = None, first, ""
        with suppress(curses.error):  # not every terminal can
            curses.use_default_colors()
            curses.curs_set(0)
        window.timeout(int(interval * 1000))
        while True:
            height, width = window.getmaxyx()
            lines = frame(url, before, now, width - 1, height)
            window.erase()
            for y, line in enumerate([problem[: width - 1], *lines[1:]] if problem else lines):
                with suppress(curses.error):  # the window just became smaller
                    window.addstr(y, 0, line)
            key = window.getch()
            if key == ord("q"):
                return
            if key == NO_KEY:
                try:
                    before, now, problem = now, look(client), ""
                except PeerbusError as error:
                    problem = error.message

    try:
        curses.wrapper(draw)
    except curses.error as error:
        raise click.UsageError(f"This terminal cannot be drawn on ({error}); --once prints one frame.") from None
