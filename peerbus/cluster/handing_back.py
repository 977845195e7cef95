"""Messages of a pull that was passed on, whose caller was gone when they came."""

import logging

import msgspec

from peerbus.cluster.call import ForwardedCall
from peerbus.future import Future
from peerbus.http.types import Reply
from peerbus.wire.endpoints import ENDPOINTS
from peerbus.wire.protocol import NackRequest, PullAnswer, PullRequest

log = logging.getLogger(__name__)

NACK = next(row for row in ENDPOINTS if row.request is NackRequest)


class HandingBack:
    """Hands messages back, untouched."""

    def __init__(self, call: ForwardedCall, pull: PullRequest) -> None:
        self.call = call
        """The call that does it."""
        self._pull = pull

    @classmethod
    def of(cls, pulling: ForwardedCall, answer: bytes) -> "HandingBack | None":
        """A function that hands back the messages in the answer to a pull; None if there are none."""
        try:
            pull = msgspec.json.decode(pulling.body, type=PullRequest)
            pulled = msgspec.json.decode(answer, type=PullAnswer)
        except msgspec.DecodeError:
            log.warning("What came for a caller that was gone is no answer to a pull.")
            return None
        if pulled.missed:
            log.warning(
                "%d messages of topic '%s' were lost before peer '%s' could pull them, which it is not told.",
                *(pulled.missed, pull.topic, pull.peer_id),
            )
        if not pulled.offsets:
            return None
        claims = NackRequest(
            peer_id=pull.peer_id,
            topic=pull.topic,
            offsets=list(pulled.offsets),
            attempts=None if pulled.attempts is msgspec.UNSET else list(pulled.attempts),
            attempted=False,
        )
        return cls(ForwardedCall(NACK, NACK.path, pulling.headers, msgspec.json.encode(claims)), pull)

    def done(self, replied: Future[Reply]) -> None:
        """Log it if they are not handed back."""
        error = replied.exception()
        if error or replied.result().status != 200:
            log.warning(
                "Messages of topic '%s' that came for peer '%s', which was gone, are not handed back: %s",
                *(self._pull.topic, self._pull.peer_id, error or replied.result().body),
            )
