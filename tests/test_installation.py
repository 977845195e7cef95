"""What `pip install .` makes of the project."""

import tomllib
from importlib import import_module
from typing import Any

import click
import pytest

import indexing_server
from peerbus.cli.node_command import main as node
from peerbus.cli.server_command import main as server
from peerbus.http.pages import FILES
from tests.support.harness import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SCRIPTS: dict[str, str] = PROJECT["project"]["scripts"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_declared_command_is_there(name: str) -> None:
    module, _, attribute = SCRIPTS[name].partition(":")
    assert callable(getattr(import_module(module), attribute))


def test_the_scripts_run_the_same_command_lines() -> None:
    assert indexing_server.main is server
    assert isinstance(node, click.Command)


def test_it_is_installed_with_what_it_runs_on() -> None:
    runtime = (ROOT / "requirements.txt").read_text().partition("# Benchmarks")[0]
    assert PROJECT["project"]["dependencies"] == [line for line in runtime.splitlines() if not line.startswith("#")]


def test_the_version_is_found_where_it_is_kept() -> None:
    kept = (ROOT / PROJECT["tool"]["hatch"]["version"]["path"]).read_text()
    assert f'__version__ = "{import_module("peerbus").__version__}"' in kept


def test_the_pages_are_in_the_package_that_is_installed() -> None:
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [FILES.parent.name]
    assert {"index.html", "node.html", "style.css"} <= {file.name for file in FILES.iterdir()}
