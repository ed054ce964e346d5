"""Finds operations that take too long, and the step that they wait for."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from nonrt_process.traces.critical_path import Timed, critical_path
from nonrt_process.traces.operations import OTHER, Figures, Operations
from nonrt_process.traces.otlp import Finished
from nonrt_process.traces.rt_encoder import OPERATIONS
from shared.config.models.tracing_config import Bottlenecks as Settings
from shared.enums import SpanOperation, SpanStatus
from shared.layout import Records

KEPT_SPANS: Final = 8192
JUDGE_NS: Final = 1_000_000_000
MIN_SPANS: Final = 3
CALM: Final = 0.8
"""Share of the threshold below which an operation is no bottleneck any longer."""
_NAME: Final = np.uint64(0xFFFFFFFF)


class Found(NamedTuple):
    """A bottleneck. step: what takes most of the critical path, share of it; trace_id in hex."""

    operation: str
    step: str
    share: float
    trace_id: str


class Bottlenecks:
    """observe_* and tick belong to one thread; found and figures may be read by others.

    An operation with a threshold of its own is judged by its mean time. Others are judged by what
    they take beyond what was planned: a move that is asked to last a second is no bottleneck.
    """

    def __init__(self, settings: Callable[[], Settings], log: logging.Logger) -> None:
        self._settings = settings
        self._log = log
        self._operations = Operations()
        self._kept: deque[Records] = deque()
        self._kept_spans = 0
        self._resolve: Callable[[int], str] = str
        self._timed_kept: list[Timed] | None = None
        self._judged_ns = 0
        self._now_ns = 0
        self.found: Mapping[str, Found] = {}

    def reset(self) -> None:
        """Another generation: names mean something else."""
        self._kept.clear()
        self._kept_spans = 0

    def observe_rt(self, spans: Records, resolve: Callable[[int], str]) -> None:
        """spans: (n,) finished spans of the event dtype; resolve: their name ids."""
        if not len(spans):
            return
        self._resolve = resolve
        self._kept.append(spans)
        self._kept_spans += len(spans)
        while self._kept_spans > KEPT_SPANS and len(self._kept) > 1:
            self._kept_spans -= len(self._kept.popleft())
        lasted = _lasted_ns(spans)
        beyond = np.zeros(len(spans))
        actions = spans["code"] == SpanOperation.ACTION_EXECUTE
        planned, elapsed = spans["args"][actions, 0], spans["args"][actions, 1]
        beyond[actions] = np.maximum(elapsed - planned, 0)
        keys = np.empty((len(spans), 2), np.uint64)
        keys[:, 0] = spans["code"].astype(np.uint64) << np.uint64(32) | spans["task_name"]
        keys[:, 1] = np.where(actions, spans["action_name"], spans["sequence_name"])
        failed = spans["span_status"] == SpanStatus.ERROR
        unique, inverse = np.unique(keys, axis=0, return_inverse=True)
        inverse = inverse.ravel()
        for at in range(len(unique)):
            chosen = inverse == at
            operation = self._name(spans[int(chosen.argmax())])
            self._operations.observe(
                self._now_ns, operation, lasted[chosen], beyond[chosen], int(failed[chosen].sum())
            )

    def observe(self, operation: str, lasted_ns: Sequence[int], errors: int) -> None:
        """Spans without a plan: whatever they take counts."""
        lasted = np.maximum(np.asarray(lasted_ns, np.float64), 0)
        self._operations.observe(self._now_ns, operation, lasted, lasted, errors)

    def observe_own(self, spans: Sequence[Finished]) -> None:
        """Spans that this process made."""
        groups: dict[str, list[Finished]] = {}
        for one in spans:
            groups.setdefault(one.name, []).append(one)
        for name, of in groups.items():
            self.observe(
                name, [one.end_ns - one.start_ns for one in of], sum(bool(one.error) for one in of)
            )

    def tick(self, now_ns: int) -> None:
        """Judge once a second. now_ns: CLOCK_MONOTONIC."""
        self._now_ns = now_ns
        if now_ns - self._judged_ns < JUDGE_NS:
            return
        self._judged_ns = now_ns
        settings = self._settings()
        found = dict(self.found)
        figures = self._operations.figures(now_ns)
        for operation, figure in figures.items():
            threshold_s, value_s = _judged_by(settings, operation, figure)
            if operation not in found:
                if figure.spans >= MIN_SPANS and value_s > threshold_s:
                    found[operation] = self._explain(operation, figure, threshold_s, value_s)
            elif value_s < CALM * threshold_s:
                self._end(found.pop(operation))
        for operation in found.keys() - figures.keys():
            self._end(found.pop(operation))
        self.found = found
        self._timed_kept = None
        self._operations.forget_idle(now_ns)

    def figures(self, now_ns: int) -> dict[str, Figures]:
        """By operation, over the last minute."""
        return self._operations.figures(now_ns)

    def judged(self, operation: str, figure: Figures) -> tuple[float, float]:
        """(threshold, what is held against it) in seconds."""
        return _judged_by(self._settings(), operation, figure)

    def _end(self, found: Found) -> None:
        self._log.info("%s is no bottleneck any longer", found.operation)

    def _explain(
        self, operation: str, figure: Figures, threshold_s: float, value_s: float
    ) -> Found:
        found = self._step(operation)
        beyond = "" if value_s == figure.mean_s else " beyond what was planned"
        trace = f" (trace {found.trace_id})" if found.trace_id else ""
        self._log.error(
            "Bottleneck: %s takes %.1f ms%s on average of %d, more than its threshold of %g ms "
            "(p95 %.1f ms, %.0f %% failed); %s takes %.0f %% of the critical path%s",
            operation,
            value_s * 1e3,
            beyond,
            figure.spans,
            threshold_s * 1e3,
            figure.p95_s * 1e3,
            figure.error_ratio * 100,
            found.step,
            found.share * 100,
            trace,
        )
        return found

    def _step(self, operation: str) -> Found:
        """What the slowest of the kept spans of an operation waited for longest."""
        spans = np.concatenate(list(self._kept)) if self._kept else None
        if self._timed_kept is None:
            self._timed_kept = [] if spans is None else [self._timed(one) for one in spans]
        timed = self._timed_kept
        own = [at for at, one in enumerate(timed) if one.operation == operation]
        if spans is None or not own:
            return Found(operation, operation, 1.0, "")
        slowest = max(own, key=lambda at: timed[at].end_ns - timed[at].start_ns)
        trace_id = spans["trace_id"][slowest].tobytes()
        same = (spans["trace_id"] == spans["trace_id"][slowest]).all(axis=1)
        of_trace = [timed[at] for at in np.flatnonzero(same).tolist()]
        by_id = {one.span_id: one for one in of_trace}
        root = timed[slowest]
        leaf = all(one.parent != root.span_id for one in of_trace)
        while leaf and root.parent in by_id:
            root = by_id[root.parent]
        shares: dict[str, int] = {}
        for span, ns in critical_path(of_trace, root):
            shares[span.operation] = shares.get(span.operation, 0) + ns
        step = operation if leaf else max(shares, key=lambda name: shares[name])
        whole = max(1, sum(shares.values()))
        return Found(operation, step, shares.get(step, 0) / whole, trace_id.hex())

    def _timed(self, record: np.void) -> Timed:
        return Timed(
            record["span_id"].tobytes(),
            record["parent_span_id"].tobytes(),
            self._name(record),
            int(record["start_ns"]),
            max(int(record["start_ns"]), int(record["time_ns"])),
        )

    def _name(self, record: np.void) -> str:
        """E.g. `action.execute pick_and_place/grip`: the span's name, its definition, its part."""
        code = int(record["code"])
        name = OPERATIONS.get(code, OTHER)  # type: ignore[call-overload]
        part = "action_name" if code == SpanOperation.ACTION_EXECUTE else "sequence_name"
        parts = [self._resolve(int(record[column])) for column in ("task_name", part)]
        return f"{name} {'/'.join(text for text in parts if text)}".strip()


def _lasted_ns(spans: Records) -> npt.NDArray[np.float64]:
    lasted = spans["time_ns"].astype(np.float64) - spans["start_ns"]
    found: npt.NDArray[np.float64] = np.maximum(lasted, 0)
    return found


def _judged_by(settings: Settings, operation: str, figure: Figures) -> tuple[float, float]:
    """(threshold, value) in seconds."""
    for pattern, threshold_ms in settings.thresholds_ms.items():
        if fnmatchcase(operation, pattern):
            return threshold_ms / 1e3, figure.mean_s
    return settings.threshold_ms / 1e3, figure.beyond_s
