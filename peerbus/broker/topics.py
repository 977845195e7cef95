"""All topics."""

from collections.abc import Mapping

from peerbus.broker.context import Context
from peerbus.broker.structures import SortedKeys
from peerbus.broker.topic import Overflow, Topic, TopicOptions
from peerbus.errors import BadRequest, TooManyTopics, TopicExists, TopicNotFound


class Topics:
    """The topics by name, and by number."""

    __slots__ = ("_by_number", "_context", "_limits", "_names", "_topics")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._limits = context.limits
        self._topics: dict[str, Topic] = {}
        self._by_number: dict[int, Topic] = {}
        self._names: SortedKeys[str] = SortedKeys()

    def __len__(self) -> int:
        return len(self._topics)

    def find(self, name: str) -> Topic | None:
        """The topic, if it exists."""
        return self._topics.get(name)

    def get(self, name: str) -> Topic:
        """The topic; raises `TopicNotFound`."""
        topic = self._topics.get(name)
        if topic is None:
            raise TopicNotFound(f"Topic '{name}' does not exist. POST /create_topic first.")
        return topic

    def get_or_create(self, name: str) -> Topic:
        """The topic, created with the server's own options where it is absent.

        Raises `TooManyTopics` and one of `UNKEPT`.
        """
        if name not in self._topics:
            self.create(name)
        return self._topics[name]

    def create(
        self,
        name: str,
        max_messages: int | None = None,
        overflow: Overflow | None = None,
        max_age: float | None = None,
        creator: str | None = None,
        history: int | None = None,
    ) -> bool:
        """Create a topic, or compare the options named with those it has; returns whether it is new.

        Raises `TopicExists`, `TooManyTopics`, one of `UNKEPT`, and `BadRequest` for an option beyond the limit.
        """
        limit = self._limits.max_messages
        if max_messages is not None and max_messages > limit:
            raise BadRequest(f"Expected int <= {limit}, the server's own limit - at $.max_messages")
        existing = self._topics.get(name)
        if existing is not None:
            options = existing.options
            for named, value in zip((max_messages, overflow, max_age, history), options, strict=True):
                if named not in (None, value):
                    raise TopicExists(
                        f"Topic '{name}' exists with other options: max_messages {options.max_messages}, "
                        f"overflow {options.overflow}, max_age {options.max_age}, history {options.history}."
                    )
            return False
        if len(self._topics) >= self._limits.max_topics:
            raise TooManyTopics(f"{self._limits.max_topics} topics exist, which is as many as the server takes.")
        self._context.changes.check_room(0)
        options = TopicOptions(max_messages or limit, overflow or "reject", max_age, history)
        topic = self.add(name, options, self._context.numbers.next())
        topic.creator = creator
        self._context.changes.topic_changed(topic)
        return True

    def add(self, name: str, options: TopicOptions, number: int) -> Topic:
        """A new topic."""
        topic = self._topics[name] = self._by_number[number] = Topic(name, options, self._context, number)
        self._names.add(name)
        return topic

    def restore_deleted(self, name: str, options: TopicOptions, number: int) -> Topic:
        """A topic that was deleted before a restart, while some subscriptions to it had yet to be ended."""
        topic = Topic(name, options, self._context, number)
        topic.deleted = True
        return topic

    def commit(self, ends: Mapping[int, int]) -> None:
        """Let the messages before each end be delivered; `ends` has it by the topic's number, also for deleted ones."""
        for number in ends.keys() & self._by_number.keys():
            self._by_number[number].commit(ends[number])

    def remove(self, topic: Topic) -> None:
        """Delete a topic: its name is free at once."""
        del self._topics[topic.name], self._by_number[topic.number]
        self._names.discard(topic.name)
        topic.delete()

    def page(self, limit: int, after: str) -> list[Topic]:
        """The first `limit` topics by name that come after `after`."""
        return [self._topics[name] for name in self._names.page(limit, after)]
