"""Imports point one way: from room to room as drawn here, and never in a circle.

Imports are read from the source, so those inside functions and under TYPE_CHECKING count as well.
"""

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.harness import ROOT

ROOMS: dict[str, set[str]] = {
    "peerbus": set(),
    "peerbus.errors": set(),
    "peerbus.future": {"peerbus.errors"},
    "peerbus.standstill": set(),
    "peerbus.histogram": set(),
    "peerbus.logs": {"peerbus.errors"},
    "peerbus.stop_signals": set(),
    "peerbus.wire": {"peerbus.errors"},
    "peerbus.client": {"peerbus.errors", "peerbus.wire"},
    "peerbus.broker": {
        "peerbus.errors",
        "peerbus.future",
        "peerbus.standstill",
        "peerbus.wire.json_scan",
        "peerbus.wire.views",
        "peerbus.wire.words",
    },
    "peerbus.storage": {"peerbus.broker", "peerbus.errors", "peerbus.future", "peerbus.histogram"},
    "peerbus.http": {
        "peerbus",
        "peerbus.errors",
        "peerbus.future",
        "peerbus.histogram",
        "peerbus.standstill",
        "peerbus.stop_signals",
        "peerbus.wire",
    },
    "peerbus.http.docs": {"peerbus", "peerbus.errors", "peerbus.http", "peerbus.wire"},
    "peerbus.http.upstream": {
        "peerbus.future",
        "peerbus.http.event_loop",
        "peerbus.http.known_heads",
        "peerbus.http.timer",
        "peerbus.http.tls",
        "peerbus.standstill",
    },
    "peerbus.http.passing_on": {"peerbus.errors", "peerbus.http", "peerbus.http.upstream", "peerbus.wire"},
    "peerbus.server": {
        "peerbus.broker",
        "peerbus.errors",
        "peerbus.future",
        "peerbus.histogram",
        "peerbus.http",
        "peerbus.http.docs",
        "peerbus.http.upstream",
        "peerbus.storage",
        "peerbus.wire",
    },
    "peerbus.cluster": {
        "peerbus.broker",
        "peerbus.errors",
        "peerbus.future",
        "peerbus.histogram",
        "peerbus.http",
        "peerbus.http.passing_on",
        "peerbus.http.upstream",
        "peerbus.server",
        "peerbus.storage",
        "peerbus.wire",
    },
    "peerbus.node": {
        "peerbus.errors",
        "peerbus.future",
        "peerbus.http",
        "peerbus.http.docs",
        "peerbus.http.passing_on",
        "peerbus.http.upstream",
        "peerbus.logs",
        "peerbus.stop_signals",
        "peerbus.wire",
    },
    "peerbus.cli": {
        "peerbus",
        "peerbus.client",
        "peerbus.errors",
        "peerbus.logs",
        "peerbus.stop_signals",
        "peerbus.wire",
    },
    "peerbus.cli.serving_options": {"peerbus.cli", "peerbus.errors", "peerbus.http"},
    "peerbus.cli.node_command": {
        "peerbus.cli",
        "peerbus.cli.serving_options",
        "peerbus.http",
        "peerbus.node",
        "peerbus.wire",
    },
    "peerbus.cli.server_command": {
        "peerbus.broker",
        "peerbus.cli",
        "peerbus.cli.serving_options",
        "peerbus.http",
        "peerbus.logs",
        "peerbus.server",
        "peerbus.storage",
    },
    "peerbus.__main__": {"peerbus.cli"},
    "benchmarks": {"peerbus", "peerbus.cli.options", "peerbus.http.listener"},
    "benchmarks.turns": {
        "benchmarks",
        "peerbus",
        "peerbus.broker",
        "peerbus.cli.options",
        "peerbus.future",
        "peerbus.http",
        "peerbus.server",
    },
    "api_benchmark": {"benchmarks", "peerbus.cli.options"},
    "response_time_test": {"benchmarks", "peerbus.cli.options"},
    "indexing_server": {"peerbus.cli.server_command"},
    "peer_node": {"peerbus.cli.node_command"},
}
"""Each room with the rooms and modules that it may import, all of which are listed before it.

A part of a room that may import other things than the rest has a row of its own.
"""

LIBRARIES: dict[str, set[str]] = {
    "peerbus.errors": {"msgspec"},
    "peerbus.wire": {"msgspec"},
    "peerbus.client": {"msgspec", "requests"},
    "peerbus.broker": {"msgspec"},
    "peerbus.storage": {"msgspec", "sqlite3"},
    "peerbus.http": {"flask", "httptools", "msgspec", "prometheus_client", "uvloop", "werkzeug"},
    "peerbus.http.docs": {"flask", "jinja2", "markupsafe", "msgspec"},
    "peerbus.http.upstream": {"httptools"},
    "peerbus.http.passing_on": {"msgspec"},
    "peerbus.server": {"msgspec", "prometheus_client"},
    "peerbus.cluster": {"msgspec", "nats"},
    "peerbus.node": {"flask", "msgspec", "prometheus_client"},
    "peerbus.cli": {"click", "msgspec"},
    "peerbus.cli.serving_options": {"click"},
    "peerbus.cli.node_command": {"click", "msgspec"},
    "peerbus.cli.server_command": {"click"},
}
"""The libraries that a room of the package may use; the other rooms use none."""
RESTRICTED = {"sqlite3", "http.client", "http.server", "socketserver", "urllib.request"}
"""Modules of the standard library that count as libraries."""


def modules() -> dict[str, Path]:
    """The modules of the project, without its tests, by name."""
    files = [*ROOT.glob("peerbus/**/*.py"), *ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("*.py")]
    named = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}
    return {name: file for name, file in named.items() if not name.startswith("test_")}


MODULES = modules()


def imports_of(file: Path) -> Iterator[str]:
    """The modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{file} imports relatively, which this test does not follow"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


IMPORTS = {name: set(imports_of(file)) for name, file in MODULES.items()}


def room_of(module: str) -> str:
    """The innermost row of `ROOMS` that a module belongs to; the row `peerbus` is for that module alone."""
    rooms = [room for room in ROOMS if module == room or (room != "peerbus" and module.startswith(f"{room}."))]
    assert rooms, f"{module} is in no room"
    return max(rooms, key=len)


def imports_of_room(room: str) -> Iterator[tuple[str, str]]:
    """Each module of a room with each module that it imports."""
    for module, names in IMPORTS.items():
        if room_of(module) == room:
            yield from ((module, name) for name in names)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_it_may(room: str) -> None:
    allowed = {room, *ROOMS[room]}
    ours = [(module, name) for module, name in imports_of_room(room) if name in MODULES]
    assert [f"{module} -> {name}" for module, name in ours if not {name, room_of(name)} & allowed] == []


@pytest.mark.parametrize("room", [room for room in ROOMS if room.startswith("peerbus")])
def test_a_room_uses_only_the_libraries_it_may(room: str) -> None:
    used = {
        name if name in RESTRICTED else name.partition(".")[0]
        for _, name in imports_of_room(room)
        if name not in MODULES
    }
    assert used - (sys.stdlib_module_names - RESTRICTED) <= LIBRARIES.get(room, set())


def test_the_arrows_between_rooms_point_one_way() -> None:
    below: set[str] = set()
    for room, allowed in ROOMS.items():
        assert {room_of(name) for name in allowed} <= below, f"{room} is listed before a room that it imports"
        below.add(room)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: (names & MODULES.keys()) - {name} for name, names in IMPORTS.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")
