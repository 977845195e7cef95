"""All topics."""

from collections.abc import Iterable
from functools import lru_cache

from peerbus.broker.context import Context
from peerbus.broker.records import TopicRecord
from peerbus.broker.structures import SortedKeys
from peerbus.broker.topic import NamedOptions, Overflow, Topic, TopicOptions
from peerbus.errors import BadRequest, TooManyTopics, TopicExists, TopicNotFound

OPTIONS_SHARED = 1000


@lru_cache(OPTIONS_SHARED)
def shared_options(max_messages: int, overflow: Overflow, max_age: float | None, history: int | None) -> TopicOptions:
    """Options, the same object for all topics that have them."""
    return TopicOptions(max_messages, overflow, max_age, history)


class Topics:
    """The topics by name."""

    __slots__ = ("_context", "_limits", "_names", "_topics")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._limits = context.limits
        self._topics: dict[str, Topic] = {}
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
            self.create([name], NamedOptions())
        return self._topics[name]

    def missing(self, names: Iterable[str], named: NamedOptions, beside: int = 0) -> list[str]:
        """Those of different `names` that no topic has; the other topics have the options that are `named`.

        Raises `TopicExists` where one has others, `TooManyTopics` if there is no room for all of them `beside` so many
        more, and `BadRequest` for an option beyond the limit.
        """
        limit = self._limits.max_messages
        if named.max_messages is not None and named.max_messages > limit:
            raise BadRequest(f"Expected int <= {limit}, the server's own limit - at $.max_messages")
        missing = []
        for name in names:
            existing = self._topics.get(name)
            if existing is None:
                missing.append(name)
            elif any(value not in (None, has) for value, has in zip(named, existing.options, strict=True)):
                has = existing.options
                raise TopicExists(
                    f"Topic '{name}' exists with other options: max_messages {has.max_messages}, "
                    f"overflow {has.overflow}, max_age {has.max_age}, history {has.history}."
                )
        if missing and len(self._topics) + beside + len(missing) > self._limits.max_topics:
            raise TooManyTopics(
                f"{len(self._topics)} topics exist, and the server takes at most {self._limits.max_topics}: "
                f"there is no room for {beside + len(missing)} more."
            )
        return missing

    def create(self, names: Iterable[str], named: NamedOptions, creator: str | None = None) -> list[str]:
        """Create those of different `names` that no topic has, or none, and return them.

        Raises the errors of `missing`, and one of `UNKEPT`.
        """
        missing = self.missing(names, named)
        if missing:
            self._context.changes.check_room(0)
        max_messages = named.max_messages or self._limits.max_messages
        options = shared_options(max_messages, named.overflow or "reject", named.max_age, named.history)
        for name in missing:
            topic = self.add(name, options, self._context.numbers.next())
            topic.creator = creator
            self._context.changes.topic_created(topic)
        return missing

    def add(self, name: str, options: TopicOptions, number: int) -> Topic:
        """A new topic."""
        topic = self._topics[name] = Topic(name, options, self._context, number)
        self._names.add(name)
        return topic

    def restore_deleted(self, name: str, options: TopicOptions, number: int) -> Topic:
        """A topic that was deleted before a restart, while some subscriptions to it had yet to be ended."""
        topic = Topic(name, options, self._context, number)
        topic.deleted = True
        return topic

    def commit(self, written: Iterable[TopicRecord]) -> None:
        """Let the messages before the end of each record be delivered, unless the topic is gone."""
        for record in written:
            topic = self._topics.get(record.name)
            if topic and topic.number == record.number:
                topic.commit(record.end)

    def remove(self, topic: Topic) -> None:
        """Delete a topic: its name is free at once."""
        del self._topics[topic.name]
        self._names.discard(topic.name)
        topic.delete()

    def page(self, limit: int, after: str) -> list[Topic]:
        """The first `limit` topics by name that come after `after`."""
        return [self._topics[name] for name in self.names(limit, after)]

    def names(self, limit: int, after: str) -> list[str]:
        """The first `limit` names, in order, that come after `after`."""
        return self._names.page(limit, after)
