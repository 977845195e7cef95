"""Pulls that wait: on a clock the test moves, answered when the test has due work done."""

import weakref
from collections.abc import Callable
from time import monotonic

import pytest

from peerbus.broker import Broker
from peerbus.broker.results import Pulled
from peerbus.errors import BadRequest, NotSubscribed, PeerNotFound, TooManyWaiting, TopicDeleted, TopicNotFound
from peerbus.future import Future
from tests.support.harness import DEADLINE, Clock, error_of, eventually, tended

MakeBroker = Callable[..., Broker]
MAX_WAITING = 3
ENDS_OF_A_WAIT: dict[str, Callable[[Broker, Clock], object]] = {
    "the time is up": lambda _, clock: clock.advance(60.0),
    "the broker closes": lambda broker, _: broker.close(),
    "the peer unsubscribes, an error": lambda broker, _: broker.unsubscribe("a", "news"),
    "the topic is deleted, an error": lambda broker, _: broker.delete_topic("news"),
}


@pytest.fixture
def broker(make_broker: MakeBroker) -> Broker:
    """The topic `news`, with `a` and `b` subscribed each for itself."""
    return subscribed(make_broker(max_waiting=MAX_WAITING))


@pytest.fixture
def group(make_broker: MakeBroker) -> Broker:
    """The topic `news`, with `a` and `b` in one group that acknowledges explicitly within 10 seconds."""
    return subscribed(make_broker(), group="g", explicit=True, ack_deadline=10.0)


def subscribed(broker: Broker, **options: object) -> Broker:
    broker.create_topic("news")
    for peer_id in "ab":
        broker.register_peer(peer_id)
        broker.subscribe(peer_id, "news", **options)  # type: ignore[arg-type]
    return broker


def waiting(
    broker: Broker,
    peer_id: str = "a",
    topic: str = "news",
    max_messages: int = 1000,
    wait: float = 60.0,
    in_flight: int | None = None,
) -> Future[Pulled]:
    """A pull that waits."""
    answer = broker.pull_waiting(peer_id, topic, max_messages, wait, in_flight=in_flight)
    assert isinstance(answer, Future)
    return answer


def answered(broker: Broker, *pulls: Future[Pulled]) -> list[list[bytes] | None]:
    """The values that each pull was answered with once due work was done, None for one that waits on."""
    broker.run_due()
    return [list(pull.result(0).values) if pull.done else None for pull in pulls]


# What a pull waits for


def test_a_pull_does_not_wait_when_there_is_something_to_say(broker: Broker) -> None:
    broker.publish("news", [b"1"])
    answer = broker.pull_waiting("a", "news", 10, 60.0)
    assert isinstance(answer, Pulled)
    assert answer.values == [b"1"]


def test_a_message_answers_the_pull_of_every_subscriber(broker: Broker) -> None:
    pulls = waiting(broker, "a"), waiting(broker, "b")
    assert answered(broker, *pulls) == [None, None]
    broker.publish("news", [b"1"])
    assert answered(broker, *pulls) == [[b"1"], [b"1"]]


def test_of_several_pulls_on_one_queue_the_first_is_served_first(broker: Broker) -> None:
    pulls = [waiting(broker, max_messages=2) for _ in range(3)]
    broker.publish("news", [b"1", b"2", b"3"])
    assert answered(broker, *pulls) == [[b"1", b"2"], [b"3"], None]
    broker.publish("news", [b"4"])
    assert answered(broker, *pulls) == [[b"1", b"2"], [b"3"], [b"4"]]


def test_a_message_of_one_topic_answers_no_pull_of_another(broker: Broker) -> None:
    broker.create_topic("sport")
    broker.subscribe("a", "sport")
    news, sport = waiting(broker, "a", "news"), waiting(broker, "a", "sport")
    broker.publish("sport", [b"1"])
    assert answered(broker, news, sport) == [None, [b"1"]]


