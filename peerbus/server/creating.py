"""The functions of the calls that create topics: one, and many."""

from peerbus.broker import Broker
from peerbus.broker.topic import NamedOptions
from peerbus.http.event_loop import Steps
from peerbus.wire import protocol as wire
from peerbus.wire.words import topics_created

TOPICS_AT_ONCE = 500
"""Topics that are created in one step, about 3 ms."""
NAMES_AT_ONCE = 5000
"""Names that are checked in one step, about 1 ms."""


def create_topic(broker: Broker, r: wire.CreateTopicRequest) -> wire.CreateTopicAnswer:
    """Create a topic."""
    created = broker.create_topic(r.topic, r.max_messages, r.overflow, r.max_age, r.peer_id, r.history)
    sentence = f"Topic '{r.topic}' is created." if created else f"Topic '{r.topic}' existed; it keeps its messages."
    return wire.CreateTopicAnswer(message=sentence, topic=r.topic, created=created)


def create_topics(broker: Broker, r: wire.CreateTopicsRequest) -> wire.Answer | Steps[wire.Answer]:
    """Create many topics, more than a few in slices: each slice is one atomic step."""
    if len(r.topics) > TOPICS_AT_ONCE:
        return _create_slices(broker, r)
    names = r.names()
    new = broker.create_topics(names, _options(r), r.peer_id)
    return _created(len(new), _others(names, new))


def _create_slices(broker: Broker, r: wire.CreateTopicsRequest) -> Steps[wire.Answer]:
    """Create topics in slices, after all of them were checked: what can be wrong is found before the first is new."""
    names: dict[str, None] = {}
    for begin in range(0, len(r.topics), NAMES_AT_ONCE):
        names |= dict.fromkeys(r.names(begin, begin + NAMES_AT_ONCE))
        yield
    every, options = list(names), _options(r)
    slices = [every[begin : begin + TOPICS_AT_ONCE] for begin in range(0, len(every), TOPICS_AT_ONCE)]
    missing = 0
    for some in slices:
        missing += broker.missing_topics(some, options, missing)
        yield
    created, existed = 0, []
    for some in slices:
        new = broker.create_topics(some, options, r.peer_id)
        created += len(new)
        existed += _others(some, new)
        yield
    return _created(created, existed)


def _options(r: wire.CreateTopicsRequest) -> NamedOptions:
    return NamedOptions(r.max_messages, r.overflow, r.max_age, r.history)


def _others(names: list[str], new: list[str]) -> list[str]:
    known = set(new)
    return [name for name in names if name not in known]


def _created(created: int, existed: list[str]) -> wire.CreateTopicsAnswer:
    sentence = topics_created(created, len(existed))
    return wire.CreateTopicsAnswer(message=sentence, created=created, existed=existed)
