"""How many random histories the tests try, and how long they are."""

import os

from hypothesis import Phase, settings

EXAMPLES = int(os.environ.get("PEERBUS_TEST_EXAMPLES") or 0)
"""The examples of each random test, if there are to be more than usual: `make model` sets it."""
STEPS = 40
PHASES = [phase for phase in Phase if phase is not Phase.explain]
"""Explaining a failure can take longer than a test may."""


def histories(examples: int) -> settings:
    """Settings for `examples` histories of a state machine; when there are to be more, each is twice as long."""
    if EXAMPLES:
        return settings(max_examples=EXAMPLES, stateful_step_count=2 * STEPS, deadline=None, phases=PHASES)
    return settings(max_examples=examples, stateful_step_count=STEPS, deadline=None, phases=PHASES)
