"""One accepted task, and how its status may change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from nonrt_process.interfaces import TaskMode, TaskStatus
from nonrt_process.outcome import Outcome
from shared.trace_context import TraceContext

FINAL: Final[frozenset[TaskStatus]] = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
STATUSES: Final[tuple[TaskStatus, ...]] = (
    "PENDING",
    "RUNNING",
    "COMPLETED",
    "FAILED",
    "CANCELLED",
)


@dataclass(slots=True)
class Execution:
    """An execution that has no final status yet; changed only under the book's lock.

    digest: of the definition as it was when it was accepted. axes: bit mask of those it moves.
    sent: it went to RT and RT has not refused it. generation: segment it went to (0: none).
    command: number of its command there, None when not known (this process did not send it).
    key: Idempotency-Key of the request. durable: its row is on disk; until then nobody but its
    starter knows it. written: ends when it is, or with why it could not be.
    """

    execution_id: int
    task_id: str
    definition: str
    digest: str
    mode: TaskMode
    parameters: dict[str, Any]
    priority: int
    axes: int
    on_restart: str
    trace: TraceContext
    accepted_ns: int
    tracestate: str = ""
    baggage: str = ""
    status: TaskStatus = "PENDING"
    started_ns: int | None = None
    cancel_requested: bool = False
    sent: bool = False
    generation: int = 0
    command: int | None = None
    key: str | None = None
    durable: bool = False
    written: Outcome[None] = field(default_factory=Outcome)

    @property
    def order(self) -> tuple[int, int]:
        """Sort key: higher priority first, then in the order of acceptance."""
        return -self.priority, self.execution_id


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of status to be made durable. time_ns: realtime. error: why, for FAILED."""

    execution_id: int
    status: TaskStatus
    time_ns: int
    generation: int = 0
    error: str | None = None
    step: int | None = None


def may_change(before: TaskStatus, after: TaskStatus) -> bool:
    """Whether `after` may follow `before`: forward only, and a final status stays."""
    if before in FINAL:
        return False
    return after != "PENDING" and before != after
