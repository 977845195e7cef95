"""Imports point one way."""

import subprocess
import sys

import pytest

from tests.support import ROOT

SERVING = {
    "peerbus.application",
    "peerbus.errors",
    "peerbus.listening",
    "peerbus.patience",
    "peerbus.slow_bodies",
    "peerbus.stopping",
    "peerbus.tls",
}
"""What both servers are made of."""
WIRE = {"peerbus.errors", "peerbus.fields", "peerbus.nesting", "peerbus.protocol", "peerbus.views"}
"""What is sent, and what is wrong with it."""
CALLS = {"peerbus.calls", "peerbus.later", "peerbus.tokens", *WIRE}
LAYERS = {
    "peerbus.errors": set(),
    "peerbus.views": set(),
    "peerbus.fields": set(),
    "peerbus.nesting": set(),
    "peerbus.protocol": WIRE,
    "peerbus.later": set(),
    "peerbus.tokens": set(),
    "peerbus.durations": set(),
    "peerbus.application": set(),
    "peerbus.patience": set(),
    "peerbus.stopping": set(),
    "peerbus.listening": {"peerbus.errors"},
    "peerbus.slow_bodies": {"peerbus.application", "peerbus.patience"},
    "peerbus.crew": {"peerbus.application", "peerbus.patience", "peerbus.slow_bodies"},
    "peerbus.tls": {"peerbus.errors"},
    "peerbus.serving": {"peerbus.crew", *SERVING},
    "peerbus.loop": {"peerbus.later", *SERVING},
    "peerbus.broker": {"peerbus.errors", "peerbus.views", "peerbus.later", "peerbus.nesting"},
    "peerbus.examples": WIRE,
    "peerbus.calls": CALLS,
    "peerbus.endpoints": {"peerbus.listings", *CALLS},
    "peerbus.web": {
        "peerbus.application",
        "peerbus.durations",
        "peerbus.endpoints",
        "peerbus.examples",
        "peerbus.faults",
        "peerbus.listings",
        *CALLS,
    },
}
FORBIDDEN = {
    "peerbus.broker": {"flask", "werkzeug", "granian", "http.server", "urllib.request", "sqlite3", "requests"},
    "peerbus.loop": {"flask", "werkzeug", "granian"},
    "peerbus.peer": {"granian", "peerbus.broker", "peerbus.index", "requests", "sqlite3"},
    "peerbus.web": {"peerbus.broker", "peerbus.index", "peerbus.peer", "sqlite3", "prometheus_client"},
    "peerbus.index": {"peerbus.peer", "requests"},
    "peerbus.storage": {"flask", "granian", "peerbus.endpoints", "peerbus.web", "peerbus.index", "peerbus.peer"},
    "api_benchmark": {"peerbus.broker", "peerbus.index", "peerbus.peer", "tests"},
    "response_time_test": {"peerbus.broker", "peerbus.index", "peerbus.peer", "tests"},
}


def loaded_by(module: str) -> set[str]:
    """Everything that importing a module loads, found in a fresh interpreter."""
    code = f"import sys; import {module}; print(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
    )


@pytest.mark.parametrize("module", LAYERS)
def test_lower_layers_load_only_what_is_below_them(module: str) -> None:
    ours = {name for name in loaded_by(module) if name.startswith("peerbus.")}
    above = {name for name in ours if name != module and not name.startswith(f"{module}.")}
    assert above <= LAYERS[module]


@pytest.mark.parametrize("module", FORBIDDEN)
def test_a_package_never_loads_what_is_not_its_business(module: str) -> None:
    assert loaded_by(module).isdisjoint(FORBIDDEN[module])
