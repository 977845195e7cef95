"""Generated calls made to fit what a description in JSON Schema has no words for."""

import re
from collections.abc import Callable
from time import time
from typing import Any

from schemathesis import Case

from peerbus.broker import Limits
from peerbus.wire.fields import HOOK, URL

ACK_OPTIONS = ("ack_deadline", "max_attempts", "dead_letter_topic")
PUSH_OPTIONS = ("push_batch", "push_at_once", "push_secret")
LONGEST_ADDRESS = 2048
KNOWN = {"peer_id": "peer1", "topic": "news"}
"""What is there when a call is made."""


def mend(case: Case[Any], limits: Limits) -> None:
    """Make a call that is meant to be good as good as its description alone could not.

    Every other name becomes one that exists, too, or most calls would end with 404; and no peer gets an address
    on another machine, which the server would call.
    """
    if case.operation.path == "/unsubscribe" and isinstance(case.body, dict):
        case.body.setdefault("end", False)
    for fields in (case.body, case.query):
        if isinstance(fields, dict):
            _on_this_machine(fields)
            if case.meta and case.meta.generation.mode.is_positive:
                for mended in MENDED:
                    mended(fields, limits)
    if case.operation.path == "/subscriptions" and not case.query.get("peer_id"):
        case.query.setdefault("topic", KNOWN["topic"])  # one of both is needed
    if case.operation.path == "/redrive" and isinstance(case.body, dict) and case.body.get("topic") == KNOWN["topic"]:
        case.body["topic"] = "dead"
    if case.operation.path == "/in_flight" and not case.query.get("group"):
        case.query.setdefault("peer_id", KNOWN["peer_id"])  # one of both is needed


def _on_this_machine(fields: dict[str, Any]) -> None:
    for name, pattern in (("address", URL), ("push_to", HOOK)):
        address = fields.get(name)
        if isinstance(address, str) and len(address) <= LONGEST_ADDRESS and re.search(pattern, address):
            fields[name] = f"http://127.0.0.1:9/{address}"[:LONGEST_ADDRESS]


def _known(fields: dict[str, Any], _: Limits) -> None:
    for name, known in KNOWN.items():
        if isinstance(fields.get(name), str) and len(fields[name]) % 2 == 0:
            fields[name] = known


def _whole(fields: dict[str, Any], _: Limits) -> None:
    """JSON Schema takes 5.0 for an integer; here one is written 5."""
    for name in fields.keys() - {"message", "messages"}:
        fields[name] = _written_whole(fields[name])


def _written_whole(value: Any) -> Any:
    if isinstance(value, list):
        return [_written_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _one_attempt_for_each_offset(fields: dict[str, Any], _: Limits) -> None:
    if fields.get("attempts") is not None and fields.get("offsets") is not None:
        fields["attempts"] = [1] * len(fields["offsets"])


def _options_of_explicit_alone(fields: dict[str, Any], _: Limits) -> None:
    """They are an error, too, where an earlier call said auto and this one nothing."""
    if any(fields.get(option) is not None for option in ACK_OPTIONS):
        fields["ack"] = "explicit"


def _pushed_if_explicit(fields: dict[str, Any], _: Limits) -> None:
    """Options of a push target need one, and a target needs acknowledgements; an earlier call may have made one."""
    if fields.get("push_to") is not None:
        fields["ack"] = "explicit"
        return
    for name in PUSH_OPTIONS:
        fields.pop(name, None)
    if fields.get("ack") == "auto":
        fields["push_to"] = None


def _dead_letters_elsewhere(fields: dict[str, Any], _: Limits) -> None:
    if fields.get("dead_letter_topic") is not None:
        fields["dead_letter_topic"] = f"dead-{fields['topic']}"[:128]


def _a_time_ahead(fields: dict[str, Any], _: Limits) -> None:
    """A time that is ahead at any time; and not a delay, too."""
    if fields.get("at") is not None:
        fields["at"] = time() + 60.0
        fields.pop("delay", None)


def _from_a_message_that_is_there(fields: dict[str, Any], _: Limits) -> None:
    if isinstance(fields.get("from"), int | str) and str(fields["from"]).isdecimal():
        fields["from"] = 0


def _to_what_is_there(fields: dict[str, Any], _: Limits) -> None:
    if isinstance(fields.get("to"), int):
        fields["to"] = 0
    if isinstance(fields.get("to"), dict):
        fields["to"] = {"time": 0}


def _whole_groups_alone(fields: dict[str, Any], _: Limits) -> None:
    """A group is named to end its message queue; without one, a peer is needed."""
    if "end" in fields:
        fields["end"] = fields.get("group") is not None
        fields["peer_id"] = fields.get("peer_id") or KNOWN["peer_id"]


def _all_or_some(fields: dict[str, Any], _: Limits) -> None:
    if "all" in fields:
        fields["all"] = True


def _within_limits(fields: dict[str, Any], limits: Limits) -> None:
    """A peer node does not know those of the indexing server."""
    for name, most in (("wait", limits.max_wait), ("max_messages", limits.max_messages)):
        if fields.get(name) is not None:
            fields[name] = min(fields[name], most)


MENDED: tuple[Callable[[dict[str, Any], Limits], None], ...] = (
    _known,
    _whole,
    _one_attempt_for_each_offset,
    _options_of_explicit_alone,
    _pushed_if_explicit,
    _dead_letters_elsewhere,
    _a_time_ahead,
    _from_a_message_that_is_there,
    _to_what_is_there,
    _whole_groups_alone,
    _all_or_some,
    _within_limits,
)
