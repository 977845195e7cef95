"""Imports point one way."""

import subprocess
import sys

import pytest

from tests.support.harness import ROOT

SERVING = {
    "peerbus.http.types",
    "peerbus.errors",
    "peerbus.http.listener",
    "peerbus.http.timeouts",
    "peerbus.http.tls",
}
"""What both servers are made of."""
WIRE = {
    "peerbus.errors",
    "peerbus.wire.fields",
    "peerbus.wire.json_scan",
    "peerbus.wire.protocol",
    "peerbus.wire.views",
}
"""What is sent, and what is wrong with it."""
CALLS = {"peerbus.server.calls", "peerbus.future", "peerbus.wire.tokens", *WIRE}
LAYERS = {
    "peerbus.errors": set(),
    "peerbus.wire.views": set(),
    "peerbus.wire.fields": set(),
    "peerbus.wire.json_scan": set(),
    "peerbus.wire.protocol": WIRE,
    "peerbus.future": set(),
    "peerbus.wire.tokens": set(),
    "peerbus.histogram": set(),
    "peerbus.http.types": set(),
    "peerbus.http.timeouts": set(),
    "peerbus.http.listener": set(),
    "peerbus.http.listener": {"peerbus.errors"},
    "peerbus.http.timeouts": {"peerbus.http.types", "peerbus.http.timeouts"},
    "peerbus.crew": {"peerbus.http.types", "peerbus.http.timeouts"},
    "peerbus.http.tls": {"peerbus.errors"},
    "peerbus.serving": {"peerbus.crew", *SERVING},
    "peerbus.loop": {"peerbus.future", *SERVING},
    "peerbus.broker": {"peerbus.errors", "peerbus.wire.views", "peerbus.future", "peerbus.wire.json_scan"},
    "peerbus.http.docs.examples": WIRE,
    "peerbus.server.calls": CALLS,
    "peerbus.wire.endpoints": {"peerbus.server.listings", *CALLS},
    "peerbus.web": {
        "peerbus.http.types",
        "peerbus.histogram",
        "peerbus.wire.endpoints",
        "peerbus.http.docs.examples",
        "peerbus.wire.fields",
        "peerbus.server.listings",
        *CALLS,
    },
}
FORBIDDEN = {
    "peerbus.broker": {"flask", "werkzeug", "granian", "http.server", "urllib.request", "sqlite3", "requests"},
    "peerbus.loop": {"flask", "werkzeug", "granian"},
    "peerbus.node": {"granian", "peerbus.broker", "peerbus.server", "requests", "sqlite3"},
    "peerbus.web": {"peerbus.broker", "peerbus.server", "peerbus.node", "sqlite3", "prometheus_client"},
    "peerbus.server": {"peerbus.node", "requests"},
    "peerbus.storage": {"flask", "granian", "peerbus.wire.endpoints", "peerbus.web", "peerbus.server", "peerbus.node"},
    "api_benchmark": {"peerbus.broker", "peerbus.server", "peerbus.node", "tests"},
    "response_time_test": {"peerbus.broker", "peerbus.server", "peerbus.node", "tests"},
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
