"""A broker whose changes are in a log is the same after a takeover, against the naive model over random histories."""

from typing import Any

from hypothesis.stateful import rule

from peerbus.http.event_loop import Loop
from tests.broker.kept import writing_each_call
from tests.broker.model import WALL
from tests.broker.test_model import SLICE
from tests.broker.test_restart import KEPT_LIMITS, SHIFTS, STOPPED, CrashingBrokerAndModel, KeptBrokerAndModel
from tests.support.fake_engine import FakeEngine, LoggedJournal, troubled
from tests.support.histories import histories


class LoggedBrokerAndModel(KeptBrokerAndModel):
    """Closes the owner now and then, and goes on with the next one."""

    def __init__(self) -> None:
        self.engine = FakeEngine(troubled(1, share=0.2))
        self.loop = Loop("engine")
        super().__init__()

    def open(self, shift: float) -> None:
        clock = self.clock
        self.engine.entries.is_paused = False
        self.journal: Any = LoggedJournal(self.engine, self.loop, lambda: clock() - shift, lambda: clock() + WALL)
        if self.writes_each_call:
            self.broker = writing_each_call(self.journal, KEPT_LIMITS, per_slice=SLICE)
        else:
            self.broker = self.journal.open(KEPT_LIMITS, lambda *_: None, per_slice=SLICE)
            self.engine.entries.is_paused = True

    def write(self) -> None:
        paused, self.engine.entries.is_paused = self.engine.entries.is_paused, False
        super().write()
        self.engine.entries.is_paused = paused

    @rule()
    def compact(self) -> None:
        self.journal.compact()

    def teardown(self) -> None:
        self.engine.entries.is_paused = False
        super().teardown()
        self.loop.close()


class DyingBrokerAndModel(LoggedBrokerAndModel, CrashingBrokerAndModel):
    """The owner appends only when told to, dies, and another one takes over."""

    writes_each_call = False

    @rule(shift=SHIFTS, stopped=STOPPED)
    def crash(self, shift: float, stopped: float) -> None:
        self.journal.die()
        self.stay_stopped(stopped)
        self.open(shift)
        self.model.crash()
        self.behind = self.written_behind


LoggedBrokerAndModel.TestCase.settings = histories(60)
TestLogged = LoggedBrokerAndModel.TestCase
DyingBrokerAndModel.TestCase.settings = histories(60)
TestDying = DyingBrokerAndModel.TestCase
