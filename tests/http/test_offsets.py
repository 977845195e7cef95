"""The offsets of a pull of many messages are those that a list of them would be."""

import json

import pytest

from peerbus.http.offsets import encoded
from tests.support.harness import start_index


@pytest.mark.parametrize("count", [1, 2, 999, 1000, 1001, 2500])
@pytest.mark.parametrize("begin", [0, 5, 999, 1000, 1001, 9_500, 9_999, 10_000, 99_001, 1_234_567, 10**15 - 1])
def test_a_range_is_encoded_as_a_list(begin: int, count: int) -> None:
    assert json.loads(bytes(encoded(range(begin, begin + count)))) == list(range(begin, begin + count))


def test_nothing_else_is_encoded() -> None:
    with pytest.raises(TypeError, match="set"):
        encoded({1})


def test_pulls_of_many_have_the_offset_of_each_message() -> None:
    with start_index() as index:
        index.subscriber("peer1", "news")
        index.subscriber("peer2", "news")
        for begin in (0, 700, 1400, 2100):
            index.post("/publish", topic="news", messages=list(range(begin, begin + 700)))
        for peer_id in ("peer1", "peer2"):
            for begin in (0, 900, 1800, 2700):
                end = min(begin + 900, 2800)
                answer = index.post("/pull_messages", peer_id=peer_id, topic="news", max_messages=900).body
                assert answer["offsets"] == answer["messages"] == list(range(begin, end))
                assert answer["next_offset"] == end
