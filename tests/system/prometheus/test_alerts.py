"""docs/alerts.yml as Prometheus reads it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.harness import DEADLINE, ROOT

RULES = ROOT / "docs" / "alerts.yml"
AT = 'instance="bus:5000", job="peerbus"'
QUEUE = f'{AT}, topic="jobs", queue="group workers"'
LE = [f'le="{bound}"' for bound in ("0.05", "1", "+Inf")]
QUIET, GROWING, SMALL, LARGE = "0x120", "0+1x120", "1+0x120", "5000+1x120"

FIRING: dict[str, list[tuple[str, str]]] = {
    "PeerbusDown": [(f"up{{{AT}}}", QUIET)],
    "PeerbusNodeNotRegistered": [(f"peerbus_registered{{{AT}}}", QUIET)],
    "PeerbusInternalErrors": [
        (f'peerbus_request_duration_seconds_count{{{AT}, call="publish", status="500"}}', GROWING),
    ],
    "PeerbusMessagesDiscarded": [(f"peerbus_messages_discarded_total{{{AT}}}", GROWING)],
    "PeerbusMessagesMissed": [(f"peerbus_messages_missed_total{{{AT}}}", GROWING)],
    "PeerbusMessagesDeadLettered": [(f"peerbus_messages_dead_lettered_total{{{AT}}}", GROWING)],
    "PeerbusPublishesRefused": [(f"peerbus_publishes_refused_total{{{AT}}}", GROWING)],
    "PeerbusMemoryNearLimit": [
        (f"peerbus_memory_bytes{{{AT}}}", "95x120"),
        (f"peerbus_memory_limit_bytes{{{AT}}}", "100x120"),
    ],
    "PeerbusDiskFull": [
        (f'peerbus_request_duration_seconds_count{{{AT}, call="{call}", status="507"}}', GROWING)
        for call in ("publish", "subscribe")
    ],
    "PeerbusBacklogGrows": [
        (f"peerbus_queue_unread_messages{{{QUEUE}}}", LARGE),
        (f"peerbus_queue_messages_pulled_total{{{QUEUE}}}", GROWING),
    ],
    "PeerbusQueueNotPulled": [
        (f"peerbus_queue_unread_messages{{{QUEUE}}}", SMALL),
        (f"peerbus_queue_messages_pulled_total{{{QUEUE}}}", "7x120"),
    ],
    "PeerbusMessagesOld": [(f"peerbus_queue_oldest_unread_seconds{{{QUEUE}}}", "4000x120")],
    "PeerbusDeadLettersWait": [
        (f'peerbus_queue_unread_messages{{{AT}, topic="dead", queue="group dead-letters"}}', SMALL)
    ],
    "PeerbusLoopLags": [
        (f"peerbus_loop_lag_seconds_bucket{{{AT}, {le}}}", growth)
        for le, growth in zip(LE, ("0+1x120", "0+9x120", "0+9x120"), strict=True)
    ],
    "PeerbusCommitsSlow": [
        (f"peerbus_journal_commit_duration_seconds_bucket{{{AT}, {le}}}", growth)
        for le, growth in zip(LE, ("0+1x120", "0+9x120", "0+9x120"), strict=True)
    ],
}
"""For each alert what makes it fire, and no other one: series with a value a minute."""
HEALTHY = [
    (f"up{{{AT}}}", "1x120"),
    (f"peerbus_registered{{{AT}}}", "1x120"),
    (f'peerbus_request_duration_seconds_count{{{AT}, call="publish", status="200"}}', GROWING),
    (f'peerbus_request_duration_seconds_count{{{AT}, call="publish", status="404"}}', GROWING),
    (f"peerbus_messages_discarded_total{{{AT}}}", "3x120"),
    (f"peerbus_messages_missed_total{{{AT}}}", "3x120"),
    (f"peerbus_messages_dead_lettered_total{{{AT}}}", "3x120"),
    (f"peerbus_publishes_refused_total{{{AT}}}", "3x120"),
    (f"peerbus_memory_bytes{{{AT}}}", "50x120"),
    (f"peerbus_memory_limit_bytes{{{AT}}}", "100x120"),
    (f"peerbus_queue_unread_messages{{{QUEUE}}}", "5000-1x120"),
    (f"peerbus_queue_messages_pulled_total{{{QUEUE}}}", GROWING),
    (f"peerbus_queue_oldest_unread_seconds{{{QUEUE}}}", "60x120"),
    *((f"peerbus_loop_lag_seconds_bucket{{{AT}, {le}}}", GROWING) for le in LE),
    *((f"peerbus_journal_commit_duration_seconds_bucket{{{AT}, {le}}}", GROWING) for le in LE),
]
"""Series of a server that does its work."""


def promtool(*arguments: str | Path) -> None:
    """Run promtool; fails with what it says."""
    path = shutil.which("promtool")
    assert path, "There is no promtool to check the rules with: apt-get install -y prometheus"
    done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def alerts_of(series: list[tuple[str, str]], expected: set[str], folder: Path) -> None:
    """Check that after two hours of these series these alerts fire, by their names."""
    input_series = [{"series": name, "values": values} for name, values in series]
    firing = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": "110m",
        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(expected)],
    }
    tested = {"interval": "1m", "input_series": input_series, "promql_expr_test": [firing]}
    file = folder / "test.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [tested]}))
    promtool("test", "rules", file)


def test_the_rules_are_valid() -> None:
    promtool("check", "rules", RULES)


def test_every_alert_is_tested() -> None:
    assert set(FIRING) == set(re.findall(r"- alert: (\w+)", RULES.read_text()))


@pytest.mark.parametrize("alert", FIRING)
def test_an_alert_fires_when_there_is_reason_for_it(alert: str, tmp_path: Path) -> None:
    alerts_of(FIRING[alert], {alert}, tmp_path)


def test_none_fires_while_all_is_well(tmp_path: Path) -> None:
    alerts_of(HEALTHY, set(), tmp_path)
