"""A peer's membership at the indexing server: its registration, its lease and its subscriptions."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import msgspec
from msgspec import UNSET, Raw

from peerbus.errors import IndexTimeout, PeerbusError, PeerNotFound, Unauthorized
from peerbus.node.event_log import EventLog
from peerbus.node.server_client import ServerClient
from peerbus.node.subscriptions import Subscriptions
from peerbus.wire.protocol import RegisterAnswer, RegisterRequest, UnregisterAnswer, UnregisterRequest
from peerbus.wire.tokens import new_token

log = logging.getLogger(__name__)

Fields = dict[str, Raw]
"""The fields of a request by name, with their values in JSON."""

RENEWALS_PER_LEASE = 3
CHECK_SECONDS = 10.0
"""How often a peer without a lease is renewed; the longest pause with one, too."""
LEAST_PAUSE_SECONDS = 0.05
"""Between renewals, for the shortest leases."""
RETRY_SECONDS = 1.0
START_SECONDS = 1.0
"""The most that `start` waits for the first registration."""


class Membership:
    """Registers the peer, renews its lease in the background, and restores lost subscriptions."""

    def __init__(
        self,
        index: ServerClient,
        peer_id: str,
        address: str,
        lease_seconds: float,
        events: EventLog,
        unregister_seconds: float,
    ) -> None:
        """`stop` may take `unregister_seconds`; a peer not unregistered by then goes away when its lease ends."""
        self._unregister_seconds = unregister_seconds
        self._index = index
        self._events = events
        self.peer_id = peer_id
        """The peer that this node acts for."""
        self.subscriptions = Subscriptions(index, peer_id, events)
        """The peer's subscriptions."""
        self.identified_by: Fields = {"peer_id": Raw(msgspec.json.encode(peer_id))}
        """The fields that identify the peer in a request."""
        self.identifying = msgspec.json.encode(self.identified_by)[1:]
        """The same in JSON without the opening brace: the end of a request's body."""
        token = new_token(peer_id) if index.token else UNSET
        self._register_with(RegisterRequest(peer_id=peer_id, address=address, lease_seconds=lease_seconds, token=token))
        self._lock = threading.RLock()
        self._epoch: str | None = None
        self._renewed_at: float | None = None
        self._wanted = True
        self._reachable = True
        self._stopping = False
        self._renewals_done = 0
        """Lets a caller that waited for another's renewal skip its own."""
        self._hurry = threading.Event()
        self._tried = threading.Event()
        self._renewals = threading.Thread(target=self._renew_until_stopped, name="renewals", daemon=True)

    @property
    def index_url(self) -> str:
        """The URL of the indexing server."""
        return self._index.url

    @property
    def registered(self) -> bool:
        """Whether the last registration or renewal succeeded, and the peer did not unregister since."""
        return self._wanted and self._reachable and self._epoch is not None

    @property
    def renewed_ago(self) -> float | None:
        """Seconds since the last registration or renewal, or None before the first."""
        return None if self._renewed_at is None else monotonic() - self._renewed_at

    @contextmanager
    def unchanging(self) -> Iterator[None]:
        """Hold renewals back. Waits for one that is under way; raises `IndexTimeout` when that takes too long."""
        if not self._lock.acquire(timeout=self._index.timeout):
            raise IndexTimeout(f"The indexing server at {self._index.url} keeps a renewal waiting.")
        try:
            yield
        finally:
            self._lock.release()

    def start(self) -> None:
        """Register, and renew the lease, in the background, with retries. Returns after `START_SECONDS` at most."""
        self._renewals.start()
        self._tried.wait(START_SECONDS)

    def stop(self, *, keep: bool) -> None:
        """Stop renewing, and unregister the peer if the server answers in time; with `keep` its queues stand."""
        self._stopping = True
        self._hurry.set()
        wanted, self._wanted = self._wanted, False
        if not wanted:
            return
        deadline = monotonic() + self._unregister_seconds
        if not self._lock.acquire(timeout=self._unregister_seconds):
            log.warning("Peer '%s' could not unregister: the indexing server does not answer.", self.peer_id)
            return
        try:
            self._unregister(keep, max(0.0, deadline - monotonic()))
        finally:
            self._lock.release()

    def renew(self) -> bool:
        """Register or renew, and restore lost subscriptions; blocks. False where that failed.

        Raises `IndexTimeout` when another renewal takes too long.
        """
        renewals = self._renewals_done
        with self.unchanging():
            if not self._wanted:
                return True
            if self._renewals_done != renewals:
                return self._reachable
            self._renewals_done += 1
            try:
                self._take_in(self._index.call("/register_peer_node", self.registration, RegisterAnswer))
            except PeerbusError as error:
                self._doubt(error)
                return False
            return True

    # Called after the application's own calls

    def joined(self, registration: RegisterRequest, answer: RegisterAnswer) -> None:
        """The application registered the peer itself; renewals repeat that registration."""
        with self._lock:
            self._register_with(registration)
            self._wanted = True
            try:
                self._take_in(answer)
            except PeerbusError as error:
                self._doubt(error)
        self._hurry.set()

    def left(self) -> None:
        """The application unregistered the peer; only the application registers it again."""
        self._wanted, self._epoch = False, None
        self.subscriptions.all_ended()
        self._events.note("unregistered", f"Peer '{self.peer_id}' is unregistered.")

    def can_restore(self, topic: str | None) -> bool:
        """Whether a renewal may restore the peer, or its subscription to `topic`, that the server does not know."""
        return self._wanted and (topic is None or topic in self.subscriptions)

    def _register_with(self, registration: RegisterRequest) -> None:
        """Use this registration from now on, also to complete the application's own."""
        self.registration = registration
        fields = msgspec.to_builtins(registration)
        self.registered_with: Fields = {name: Raw(msgspec.json.encode(value)) for name, value in fields.items()}
        self._index.peer_token = None if registration.token is UNSET else registration.token

    def _unregister(self, keep: bool, timeout: float) -> None:
        request = UnregisterRequest(peer_id=self.peer_id, keep=keep)
        try:
            answer = self._index.call("/unregister_peer_node", request, UnregisterAnswer, timeout)
        except (PeerNotFound, Unauthorized):
            pass
        except PeerbusError as error:
            log.warning("Peer '%s' could not unregister: %s", self.peer_id, error)
        else:
            level = logging.WARNING if answer.discarded else logging.INFO
            self._events.note("unregistered", answer.message, level=level)

    def _take_in(self, answer: RegisterAnswer) -> None:
        """Update the state after a registration, and restore lost subscriptions; raises the error of a failure."""
        before, self._epoch = self._epoch, answer.epoch
        self.subscriptions.epoch = answer.epoch
        lease = self.registration.lease_seconds
        may_have_lapsed = isinstance(lease, int | float) and (self.renewed_ago or 0.0) > lease
        self._renewed_at = monotonic()
        restarted = before is not None and before != answer.epoch
        if before is None and self._reachable and not answer.created:
            self._events.note(
                "registered",
                f"Peer '{self.peer_id}' is registered with {self._index.url}, and was before: by an earlier run that "
                "could not unregister it, or by another node. Two nodes of one peer take each other's messages.",
                level=logging.WARNING,
            )
        elif before is None:
            self._events.note("registered", f"Peer '{self.peer_id}' is registered with {self._index.url}.")
        elif restarted:
            self._events.note(
                "index_restarted",
                f"The indexing server restarted, and what was not pulled from it is gone; "
                f"peer '{self.peer_id}' is registered again.",
            )
        elif answer.created:
            self._events.note(
                "lease_lost",
                f"The lease of peer '{self.peer_id}' ran out, or somebody unregistered it; it is registered again.",
            )
        if restarted or answer.created or may_have_lapsed:
            self.subscriptions.doubt()
        self.subscriptions.restore()
        if not self._reachable:
            self._events.note("index_back", f"The indexing server at {self._index.url} answers again.")
        self._reachable = True

    def _doubt(self, error: PeerbusError) -> None:
        """Update the state after a registration, or the restoring after it, failed."""
        if self._reachable and self._epoch is None:
            sentence = f"Peer '{self.peer_id}' is not registered yet, which is tried again: {error}"
            self._events.note("index_lost", sentence, level=logging.WARNING)
        elif self._reachable:
            self._events.note("index_lost", f"Peer '{self.peer_id}' is not renewed: {error}")
        self._reachable = False
        self.subscriptions.doubt()

    def _renew_until_stopped(self) -> None:
        self._renew_and_log()
        self._tried.set()
        while not self._stopping:
            lease = self.registration.lease_seconds
            pause = CHECK_SECONDS
            if isinstance(lease, int | float):
                pause = min(max(lease / RENEWALS_PER_LEASE, LEAST_PAUSE_SECONDS), CHECK_SECONDS)
            if not self._hurry.wait(pause if self._reachable else min(RETRY_SECONDS, pause)):
                self._renew_and_log()
            self._hurry.clear()

    def _renew_and_log(self) -> None:
        """Renew; no error may end the thread of renewals."""
        try:
            self.renew()
        except IndexTimeout as error:
            log.warning("Peer '%s' is not renewed now: %s", self.peer_id, error)
        except Exception:
            log.exception("Renewing the lease of peer '%s' failed", self.peer_id)
