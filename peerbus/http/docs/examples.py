"""An example of each call: a valid request, and a possible answer."""

from typing import NamedTuple

from msgspec import Raw

from peerbus.wire import protocol as wire
from peerbus.wire.views import (
    Event,
    InFlightView,
    PeerView,
    PushView,
    ScheduledView,
    Stats,
    SubscriptionView,
    TopicView,
)

PEER = "peer1"
TOPIC = "news"
ADDRESS = "http://127.0.0.1:5001"
EPOCH = "b19ed1e9a5bc41a1919a5e1f252d8e65"


class Example(NamedTuple):
    """A valid request, and a possible answer."""

    request: wire.Request
    answer: wire.Answer


EXAMPLES: dict[str, Example] = {
    "register_peer_node": Example(
        wire.RegisterRequest(peer_id=PEER, address=ADDRESS, lease_seconds=30.0),
        wire.RegisterAnswer("Peer 'peer1' is registered.", PEER, created=True, epoch=EPOCH),
    ),
    "unregister_peer_node": Example(
        wire.UnregisterRequest(peer_id=PEER, keep=False),
        wire.UnregisterAnswer("Peer 'peer1' is unregistered.", PEER, discarded=0),
    ),
    "create_topic": Example(
        wire.CreateTopicRequest(topic="sport", max_messages=5000, overflow="drop_oldest", max_age=3600.0, history=100),
        wire.CreateTopicAnswer("Topic 'sport' is created.", "sport", created=True),
    ),
    "create_topics": Example(
        wire.CreateTopicsRequest(topics=["weather", "sport/chess", TOPIC], peer_id=PEER),
        wire.CreateTopicsAnswer("2 topics are created. 1 existed; it keeps its messages.", created=2, existed=[TOPIC]),
    ),
    "delete_topic": Example(
        wire.TopicRequest(topic=TOPIC),
        wire.DeleteTopicAnswer("Topic 'news' is deleted.", TOPIC, notified=[PEER], discarded=1),
    ),
    "publish": Example(
        wire.PublishRequest(topic=TOPIC, message=Raw(b'{"headline":"Rain at last"}'), peer_id=PEER, message_id="once"),
        wire.PublishAnswer("Message published to topic 'news'.", TOPIC, offset=0, count=1, duplicate=False),
    ),
    "cancel_scheduled": Example(
        wire.CancelScheduledRequest(topic=TOPIC, ids=[1], peer_id=PEER),
        wire.CancelScheduledAnswer("1 message of topic 'news' cancelled.", TOPIC, cancelled=1, unknown=[]),
    ),
    "subscribe": Example(
        wire.SubscribeRequest(
            peer_id=PEER,
            topic=TOPIC,
            start="earliest",
            ack="explicit",
            ack_deadline=30.0,
            max_attempts=3,
            dead_letter_topic="dead",
            expires_after=86_400.0,
            push_to="http://127.0.0.1:8000/hook",
            push_batch=10,
            push_at_once=2,
            push_secret="at-least-16-characters",  # noqa: S106  # an example
        ),
        wire.SubscribeAnswer(
            "Peer 'peer1' is subscribed to topic 'news'.", TOPIC, PEER, created=True, next_offset=0, members=1
        ),
    ),
    "unsubscribe": Example(
        wire.UnsubscribeRequest(peer_id=PEER, topic=TOPIC, end=False),
        wire.UnsubscribeAnswer("Peer 'peer1' is no longer subscribed to topic 'news'.", TOPIC, PEER, discarded=0),
    ),
    "seek": Example(
        wire.SeekRequest(peer_id=PEER, topic=TOPIC, to=0),
        wire.SeekAnswer("Peer 'peer1' continues at offset 0 of topic 'news'.", TOPIC, PEER, next_offset=0),
    ),
    "pull_messages": Example(
        wire.PullRequest(peer_id=PEER, topic=TOPIC, max_messages=10),
        wire.PullAnswer(
            "1 message from topic 'news'.",
            Raw(b'[{"headline":"Rain at last"}]'),
            offsets=[0],
            next_offset=1,
            remaining=0,
            missed=0,
        ),
    ),
    "ack_messages": Example(
        wire.ClaimRequest(peer_id=PEER, topic=TOPIC, offsets=[0], attempts=[1]),
        wire.AckAnswer("1 message acknowledged.", TOPIC, PEER, acknowledged=1, stale=[], resume_from=1),
    ),
    "nack_messages": Example(
        wire.NackRequest(peer_id=PEER, topic=TOPIC, up_to=0, delay=0.5, attempted=False),
        wire.NackAnswer("1 message handed back.", TOPIC, PEER, rejected=1, stale=[], resume_from=0),
    ),
    "extend_messages": Example(
        wire.ExtendRequest(peer_id=PEER, topic=TOPIC, offsets=[0], attempts=[1], seconds=60.0),
        wire.ExtendAnswer("1 message extended for 60 seconds.", TOPIC, PEER, extended=1, stale=[], resume_from=0),
    ),
    "redrive": Example(
        wire.RedriveRequest(topic="dead", offsets=[0], to=TOPIC),
        wire.RedriveAnswer("1 message of topic 'dead' published again.", "dead", redriven=1, stale=[], failed=[]),
    ),
    "query_peers": Example(
        wire.TopicRequest(topic=TOPIC),
        wire.QueryPeersAnswer("1 peer subscribed to topic 'news'.", TOPIC, [PEER], {PEER: ADDRESS}),
    ),
    "topics": Example(
        wire.TopicsRequest(limit=10, after="m", matching="ew", order="unread"),
        wire.TopicsAnswer(
            "1 topic.",
            [
                TopicView(
                    TOPIC,
                    max_messages=1_000_000,
                    overflow="reject",
                    max_age=None,
                    history=1000,
                    first_offset=0,
                    next_offset=1,
                    unread=1,
                    dropped=0,
                    subscribers=1,
                    redelivered=0,
                    dead_lettered=0,
                    refused=0,
                    missed=0,
                    discarded=0,
                    oldest_unread_seconds=4.25,
                    scheduled=0,
                )
            ],
        ),
    ),
    "peers": Example(
        wire.PeersRequest(limit=10, after="p", matching="1"),
        wire.PeersAnswer("1 peer.", [PeerView(PEER, ADDRESS, lease_seconds=30.0, expires_in=21.5, topics=[TOPIC])]),
    ),
    "subscriptions": Example(
        wire.SubscriptionsRequest(peer_id=PEER, topic=TOPIC, limit=10, after="m", order="unread"),
        wire.SubscriptionsAnswer(
            "1 message queue.",
            [
                SubscriptionView(
                    TOPIC,
                    queue=PEER,
                    group=None,
                    peers=[PEER],
                    members=1,
                    ack="explicit",
                    ack_deadline=30.0,
                    max_attempts=3,
                    dead_letter_topic="dead",
                    next_offset=1,
                    resume_from=0,
                    unread=1,
                    unacknowledged=1,
                    missed=0,
                    oldest_unread_seconds=4.25,
                    idle_seconds=2.5,
                    expires_after=3600.0,
                    expires_in=None,
                    push_to=[PushView(PEER, "http://127.0.0.1:8000/hook", "status 500", tries_in=3.5)],
                )
            ],
        ),
    ),
    "in_flight": Example(
        wire.InFlightRequest(topic=TOPIC, peer_id=PEER, limit=10, after=0),
        wire.InFlightAnswer(
            "1 message in flight.",
            TOPIC,
            [InFlightView(1, PEER, attempt=1, since=1_700_000_000.125, due=1_700_000_030.125)],
        ),
    ),
    "messages": Example(
        wire.MessagesRequest(topic=TOPIC, limit=10, max_bytes=1000, details=True),
        wire.MessagesAnswer(
            "The last 1 message of topic 'news'.",
            TOPIC,
            Raw(b'[{"headline":"Rain at last"}]'),
            offsets=[0],
            first_offset=0,
            publishers=[PEER],
            published_at=[1_700_000_000.125],
        ),
    ),
    "scheduled": Example(
        wire.ScheduledRequest(topic=TOPIC, limit=10, after="1700000000000-1"),
        wire.ScheduledAnswer(
            "1 message scheduled for topic 'news'.",
            TOPIC,
            [ScheduledView(2, at=1_700_000_060.0, count=1, bytes=27, peer_id=PEER, message_id=None, problem=None)],
            next=None,
        ),
    ),
    "stats": Example(
        wire.EmptyRequest(),
        wire.StatsAnswer(
            "1 peer, 1 topic, 1 message published.",
            Stats(
                epoch=EPOCH,
                uptime_seconds=12.5,
                peers=1,
                topics=1,
                subscriptions=1,
                memory_bytes=80,
                freed_bytes=0,
                stored_bytes=0,
                waiting_pulls=0,
                published=1,
                pulled=0,
                missed=0,
                acknowledged=0,
                unacknowledged=0,
                overdue=0,
                redelivered=0,
                dead_lettered=0,
                refused=0,
                expired_peers=0,
                expired_queues=0,
                discarded=0,
                forgotten_ids=0,
                max_peers=100_000,
                max_topics=1_000_000,
                max_subscriptions=1_000_000,
                max_bytes=1 << 30,
                scheduled=0,
                scheduled_waiting=0,
                max_scheduled=1_000_000,
            ),
        ),
    ),
    "stream_ticket": Example(
        wire.SubscriptionRequest(peer_id=PEER, topic=TOPIC),
        wire.StreamTicketAnswer(
            "This ticket is good for one stream of topic 'news' within 30 seconds.",
            ticket="Fx3m1P0uJ2mGm7yJw8T5vQ4nYk6c9Rz0aBsDhEeLtUo",
            expires_in=30.0,
        ),
    ),
    "livez": Example(wire.EmptyRequest(), wire.Answer("Alive.")),
    "readyz": Example(wire.EmptyRequest(), wire.Answer("Ready.")),
    "exit_peer": Example(wire.EmptyRequest(), wire.PeerAnswer("Peer 'peer1' is leaving.", PEER)),
    "push": Example(
        wire.PushRequest(
            topic=TOPIC,
            messages=[
                wire.PushedMessage(
                    offset=0,
                    message=Raw(b'{"headline":"Rain at last"}'),
                    attempt=1,
                    publisher="peer2",
                    published_at=1_796_096_450.25,
                )
            ],
        ),
        wire.Answer("The application answered 200."),
    ),
    "notify": Example(
        wire.Notice(event="topic_deleted", topic=TOPIC, message="Topic 'news' was deleted."),
        wire.Answer("Peer 'peer1' has noted it."),
    ),
    "events": Example(
        wire.EmptyRequest(),
        wire.EventsAnswer("1 event.", [Event(1_700_000_000.0, "topic_deleted", "Topic 'news' was deleted.", TOPIC)]),
    ),
    "node": Example(
        wire.EmptyRequest(),
        wire.NodeAnswer(
            "Peer 'peer1' is registered with http://127.0.0.1:5000.",
            PEER,
            address=ADDRESS,
            index_url="http://127.0.0.1:5000",
            registered=True,
            lease_seconds=30.0,
            renewed_ago=2.5,
        ),
    ),
}
"""By the name of the call."""