def test_a_message_for_a_group_answers_one_of_its_pulls(group: Broker) -> None:
    pulls = waiting(group, "b"), waiting(group, "a")
    group.publish("news", [b"1"])
    assert answered(group, *pulls) == [[b"1"], None]
    group.publish("news", [b"2"])
    assert answered(group, *pulls) == [[b"1"], [b"2"]]


def test_moving_back_answers_a_pull(broker: Broker) -> None:
    broker.publish("news", [b"1"])
    broker.pull("a", "news")
    pull = waiting(broker)
    broker.seek("a", "news", "earliest")
    assert answered(broker, pull) == [[b"1"]]


def test_room_made_by_acknowledging_answers_a_pull(make_broker: MakeBroker) -> None:
    broker = subscribed(make_broker(max_unacknowledged=2), explicit=True)
    broker.publish("news", [b"1", b"2", b"3"])
    broker.pull("a", "news")
    pull = waiting(broker)
    assert answered(broker, pull) == [None]
    broker.acknowledge("a", "news", [(0, None)])
    assert answered(broker, pull) == [[b"3"]]


# Room for messages in flight to a peer

SETTLING: dict[str, Callable[[Broker, Clock], object]] = {
    "it is acknowledged": lambda broker, _: broker.acknowledge("a", "news", [(0, None)]),
    "it is rejected": lambda broker, _: broker.reject("a", "news", [(0, None)]),
    "it is rejected with a delay": lambda broker, _: broker.reject("a", "news", [(0, None)], delay=100.0),
    "it is given back": lambda broker, _: broker.give_back("a", "news", "a", generation(broker), [0], [1], missed=0),
    "it is not acknowledged in time": lambda _, clock: clock.advance(10.0),
    "the queue moves": lambda broker, _: broker.seek("a", "news", 1),
    "acknowledgement becomes automatic": lambda broker, _: broker.subscribe("a", "news", explicit=False),
}


def generation(broker: Broker) -> int:
    """The generation of the queue of `a`, as a pull without messages tells it."""
    pulled = broker.pull("a", "news", 0)
    assert pulled.values == []
    return pulled.generation


@pytest.mark.parametrize("settle", SETTLING.values(), ids=SETTLING)
def test_a_peer_gets_no_more_than_it_may_have_in_flight_until(
    make_broker: MakeBroker, clock: Clock, settle: Callable[[Broker, Clock], object]
) -> None:
    broker = subscribed(make_broker(), explicit=True, ack_deadline=10.0)
    broker.publish("news", [b"1", b"2", b"3"])
    assert broker.pull_waiting("a", "news", 10, 60.0, in_flight=1).values == [b"1"]  # type: ignore[union-attr]
    pulls = [waiting(broker, in_flight=1) for _ in range(2)]
    assert answered(broker, *pulls) == [None, None]
    broker.publish("news", [b"4"])
    assert answered(broker, *pulls) == [None, None]
    settle(broker, clock)
    broker.run_due()
    first, second = answered(broker, *pulls)
    assert first
    assert second is None


def test_a_message_without_further_attempts_makes_room(broker: Broker, clock: Clock) -> None:
    broker.subscribe("a", "news", explicit=True, ack_deadline=10.0, max_attempts=1)
    broker.publish("news", [b"1", b"2"])
    broker.pull("a", "news", 1)
    pull = waiting(broker, in_flight=1)
    clock.advance(10.0)
    assert answered(broker, pull) == [[b"2"]]
    assert pull.result(0).missed == 1


def test_a_peer_without_room_leaves_messages_to_others_of_its_group(group: Broker) -> None:
    group.publish("news", [b"1"])
    group.pull("a", "news")
    pulls = waiting(group, "a", in_flight=1), waiting(group, "b", in_flight=1)
    group.publish("news", [b"2", b"3"])
    assert answered(group, *pulls) == [None, [b"2"]]
    group.acknowledge("a", "news", [(0, None)])
    assert answered(group, *pulls) == [[b"3"], [b"2"]]


