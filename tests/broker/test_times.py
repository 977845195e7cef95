"""When messages were published: by the broker's clock, and by the wall clock, which may be set."""

from peerbus.broker import Broker, Limits
from peerbus.broker.change_listener import IgnoreChanges
from peerbus.broker.log import size_of
from peerbus.broker.state import PER_SLICE, State
from peerbus.broker.topic import Topic
from tests.support.harness import Clock


class Times(Clock):
    """The broker's clock, and a wall clock that is `ahead` of it."""

    ahead = 1e9

    def wall(self) -> float:
        return self.now + self.ahead


def topic_of(times: Times) -> Topic:
    """A topic that retains the last 2 messages."""
    state = State(Limits(history=2), times, times.wall, IgnoreChanges(), lambda: None, PER_SLICE)
    state.topics.get_or_create("news")
    return state.topic("news")


def publish(topic: Topic, count: int, times: Times) -> None:
    values = [b"1"] * count
    topic.append(values, size_of(values), times())


def test_times_follow_the_wall_clock_when_it_is_set() -> None:
    times = Times()
    broker = Broker(clock=times, wall_clock=times.wall)
    broker.create_topic("news")
    broker.publish("news", [b"1"])

    def seen() -> list[float]:
        details = broker.peek("news", 1, 1000, details=True).details
        assert details
        return details.published_at

    times.advance(60.0)
    assert seen() == [1e9 + 1000.0]
    times.ahead += 1e-4  # an inexact measurement
    assert seen() == [1e9 + 1000.0]
    times.ahead += 3600.0
    assert seen() == [1e9 + 4600.0]


def test_the_first_message_since_a_time_is_found() -> None:
    times = Times()
    topic = topic_of(times)
    for _ in range(3):
        times.advance(10.0)
        publish(topic, 1, times)
    assert topic.start == 1
    assert topic.offset_at(0.0) == 1, "the first that is retained"
    assert [topic.offset_at(times.ahead + time) for time in (1020.0, 1020.001, 1030.0, 1030.001)] == [1, 2, 2, 3]


def test_the_age_of_a_message_is_known() -> None:
    times = Times()
    topic = topic_of(times)
    publish(topic, 1, times)
    times.advance(2.5)
    publish(topic, 1, times)
    assert [topic.age(offset, times()) for offset in (0, 1)] == [2.5, 0.0]
