"""The dashboard, the alert rules and the list of metrics are about metrics that exist, and leave none out."""

import json
import re
from collections.abc import Iterator

import pytest

from peerbus.http.listener import bind
from peerbus.server import IndexingServer, ServerOptions
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from tests.support.harness import ROOT, serving, start_node
from tests.support.metrics import families, work

DOCS = ROOT / "docs"
NAME = re.compile(r"\b(?:peerbus|process)_\w+")
RULE = re.compile(r"^ *- alert: (\w+)\n(.*?)(?=^ *- alert:|\Z)", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def existing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """The names of the samples of each metric, of a server on disk and of a node."""
    journal = GroupCommit(Storage(tmp_path_factory.mktemp("kept") / "data"), 0)
    for index in serving(IndexingServer(bind("127.0.0.1", 0), ServerOptions(), journal)):
        work(index)
        with start_node("node1", index.url) as node:
            found = {**families(node), **families(index)}
        samples = {
            name: {sample.name for sample in family.samples if not sample.name.endswith("_created")}
            for name, family in found.items()
        }
        yield {f"{name}_total" if f"{name}_total" in names else name: names for name, names in samples.items()}


def sample_names(existing: dict[str, set[str]]) -> set[str]:
    return {name for names in existing.values() for name in names}


def test_the_dashboard_shows_metrics_that_exist(existing: dict[str, set[str]]) -> None:
    dashboard = json.loads((DOCS / "grafana.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    named = {name for expression in shown for name in NAME.findall(expression)}
    assert named <= sample_names(existing)
    shown_families = {name for name, samples in existing.items() if samples & named}
    left_out = {name for name in existing.keys() - shown_families if name.startswith("peerbus_")}
    assert left_out == {"peerbus_registered"}, "the dashboard is that of servers"


def test_panels_of_the_dashboard_have_places_of_their_own() -> None:
    panels = json.loads((DOCS / "grafana.json").read_text())["panels"]
    for places in ([panel["id"] for panel in panels], [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]):
        assert len(set(places)) == len(panels)


def test_alerts_are_about_metrics_that_exist_and_say_what_to_do(existing: dict[str, set[str]]) -> None:
    rules = (DOCS / "alerts.yml").read_text()
    assert set(NAME.findall(rules)) <= sample_names(existing) | existing.keys()
    alerts = dict(RULE.findall(rules))
    assert len(alerts) == rules.count("alert:") > 10
    for name, rule in alerts.items():
        for key in ("expr", "severity", "summary", "description"):
            assert len(re.findall(rf"^ *{key}: .", rule, re.MULTILINE)) == 1, (name, key)


def test_the_list_of_metrics_is_complete(existing: dict[str, set[str]]) -> None:
    section = (DOCS / "operations.md").read_text().partition("## Metrics")[2].partition("\n## ")[0]
    rows = [row.split(" | ")[0] for row in section.splitlines() if row.startswith("| `peerbus_")]
    listed = {name for row in rows for name in NAME.findall(row)}
    assert listed == {name for name in existing if name.startswith("peerbus_")}
