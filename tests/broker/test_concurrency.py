"""Many threads at once: nothing lost, nothing twice, each publisher's order kept."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from peerbus.broker import Broker, Limits
from peerbus.broker.results import Pulled
from peerbus.future import Future
from tests.support.harness import DEADLINE, tended

PUBLISHERS, SUBSCRIBERS, PULLERS_EACH, MESSAGES = 4, 3, 2, 500


@pytest.mark.parametrize("wait", [0.0, 5.0], ids=["polling", "waiting"])
def test_every_subscriber_gets_every_message_once_and_in_each_publishers_order(wait: float) -> None:
    broker = Broker(Limits(history=10))
    broker.create_topic("news")
    subscribers = [f"s{number}" for number in range(SUBSCRIBERS)]
    for peer_id in subscribers:
        broker.register_peer(peer_id)
        broker.subscribe(peer_id, "news")
    start = Barrier(PUBLISHERS + SUBSCRIBERS * PULLERS_EACH)

    def publish(publisher: int) -> None:
        start.wait()
        for number in range(MESSAGES):
            broker.publish("news", [b"%d:%d" % (publisher, number)])

    def next_batch(peer_id: str) -> Pulled:
        if not wait:
            return broker.pull(peer_id, "news", 7)
        answer = broker.pull_waiting(peer_id, "news", 7, wait)
        return answer.result(DEADLINE) if isinstance(answer, Future) else answer

    def pull(peer_id: str) -> list[list[tuple[int, bytes]]]:
        start.wait()
        pulled: list[list[tuple[int, bytes]]] = []
        while True:
            batch = next_batch(peer_id)
            pulled.append(list(zip(batch.offsets, batch.values, strict=True)))
            if batch.next_offset == PUBLISHERS * MESSAGES:
                broker.close()
                return pulled

    with tended(broker), ThreadPoolExecutor(PUBLISHERS + SUBSCRIBERS * PULLERS_EACH) as threads:
        published = [threads.submit(publish, publisher) for publisher in range(PUBLISHERS)]
        pulls = {peer_id: [threads.submit(pull, peer_id) for _ in range(PULLERS_EACH)] for peer_id in subscribers}
        for future in published:
            future.result(DEADLINE)
        delivered = {peer_id: [future.result(DEADLINE) for future in futures] for peer_id, futures in pulls.items()}

    expected = {b"%d:%d" % (publisher, number) for publisher in range(PUBLISHERS) for number in range(MESSAGES)}
    for batches in delivered.values():
        messages = sorted(message for puller in batches for batch in puller for message in batch)
        assert [offset for offset, _ in messages] == list(range(PUBLISHERS * MESSAGES))
        assert {value for _, value in messages} == expected
        for publisher in range(PUBLISHERS):
            numbers = [int(value.split(b":")[1]) for _, value in messages if value.startswith(b"%d:" % publisher)]
            assert numbers == list(range(MESSAGES))
    assert broker.stats().published == PUBLISHERS * MESSAGES
    assert broker.list_topics(1)[0].unread == 0
