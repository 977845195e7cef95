"""What is written is what is loaded."""

from pathlib import Path
from zlib import crc32

from msgspec import msgpack

from peerbus.broker.publish_log import EARLIER
from peerbus.broker.records import (
    NOT_YET,
    Changes,
    DeliveryRecord,
    MessageIdRecord,
    PeerRecord,
    ScheduledRecord,
    Segment,
)
from peerbus.storage.tables import row_segments
from tests.support.storage import contents, message_id, messages, opened, published, queue, topic


def test_a_new_folder_has_an_epoch_of_its_own_and_nothing_else(tmp_path: Path) -> None:
    first, again, other = contents(tmp_path / "a"), contents(tmp_path / "a"), contents(tmp_path / "b")
    assert first == again
    assert first.epoch != other.epoch
    assert (first.peers, first.topics, first.queues, first.deliveries) == ([], [], [], [])
    assert (first.segments, first.message_ids) == ([], [])


def test_every_field_of_every_record_comes_back(tmp_path: Path) -> None:
    peers = [PeerRecord("a", None, None, []), PeerRecord("b", "http://localhost:1", 2.5, ["gone", "gone/ü"], b"\0\xff")]
    topics = [
        topic(1, 0, 3),
        topic(2, 5, 5, name="t", overflow="drop_oldest", max_age=1.5, dropped=7, first_id=9, creator="b"),
    ]
    queues = [
        queue(1, 1, members=["a", "b"], cursor=2, started=1, dropped=4),
        queue(2, 2, group="g", explicit=True, ack_deadline=0.5, max_attempts=3, dead_letter_topic="dead", members=[]),
    ]
    deliveries = [
        DeliveryRecord(2, 0, "a", 1, "rejected", None, 1e9 + 0.125, 1e9 + 0.5),
        DeliveryRecord(2, 1, "b", 2, "not acknowledged in time", 1e9 + 0.25, left=0.125),
    ]
    segments = [Segment(1, 0, [b"", b"\x00\xff"], 1e9 + 0.125, "a/ü"), Segment(1, 2, [b"c"], 0.1)]
    message_ids = [
        MessageIdRecord(2, 9, "id", 4, 2, 1e9 + 1 / 3),
        MessageIdRecord(2, 10, "later", NOT_YET, 2, 1e9, scheduled=7),
    ]
    scheduled = [
        ScheduledRecord(1, 8, 1e9 + 0.001, None, None, (b"",)),
        ScheduledRecord(2, 7, 1e9, "a", "later", (b"\x00\xff", b"c"), 12.5),
    ]
    with opened(tmp_path) as storage:
        storage.write(
            Changes(
                peers={record.peer_id: record for record in peers},
                topics={record.number: record for record in topics},
                queues={record.number: record for record in queues},
                deliveries={(record.queue, record.offset): record for record in deliveries},
                segments=segments,
                message_ids=message_ids,
                scheduled={(record.topic, record.number): record for record in scheduled},
                last_scheduled=9,
                clock_set=-3600.5,
            )
        )
    found = contents(tmp_path)
    assert (found.peers, found.topics, found.queues) == (peers, topics, queues)
    assert (found.scheduled, found.last_scheduled, found.clock_set) == (scheduled, 9, -3600.5)
    assert all(type(record.explicit) is bool for record in found.queues)
    assert (found.deliveries, found.segments, found.message_ids) == (deliveries, segments, message_ids)


def test_rows_of_messages_without_a_publisher_are_read() -> None:
    """As version 2 of the schema wrote them."""
    data = msgpack.encode([(0.5, [b"a", b"b"]), (1.5, [b"c"])])
    found = list(row_segments(1, 10, data, crc32(data)))
    assert found == [Segment(1, 7, [b"a", b"b"], 0.5, EARLIER), Segment(1, 9, [b"c"], 1.5, EARLIER)]