def test_what_comes_back_to_a_group_waits_for_a_peer_with_room(group: Broker, clock: Clock) -> None:
    group.publish("news", [b"1"])
    group.pull("b", "news")
    clock.advance(5.0)
    group.publish("news", [b"2"])
    group.pull("a", "news")
    pull = waiting(group, "a", in_flight=1)
    clock.advance(5.0)
    assert answered(group, pull) == [None], "the message of b is overdue, and a has one"
    group.acknowledge("a", "news", [(1, None)])
    assert answered(group, pull) == [[b"1"]]


@pytest.mark.parametrize("end", ENDS_OF_A_WAIT)
def test_a_pull_that_waits_for_room_ends_as_others_do_when(make_broker: MakeBroker, clock: Clock, end: str) -> None:
    broker = subscribed(make_broker(), explicit=True, ack_deadline=100.0)
    broker.publish("news", [b"1", b"2"])
    broker.pull("a", "news", 1)
    pulls = [waiting(broker, in_flight=1) for _ in range(2)]
    assert answered(broker, *pulls) == [None, None]
    ENDS_OF_A_WAIT[end](broker, clock)
    broker.run_due()
    assert all(pull.done for pull in pulls)
    assert broker.stats().waiting_pulls == 0
    assert "error" in end or answered(broker, *pulls) == [[], []]


def test_with_automatic_acknowledgement_nothing_is_in_flight(broker: Broker) -> None:
    broker.publish("news", [b"1", b"2"])
    assert broker.pull_waiting("a", "news", 10, 60.0, in_flight=1).values == [b"1", b"2"]  # type: ignore[union-attr]


# What comes back


def test_a_pull_gets_what_is_not_acknowledged_in_time(group: Broker, clock: Clock) -> None:
    group.publish("news", [b"1"])
    group.pull("a", "news")
    pull = waiting(group)
    clock.advance(9.9)
    assert answered(group, pull) == [None]
    clock.advance(0.1)
    group.run_due()
    assert pull.result(0).attempts == [2]


@pytest.mark.parametrize("before", [False, True], ids=["then waited for", "waited for"])
@pytest.mark.parametrize("delay", [0.0, 3.0])
def test_a_pull_gets_what_is_rejected_once_its_delay_is_over(
    group: Broker, clock: Clock, delay: float, before: bool
) -> None:
    group.publish("news", [b"1"])
    group.pull("a", "news")
    pull = waiting(group, "b") if before else None
    group.reject("a", "news", 0, delay)
    if delay:
        pull = pull or waiting(group, "b")
        assert answered(group, pull) == [None]
        clock.advance(delay)
    group.run_due()
    assert (pull.result(0) if pull else group.pull("b", "news")).attempts == [2]


ENDS_OF_A_MEMBER: dict[str, Callable[[Broker], object]] = {
    "it unsubscribes": lambda broker: broker.unsubscribe("a", "news"),
    "it unregisters": lambda broker: broker.unregister_peer("a"),
    "its lease runs out": lambda broker: broker.register_peer("a", lease_seconds=0.0),
}


@pytest.mark.parametrize("end", ENDS_OF_A_MEMBER.values(), ids=ENDS_OF_A_MEMBER)
def test_a_pull_gets_what_a_member_of_its_group_had_when(group: Broker, end: Callable[[Broker], object]) -> None:
    group.publish("news", [b"1"])
    group.pull("a", "news")
    pull = waiting(group, "b")
    end(group)
    group.run_due()
    assert pull.result(0).attempts == [2]


def test_a_pull_gets_the_dead_letters_of_a_queue_that_nobody_looks_at(broker: Broker, clock: Clock) -> None:
    broker.create_topic("dead")
    broker.subscribe("b", "dead")
    broker.subscribe("a", "news", explicit=True, ack_deadline=10.0, max_attempts=1, dead_letter_topic="dead")
    broker.publish("news", [b"1"])
    broker.pull("a", "news")
    pull = waiting(broker, "b", "dead")
    clock.advance(10.0)
    broker.run_due()
    broker.run_due()  # on disk, a letter is handed over when it is written
    (letter,) = pull.result(0).values
    assert letter.startswith(b'{"message":1,')


