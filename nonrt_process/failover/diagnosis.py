"""What is wrong with the PRIMARY, and whether a new process would cure it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from nonrt_process.rt_view import RtView
from shared.core import MxrcError
from shared.enums import RtState

Attach = Callable[[], None]

SILENT_NS: Final = 200_000_000
SILENT_CYCLES: Final = 10


class TimingPolicy(Protocol):
    """The part of FailoverPolicy that is needed here."""

    @property
    def health_check_timeout_ms(self) -> int: ...
    @property
    def unhealthy_miss_rate(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line each, "" for nothing.

    curable: a new process works where this one does not. timing: it works, but late. unseen: what
    of curable neither the heartbeat nor the presence of the segment tells.
    """

    curable: str = ""
    timing: str = ""
    unseen: str = ""


class Examiner:
    """Looks at one living PRIMARY again and again.

    attach: attaches to the segment as any tool would and lets go, which checks magic, layout,
    checksum and regions; raises MxrcError.
    """

    def __init__(self, attach: Attach) -> None:
        self._attach = attach
        self._process = (0, 0)
        self._heartbeat_ns = 0
        self._cycles_head = 0

    def examine(
        self, view: RtView, cycles_head: int, now_ns: int, policy: TimingPolicy
    ) -> Diagnosis:
        """cycles_head: records in the cycle ring. now_ns: CLOCK_MONOTONIC."""
        stalled = self._stalled(view, now_ns, policy.health_check_timeout_ms)
        unseen = "" if stalled else self._silent(view, cycles_head) or self._damaged()
        return Diagnosis(stalled or unseen, _late(view, policy.unhealthy_miss_rate), unseen)

    def _stalled(self, view: RtView, now_ns: int, limit_ms: int) -> str:
        # Not one cycle yet: it has from its start on as long as a start may take.
        if not view.heartbeat_ns:
            return ""
        age_ms = (now_ns - view.heartbeat_ns) / 1e6
        if age_ms <= limit_ms:
            return ""
        return f"its last cycle is {age_ms:.0f} ms old (health_check_timeout_ms {limit_ms})"

    def _silent(self, view: RtView, cycles_head: int) -> str:
        """Beats, but writes no records: nobody sees what it does."""
        process = (view.pid, view.process_start)
        if process != self._process or cycles_head != self._cycles_head:
            self._process = process
            self._cycles_head = cycles_head
            self._heartbeat_ns = view.heartbeat_ns
            return ""
        if view.heartbeat_ns - self._heartbeat_ns <= max(SILENT_NS, SILENT_CYCLES * view.period_ns):
            return ""
        return "it runs cycles and writes no cycle records"

    def _damaged(self) -> str:
        try:
            self._attach()
        except MxrcError as error:
            return f"the segment is not valid any more: {error}"
        return ""


def _late(view: RtView, limit: float) -> str:
    if view.state == RtState.SHUTDOWN or view.miss_rate <= limit:
        return ""
    return f"its deadline-miss rate is {view.miss_rate:.4%} (unhealthy_miss_rate {limit:.4%})"
