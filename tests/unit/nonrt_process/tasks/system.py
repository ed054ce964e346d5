"""The task plugin's parts around the real executive, driven by hand on a clock of the test's."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from nonrt_process.commands import RtCommandPort
from nonrt_process.interfaces import Accepted, CommandPort, TaskMode
from nonrt_process.outcome import Outcome
from nonrt_process.pump import Pump
from nonrt_process.tasks.book import Book
from nonrt_process.tasks.dispatcher import Dispatcher
from nonrt_process.tasks.journal import Journal
from nonrt_process.tasks.service import Tasks
from nonrt_process.tasks.stops import Stops
from nonrt_process.tasks.task_events import TaskEvents
from rt_process.exec_config import make_exec_config
from rt_process.placement import Placement
from shared.config import ConfigStore
from shared.config.models.tasks import TaskDefinition
from shared.core import ERROR_BYTES, error_buffer, ffi, lib, to_text
from shared.datastore import DataStore, fill_directory
from shared.enums import CommandKind, EventKind, RegionId, RtEvent, RtState, TaskStatus
from shared.ring import RingReader
from shared.segment import Segment
from shared.state_block import read_state
from shared.trace_context import TraceContext, generate_span_id, generate_trace_id
from tests.unit.nonrt_process.fakes import FakeContext, fake_context, real_segment

PLACEMENT = Placement("SCHED_OTHER", 0, (0,), (0,), "NONE")
PERIOD_NS = 1_000_000


def wait(name: str, seconds: float = 0.003) -> dict[str, Any]:
    return {"name": name, "type": "wait", "parameters": {"duration_s": seconds}}


TRIGGER_KEY: Final = "cell.part_ready"


def move(name: str, axis: str, seconds: float = 0.01, **more: Any) -> dict[str, Any]:
    parameters = {"target": {axis: 0.001}, "duration_s": seconds}
    return {"name": name, "type": "move_joints", "parameters": parameters, **more}


def define(key: str, *actions: dict[str, Any], **more: Any) -> TaskDefinition:
    document = {
        ("pattern" if set(key) & set("*?") else "id"): key,
        "sequence": {"name": "main", "actions": list(actions)},
        **more,
    }
    return TaskDefinition.model_validate_json(json.dumps(document))


class System:
    """One instance: its segment, an executive or none, a Non-RT side or none."""

    def __init__(self, tmp_path: Path, rt: Segment, nonrt: Segment, limit: int = 100) -> None:
        self.rt, self.nonrt = rt, nonrt
        self.path = tmp_path / "tasks.sqlite3"
        self.context: FakeContext = fake_context(tmp_path, segment=nonrt)
        # A generation is named by the wall clock: nothing here was accepted before it.
        clock = self.context.clock
        clock.step_realtime(nonrt.generation - clock.realtime_ns())
        config = self.context.config.current
        axes = [axis.name for axis in config.robot.axes]
        definitions = [
            define("wait_*", wait("w1"), wait("w2")),
            define("resume_*", move("m", axes[0]), on_restart="resume"),
            define("restart_*", move("m", axes[0]), on_restart="restart"),
            define("fail_*", move("m", axes[1]), on_restart="fail"),
            define("late_*", move("m", axes[2], 1.0, timeout_ms=3)),
            define("long_*", wait("w", 5.0), priority=10),
            define("urgent_*", move("m", axes[0]), priority=90),
            define("exact", wait("w"), parameters={"speed": 1.0, "name": "x", "on": True}),
            define("every_*", wait("w"), period_ms=10),
            define(
                "trig_*",
                wait("w"),
                mode="triggered",
                trigger={"key": TRIGGER_KEY, "value": True},
            ),
        ]
        tasks = {one.key: one for one in definitions}
        self.context.config = ConfigStore(replace(config, tasks=tasks))
        self.context.provide(CommandPort, RtCommandPort(self.context))
        self.limit = limit
        self._clock = ffi.new("struct mxrc_fake_clock *", {"now_ns": 10**9})
        self._exec: Any = None
        self._readers = [RingReader(nonrt, RegionId.LANE + lane) for lane in nonrt.lanes()]
        self.ended: Counter[tuple[int, str]] = Counter()
        self.begun: Counter[int] = Counter()
        self.journal: Journal
        self.book: Book
        self.tasks: Tasks
        self.dispatcher: Dispatcher
        self.pump: Pump | None = None

    # ---- RT ----

    def rt_start(self) -> None:
        error = error_buffer()
        config = make_exec_config(self.context.config.current, PLACEMENT)
        self._exec = lib.mxrc_exec_new(self.rt.raw, config, error, ERROR_BYTES)
        assert self._exec != ffi.NULL, to_text(error)
        assert lib.mxrc_exec_use_clock(self._exec, self._clock) == 0
        assert lib.mxrc_exec_begin(self._exec, error, ERROR_BYTES) == 0, to_text(error)

    def rt_crash(self) -> None:
        """Between two cycles."""
        if self._exec is not None:
            lib.mxrc_exec_end(self._exec)
            lib.mxrc_exec_free(self._exec)
            self._exec = None

    def clocks_in_step(self) -> None:
        """The executive's clock shows the moment that the realtime of the context stands for."""
        offset_ns = int(lib.mxrc_now_ns()) - int(lib.mxrc_realtime_ns())
        self._clock.now_ns = self.context.clock.realtime_ns() + offset_ns

    def cycles(self, count: int) -> None:
        if self._exec is None:
            return
        for _ in range(count):
            assert lib.mxrc_exec_cycle(self._exec) == 0
        self._note()

    def _note(self) -> None:
        for reader in self._readers:
            records = reader.read(100_000).records
            for event in records[records["kind"] == EventKind.TASK]:
                execution = int(event["execution_id"])
                status = TaskStatus(int(event["code"]))
                if status == TaskStatus.RUNNING:
                    self.begun[execution] += 1
                else:
                    self.ended[execution, status.name] += 1

    def state(self, event: RtEvent) -> None:
        port = self.context.require(CommandPort)
        assert isinstance(port, RtCommandPort)
        port._send(lambda producer: producer.queue.send_event(event))

    def steer(self, kind: CommandKind, execution_id: int) -> None:
        """TASK_PAUSE or TASK_RESUME, without waiting for the answer; RT may not run now."""
        port = self.context.require(CommandPort)
        assert isinstance(port, RtCommandPort)
        port._send(lambda producer: producer.queue.send(kind, execution_id=execution_id))

    def trigger(self, value: bool) -> None:
        DataStore(self.nonrt).write(TRIGGER_KEY, value)

    def runs(self, execution_id: int) -> int | None:
        """Runs finished of one that RT has; None: RT has it not."""
        for task in (read_state(self.rt) or {}).get("tasks", []):
            if task["execution_id"] == execution_id:
                return int(task["runs"])
        return None

    # ---- Non-RT ----

    def nonrt_start(self) -> None:
        log = logging.getLogger("test.tasks")
        self.book = Book(self.limit)
        self.journal = Journal(self.path, self.context.clock, self.book.forget)
        self.tasks = Tasks(self.context, self.book, self.journal, log)
        self.dispatcher = Dispatcher(self.context, self.book, self.journal, self.tasks.settle, log)
        events = TaskEvents(
            self.book,
            self.tasks.settle,
            self.dispatcher.sending,
            lambda: self.context.require(CommandPort),
            self.context.clock,
            log,
            Stops(
                self.book, self.tasks.settle, self.journal.request_cancel, self.context.clock, log
            ),
        )
        self.journal.store.open()
        self.book.load(self.journal.active(), self.journal.last_id(), self.journal.counts())
        self.pump = Pump(self.context, events)

    def nonrt_crash(self, in_batch: bool = False) -> None:
        """in_batch: after a batch was worked on, before the cursor moved."""
        if self.pump is None:
            return
        if in_batch and self.pump._position is not None:
            batch = self.pump._position.read(1000)
            if batch is not None:
                self.pump.consumer.on_batch(batch)
        self.pump = None
        self.journal.store.close()

    def dispatch(self) -> None:
        while self.pump is not None and self.dispatcher.turn():
            pass

    def turn(self) -> None:
        if self.pump is not None:
            self.context.clock.advance(200_000_000)
            self.pump.turn()

    def start(self, task_id: str, mode: TaskMode = "once", **more: Any) -> Accepted:
        return self.begin(task_id, mode, **more).result(60)

    def begin(self, task_id: str, mode: TaskMode = "once", **more: Any) -> Outcome[Accepted]:
        trace = TraceContext(generate_trace_id(), generate_span_id(), 1)
        more.setdefault("definition", None)
        more.setdefault("parameters", {})
        return self.tasks.start(task_id, mode, trace=trace, **more)

    # ---- both ----

    def work(self, rounds: int = 1, cycles: int = 5) -> None:
        for _ in range(rounds):
            self.turn()
            self.dispatch()
            self.cycles(cycles)

    def settle(self, rounds: int = 400) -> None:
        """Until nothing is active."""
        for _ in range(rounds):
            self.work()
            if not self.book.active():
                return
        raise AssertionError(f"still active: {self.book.active()}")

    def status(self, task_id: str) -> str:
        return str(self.tasks.get(task_id)["status"])

    def rt_state(self) -> RtState:
        return RtState(int(self.rt.rt_status.state))

    def close(self) -> None:
        self.nonrt_crash()
        self.rt_crash()
        self._readers.clear()


@contextmanager
def system(tmp_path: Path, limit: int = 100, *, start: bool = True) -> Iterator[System]:
    keys = fake_context(tmp_path).config.current.datastore
    shape: dict[str, Any] = {"event_slots": 4096, "command_slots": 64, "data_keys": len(keys.keys)}
    with real_segment(tmp_path, fill=lambda rt: fill_directory(rt, keys), **shape) as (rt, nonrt):
        made = System(tmp_path, rt, nonrt, limit)
        try:
            if start:
                made.rt_start()
                made.cycles(5)
                made.nonrt_start()
                made.turn()
            yield made
        finally:
            made.close()