# What ends a wait


def test_a_wait_that_ends_without_a_message_is_answered_empty(broker: Broker, clock: Clock) -> None:
    pulls = waiting(broker, wait=2.0), waiting(broker, wait=1.0)
    clock.advance(0.9)
    assert answered(broker, *pulls) == [None, None]
    clock.advance(0.1)
    assert answered(broker, *pulls) == [None, []]
    clock.advance(1.0)
    assert answered(broker, *pulls) == [[], []]


def test_a_message_that_comes_as_the_wait_ends_is_not_passed_over(broker: Broker, clock: Clock) -> None:
    pull = waiting(broker, wait=1.0)
    clock.advance(1.0)
    broker.publish("news", [b"1"])
    assert answered(broker, pull) == [[b"1"]]


ENDINGS: dict[str, tuple[Callable[[Broker], object], type[Exception]]] = {
    "the topic is deleted": (lambda broker: broker.delete_topic("news"), TopicDeleted),
    "the peer unsubscribes": (lambda broker: broker.unsubscribe("a", "news"), NotSubscribed),
    "the peer unregisters": (lambda broker: broker.unregister_peer("a"), PeerNotFound),
}


@pytest.mark.parametrize("options", [{}, {"group": "g"}], ids=["alone", "in a group"])
@pytest.mark.parametrize(("end", "error"), ENDINGS.values(), ids=ENDINGS)
def test_a_waiting_pull_ends_with_the_error_that_a_pull_would_when(
    make_broker: MakeBroker, end: Callable[[Broker], object], error: type[Exception], options: dict[str, object]
) -> None:
    broker = subscribed(make_broker(), **options)
    pull = waiting(broker)
    end(broker)
    broker.run_due()
    with pytest.raises(error):
        pull.result(0)
    assert broker.stats().waiting_pulls == 0


def test_of_two_pulls_of_a_peer_one_is_told_that_the_topic_is_deleted(broker: Broker) -> None:
    pulls = waiting(broker), waiting(broker)
    broker.delete_topic("news")
    broker.run_due()
    assert [type(error_of(pull)) for pull in pulls] == [TopicDeleted, TopicNotFound]


def test_a_member_that_leaves_its_group_ends_its_own_pulls_alone(group: Broker) -> None:
    a, b = waiting(group, "a"), waiting(group, "b")
    group.unsubscribe("a", "news")
    group.run_due()
    assert isinstance(error_of(a), NotSubscribed)
    group.publish("news", [b"1"])
    assert answered(group, b) == [[b"1"]]


def test_a_pull_goes_on_waiting_when_the_subscription_is_back_before_it_is_told(broker: Broker) -> None:
    pull = waiting(broker)
    broker.unsubscribe("a", "news")
    broker.publish("news", [b"between"])
    broker.subscribe("a", "news")
    assert answered(broker, pull) == [None]
    broker.publish("news", [b"1"])
    assert answered(broker, pull) == [[b"1"]]


def test_a_pull_goes_on_waiting_when_peer_and_subscription_are_back_before_it_is_told(
    broker: Broker, clock: Clock
) -> None:
    pull = waiting(broker)
    broker.unregister_peer("a")
    broker.register_peer("a", lease_seconds=10.0)
    broker.subscribe("a", "news")
    assert answered(broker, pull) == [None]
    clock.advance(50.0)
    assert broker.run_due().expired == {}, "a peer that waits is alive"
    broker.publish("news", [b"1"])
    assert answered(broker, pull) == [[b"1"]]
    clock.advance(10.0)
    assert broker.run_due().expired == {"a": 0}


def test_a_pull_gets_nothing_of_a_peer_that_was_registered_again_with_another_token(broker: Broker) -> None:
    broker.register_peer("a", token_hash=b"one")
    pull = waiting(broker)
    broker.unregister_peer("a")
    broker.register_peer("a", token_hash=b"another")
    broker.subscribe("a", "news")
    broker.publish("news", [b"1"])
    broker.run_due()
    assert isinstance(error_of(pull), PeerNotFound)
    assert broker.pull("a", "news").values == [b"1"]