def test_a_record_written_again_replaces_the_one_before(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        storage.write(Changes(peers={"a": PeerRecord("a", None, None, [])}, topics={1: topic(1, 0, 0)}))
        storage.write(Changes(queues={1: queue(1, 1)}, deliveries={(1, 0): DeliveryRecord(1, 0, "a", 1, "x", None)}))
        after = Changes(
            peers={"a": PeerRecord("a", "http://a", 1.0, ["x"])},
            topics={1: topic(1, 0, 0, dropped=3)},
            queues={1: queue(1, 1, cursor=8)},
            deliveries={(1, 0): DeliveryRecord(1, 0, "b", 2, "y", 3.0)},
        )
        storage.write(after)
    found = contents(tmp_path)
    assert found.peers == list(after.peers.values())
    assert found.topics == list(after.topics.values())
    assert found.queues == list(after.queues.values())
    assert found.deliveries == list(after.deliveries.values())


def test_what_is_gone_takes_along_what_belongs_to_it_and_nothing_else(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        for number in (1, 2):
            changes = published(number, 0, b"a", b"b")
            changes.peers = {f"p{number}": PeerRecord(f"p{number}", None, None, [])}
            changes.queues = {number: queue(number, number)}
            changes.deliveries = {
                (number, offset): DeliveryRecord(number, offset, "p", 1, "x", None) for offset in range(2)
            }
            changes.message_ids = [message_id(number, 0)]
            changes.scheduled = {
                (number, each): ScheduledRecord(number, each, 1.0, None, None, (b"x",)) for each in (number, number + 2)
            }
            storage.write(changes)
        gone = Changes(peers={"p1": None}, topics={1: None}, queues={1: None}, deliveries={(2, 1): None})
        gone.scheduled = {(2, 4): None}
        storage.write(gone)
    found = contents(tmp_path)
    assert [record.peer_id for record in found.peers] == ["p2"]
    assert [record.number for record in found.topics] == [2]
    assert [record.number for record in found.queues] == [2]
    assert [(record.queue, record.offset) for record in found.deliveries] == [(2, 0)]
    assert messages(found).keys() == {(2, 0), (2, 1)}
    assert [record.topic for record in found.message_ids] == [2]
    assert [(record.topic, record.number) for record in found.scheduled] == [(2, 2)]


def test_what_comes_and_goes_in_one_transaction_is_not_there(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        changes = published(1, 0, b"a", b"b", start=2)
        changes.segments.append(Segment(2, 0, [b"of a topic that is gone"], 1.0))
        changes.message_ids = [message_id(2, 0)]
        changes.scheduled = {(2, 1): ScheduledRecord(2, 1, 1.0, None, None, (b"x",))}
        changes.topics[2] = changes.queues[7] = None
        changes.deliveries = {(7, 0): DeliveryRecord(7, 0, "p", 1, "x", None)}
        storage.write(changes)
    found = contents(tmp_path)
    assert [record.number for record in found.topics] == [1]
    assert (found.segments, found.message_ids, found.deliveries, found.scheduled) == ([], [], [], [])


def test_a_message_id_written_again_has_the_later_offset(tmp_path: Path) -> None:
    scheduled = MessageIdRecord(1, 0, "id", NOT_YET, 1, 1.0, scheduled=3)
    published_since = MessageIdRecord(1, 0, "id", 5, 1, 1.0, scheduled=3)
    with opened(tmp_path) as storage:
        storage.write(Changes(topics={1: topic(1, 0, 0)}, message_ids=[scheduled]))
        storage.write(Changes(message_ids=[scheduled, published_since]))
    assert contents(tmp_path).message_ids == [published_since]


def test_a_segment_is_cut_to_what_the_topic_retains(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        storage.write(published(1, 0, b"0", b"1", b"2", b"3"))
        storage.write(published(1, 4, b"4", start=2))
    found = contents(tmp_path)
    assert messages(found) == {(1, 2): (b"2", 1000.0), (1, 3): (b"3", 1000.0), (1, 4): (b"4", 1004.0)}
    assert [segment.offset for segment in found.segments] == [2, 4]


def test_message_ids_before_the_first_remembered_are_freed(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        ids = [message_id(number, serial) for number in (1, 2) for serial in range(5)]
        storage.write(Changes(topics={1: topic(1, 0, 0), 2: topic(2, 0, 0)}, message_ids=ids))
        storage.write(Changes(topics={1: topic(1, 0, 0, first_id=3)}))
    assert [(record.topic, record.serial) for record in contents(tmp_path).message_ids] == [
        *((1, serial) for serial in (3, 4)),
        *((2, serial) for serial in range(5)),
    ]


def test_segments_of_many_topics_mixed_stay_in_order_and_keep_their_times(tmp_path: Path) -> None:
    expected = {}
    with opened(tmp_path) as storage:
        for turn in range(5):
            changes = Changes()
            for place in range(4):
                for number in (1, 2, 3):
                    offset, at = turn * 4 + place, 10.0 * turn + place
                    changes.segments.append(Segment(number, offset, [b"%d" % offset], at))
                    changes.topics[number] = topic(number, 0, offset + 1)
                    expected[number, offset] = b"%d" % offset, at
            storage.write(changes)
    found = contents(tmp_path)
    assert messages(found) == expected
    for number in (1, 2, 3):
        assert [each.offset for each in found.segments if each.topic == number] == list(range(20))


def test_a_transaction_of_many_megabytes_comes_back_whole(tmp_path: Path) -> None:
    values = [bytes([n]) * (700 << 10) for n in range(9)]
    with opened(tmp_path) as storage:
        changes = Changes(topics={1: topic(1, 0, 9)})
        changes.segments = [Segment(1, offset, [value], float(offset)) for offset, value in enumerate(values)]
        storage.write(changes)
        storage.write(published(1, 9, b"last", start=8))
    assert messages(contents(tmp_path)) == {(1, 8): (values[8], 8.0), (1, 9): (b"last", 1009.0)}


def test_loading_tells_how_far_it_is(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        for start in range(0, 30_000, 3_000):
            storage.write(published(1, start, *[b"x"] * 3_000))
        told: list[int] = []
        storage.load(told.append)
    assert told == sorted(set(told))
    assert told
    assert told[-1] <= 30_000


def test_changes_say_whether_there_are_any() -> None:
    assert not Changes()
    one_of_each = Changes(
        {"a": None},
        {1: None},
        {1: None},
        {(1, 0): None},
        [Segment(1, 0, [b"x"], 1.0)],
        [message_id(1, 0)],
        {(1, 1): None},
        1,
        0.0,
    )
    for field in Changes.__struct_fields__:
        assert Changes(**{field: getattr(one_of_each, field)})
