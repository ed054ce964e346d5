"""The real executive on a clock of the test's, with a Non-RT side that sends it tasks."""

from __future__ import annotations

from typing import Any

from rt_process.exec_config import make_exec_config
from rt_process.placement import Placement
from shared.commands import CommandQueue
from shared.config import Config
from shared.config.models.tasks import TaskDefinition
from shared.core import ERROR_BYTES, error_buffer, ffi, lib, to_text
from shared.datastore import DataStore
from shared.enums import EventKind, RegionId, RtState
from shared.layout import Records
from shared.names import Names
from shared.program import compile_task
from shared.ring import RingReader
from shared.segment import Segment

PLACEMENT = Placement("SCHED_OTHER", 0, (0,), (0,), "NONE")


class SteppedExecutive:
    """Runs a cycle at a time."""

    def __init__(self, rt: Segment, nonrt: Segment, config: Config) -> None:
        error = error_buffer()
        self.rt, self.nonrt, self.config = rt, nonrt, config
        self._config = make_exec_config(config, PLACEMENT)
        self._exec = lib.mxrc_exec_new(rt.raw, self._config, error, ERROR_BYTES)
        assert self._exec != ffi.NULL, to_text(error)
        self._clock = ffi.new("struct mxrc_fake_clock *", {"now_ns": 1_000_000_000})
        assert lib.mxrc_exec_use_clock(self._exec, self._clock) == 0
        assert lib.mxrc_exec_begin(self._exec, error, ERROR_BYTES) == 0, to_text(error)
        self.events = RingReader(nonrt, RegionId.LANE + 2 * rt.member)
        self.queue, self.names, self.store = CommandQueue(nonrt), Names(nonrt), DataStore(nonrt)

    def run(self, cycles: int) -> int:
        """0, or what the last cycle returned when it was not 0."""
        for _ in range(cycles):
            result = int(lib.mxrc_exec_cycle(self._exec))
            if result:
                return result
        return 0

    def start(
        self, definition: TaskDefinition, task_id: str, execution_id: int, **asked: Any
    ) -> None:
        program = compile_task(
            definition,
            self.config.robot,
            self.store.keys,
            self.names.intern,
            task_id=task_id,
            **asked,
        )
        self.queue.send_task(execution_id, task_id, program.data)

    def read(self, kind: EventKind) -> Records:
        records = self.events.read(100_000).records
        kept: Records = records[records["kind"] == kind]
        return kept

    @property
    def state(self) -> RtState:
        return RtState(self.rt.rt_status.state)

    def position(self, axis: int) -> float:
        """Set-point of the last cycle."""
        last = RingReader(self.nonrt, RegionId.CYCLE_RING).latest(1).records
        return float(last["setpoint"][0][axis])

    def close(self) -> None:
        lib.mxrc_exec_end(self._exec)
        lib.mxrc_exec_free(self._exec)