def test_a_pull_gets_nothing_of_a_peer_that_left_and_came_back_with_another_token(broker: Broker) -> None:
    broker.register_peer("a", token_hash=b"one")
    pull = waiting(broker)
    broker.leave("a", 100)
    broker.register_peer("a", token_hash=b"another")
    broker.publish("news", [b"1"])
    broker.run_due()
    assert isinstance(error_of(pull), PeerNotFound)
    assert broker.pull("a", "news").values == [b"1"]


def test_a_topic_that_is_created_again_before_a_pull_is_told_is_another(broker: Broker) -> None:
    pulls = waiting(broker, "a"), waiting(broker, "b")
    broker.delete_topic("news")
    broker.create_topic("news")
    broker.subscribe("b", "news")
    broker.publish("news", [b"1"])
    broker.run_due()
    assert isinstance(error_of(pulls[0]), TopicDeleted)
    assert pulls[1].result(0).values == [b"1"], "it subscribed again"


def test_a_subscription_that_is_back_in_a_group_gets_what_comes_back_to_the_group(broker: Broker, clock: Clock) -> None:
    broker.unsubscribe("b", "news")
    broker.subscribe("b", "news", group="g", explicit=True, ack_deadline=10.0)
    broker.publish("news", [b"1"])
    broker.pull("b", "news")
    broker.pull("a", "news")
    pull = waiting(broker, "a")
    broker.unsubscribe("a", "news")
    broker.subscribe("a", "news", group="g")
    assert answered(broker, pull) == [None]
    clock.advance(10.0)
    assert answered(broker, pull) == [[b"1"]]


# How many wait, and for how long


def test_only_so_many_may_wait(broker: Broker) -> None:
    pulls = [waiting(broker) for _ in range(MAX_WAITING)]
    with pytest.raises(TooManyWaiting, match="3 pulls"):
        broker.pull_waiting("b", "news", 10, 60.0)
    assert broker.pull("b", "news").values == []
    broker.publish("news", [b"1"])
    assert answered(broker, *pulls) == [[b"1"], None, None]
    assert answered(broker, waiting(broker)) == [None], "there is room for another"


def test_a_pull_may_wait_only_so_long(broker: Broker) -> None:
    with pytest.raises(BadRequest, match=r"<= 60"):
        broker.pull_waiting("b", "news", 10, 61.0)


def test_more_pulls_than_are_answered_in_one_go_are_answered_one_go_after_the_other(make_broker: MakeBroker) -> None:
    broker = subscribed(make_broker())
    pulls = [waiting(broker, max_messages=1) for _ in range(250)]
    values = [b"%d" % number for number in range(250)]
    broker.publish("news", values)
    done = []
    while not all(pull.done for pull in pulls):
        broker.run_due()
        done.append(sum(pull.done for pull in pulls))
    assert done == [100, 200, 250]
    assert [pull.result(0).values for pull in pulls] == [[value] for value in values]


def test_when_all_are_answered_nothing_is_left(make_broker: MakeBroker, clock: Clock) -> None:
    broker = subscribed(make_broker())
    for peer_id in "ab":
        broker.register_peer(peer_id, lease_seconds=10.0)
    pulls = [waiting(broker, peer_id, wait=wait) for wait in (5.0, 50.0) for peer_id in "ab"]
    assert broker.stats().waiting_pulls == 4
    clock.advance(5.0)
    broker.publish("news", [b"1"])
    broker.run_due()
    assert broker.stats().waiting_pulls == 2
    broker.unsubscribe("a", "news")
    broker.publish("news", [b"2"])
    broker.run_due()
    assert all(pull.done for pull in pulls)
    assert broker.stats().waiting_pulls == 0
    clock.advance(10.0)
    assert broker.run_due().expired == {"a": 0, "b": 0}, "their leases stand no longer"
    assert broker.stats().memory_bytes == 130, "the history"


def test_an_answer_is_let_go_of_although_others_wait(broker: Broker) -> None:
    broker.create_topic("sport")
    broker.subscribe("b", "sport")
    earlier = waiting(broker, "b", "sport", wait=50.0)
    answers = []
    for _ in range(10):
        answers.append(weakref.ref(waiting(broker)))
        broker.publish("news", [b"1"])
        broker.run_due()
    assert not earlier.done
    assert [answer() for answer in answers] == [None] * 10


# Leases


def test_a_peer_that_waits_is_alive(broker: Broker, clock: Clock) -> None:
    broker.register_peer("a", lease_seconds=10.0)
    broker.register_peer("silent", lease_seconds=15.0)
    pull = waiting(broker)
    clock.advance(15.0)
    assert broker.run_due().expired == {"silent": 0}
    broker.publish("news", [b"1"])
    assert answered(broker, pull) == [[b"1"]]
    clock.advance(9.9)
    assert broker.run_due().expired == {}, "the answer renewed its lease"
    clock.advance(0.1)
    assert broker.run_due().expired == {"a": 0}


# The end of the broker


def test_closing_answers_those_who_wait_and_lets_nobody_wait_again(make_broker: MakeBroker) -> None:
    broker = subscribed(make_broker())
    pulls = [waiting(broker) for _ in range(150)]
    broker.publish("news", [b"1"])
    broker.close()
    first, *others = (pull.result(0) for pull in pulls)
    assert (first.values, first.closing) == ([b"1"], True)
    assert all(pulled.closing and pulled.values == [] for pulled in others)
    answer = broker.pull_waiting("b", "news", 10, 60.0)
    assert isinstance(answer, Pulled)
    assert (answer.values, answer.closing) == ([b"1"], True)


# Due work is done when it is due: with real threads on the real clock


def test_due_work_is_done_for_a_message() -> None:
    broker = subscribed(Broker())
    with tended(broker):
        pull = waiting(broker)
        broker.publish("news", [b"1"])
        assert pull.result(DEADLINE).values == [b"1"]


def test_due_work_is_done_for_the_end_of_a_wait() -> None:
    broker = subscribed(Broker())
    with tended(broker):
        assert waiting(broker, wait=0.01).result(DEADLINE).values == []


def test_due_work_is_done_for_a_deadline_set_after_the_wait_began() -> None:
    broker = subscribed(Broker(), explicit=True, ack_deadline=3600.0)
    broker.publish("news", [b"1"])
    broker.pull("a", "news")
    with tended(broker):
        pull = waiting(broker)
        broker.reject("a", "news", 0, delay=0.05)
        assert pull.result(DEADLINE).attempts == [2]


def test_due_work_is_done_when_what_was_pulled_falls_due() -> None:
    broker = subscribed(Broker(), explicit=True, ack_deadline=0.05, max_attempts=1)
    with tended(broker):
        for _ in range(3):
            broker.publish("news", [b"1"])
            assert broker.pull("a", "news").values == [b"1"]
            eventually(lambda: broker.stats().unacknowledged == 0)


def test_due_work_is_done_when_a_lease_runs_out() -> None:
    broker = Broker()
    broker.register_peer("brief", lease_seconds=0.01)
    with tended(broker):
        eventually(lambda: not broker.list_peers(1))


@pytest.mark.parametrize("what", ["the deadline of an acknowledged message", "the tiny lease of a peer that waits"])
def test_there_is_no_due_work_for(what: str) -> None:
    looks = 0

    def clock() -> float:
        nonlocal looks
        looks += 1
        return monotonic()

    broker = subscribed(Broker(clock=clock), explicit=True, ack_deadline=0.001)
    broker.publish("news", [b"1"])
    broker.acknowledge("a", "news", broker.pull("a", "news").offsets[-1])
    pull = waiting(broker, wait=0.3)
    if "lease" in what:
        broker.register_peer("a", lease_seconds=0.001)
    looks = 0
    with tended(broker):
        assert pull.result(DEADLINE).values == []
    assert looks < 100
