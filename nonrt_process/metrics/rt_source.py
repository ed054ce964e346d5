"""Metrics of the RT process: counters and histograms from the segment, its state, its rings."""

from __future__ import annotations

from nonrt_process.context import Context
from nonrt_process.interfaces import CommandPort, Exemplars, RtStatistics
from nonrt_process.metric_families import Families
from nonrt_process.rt_view import RtView, metrics_copy, read_rt, standby_count
from shared.entries import entry_records
from shared.enums import RegionId, Role, RtState, SafeCause
from shared.metrics_def import counters, histogram_def, histograms
from shared.ring import RingReader
from shared.segment import Segment

RT = {"process": "rt_process"}
LABELS = {"mxrc_tracing_spans": "operation", "mxrc_logging_events": "level"}
"""Label that the part after ":" of a counter in metrics.def is a value of."""


ENTRY_TIMES = histogram_def(
    0,
    "mxrc_rt_entry_seconds",
    "Execution time of a stage of the cycle or an entry of the schedule",
    1e-9,
    (1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2),
)
ENTRY_COUNTS = {
    "exceeded": ("mxrc_rt_entry_exceeded", "Runs that took longer than declared"),
    "shed": ("mxrc_rt_entry_shed", "Runs of low criticality left out after a late cycle"),
    "skipped": ("mxrc_rt_entry_skipped", "Runs whose slot of the time grid was skipped"),
    "faults": ("mxrc_rt_entry_faults", "Runs that failed"),
}


class RtSource:
    """Everything that is known of RT now; what is not known is left out."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def collect(self, families: Families) -> None:
        segment = self._context.segment
        families.gauge(
            "mxrc_rt_attached",
            "1 while the shared-memory segment of an RT process is attached",
            float(segment is not None),
            RT,
        )
        if segment is None:
            return
        self._counters(families, segment)
        self._entries(families, segment)
        self._rings(families, segment)
        view = read_rt(segment)
        if view is None:
            return
        self._state(families, segment, view)
        self._timing(families, view)

    def _counters(self, families: Families, segment: Segment) -> None:
        record = metrics_copy(segment)[0]
        for row in counters():
            value = int(record["counter"][row.index]) * (
                1e-9 if row.name.endswith("_seconds") else 1
            )
            own = {LABELS[row.name]: row.label} if row.label else {}
            families.counter(row.name, row.help, value, {**RT, **own})
        exemplars = self._context.get(Exemplars)
        for histogram in histograms():
            stored = record["histogram"][histogram.index]
            buckets = stored["bucket"].tolist()
            families.histogram(
                histogram.name,
                histogram.help,
                histogram.edges,
                histogram.cumulative(buckets),
                sum(buckets),  # not `count`: RT goes on counting while this is read
                int(stored["sum_ns"]) * histogram.scale,
                RT,
                exemplars.cycle_time()
                if exemplars is not None and histogram.name == "mxrc_rt_cycle_time_us"
                else None,
            )

    def _entries(self, families: Families, segment: Segment) -> None:
        for row in entry_records(segment):
            name = bytes(row["name"]).decode(errors="replace")
            if not name:
                continue
            labels = {**RT, "entry": name}
            stored = row["histogram"]
            buckets = stored["bucket"].tolist()
            families.histogram(
                ENTRY_TIMES.name,
                ENTRY_TIMES.help,
                ENTRY_TIMES.edges,
                ENTRY_TIMES.cumulative(buckets),
                sum(buckets),
                int(stored["sum_ns"]) * ENTRY_TIMES.scale,
                labels,
            )
            for field, (metric, text) in ENTRY_COUNTS.items():
                families.counter(metric, text, int(row[field]), labels)
            if int(row["wcet_ns"]):
                families.gauge(
                    "mxrc_rt_entry_declared_seconds",
                    "Declared worst-case execution time",
                    int(row["wcet_ns"]) / 1e9,
                    labels,
                )

    def _rings(self, families: Families, segment: Segment) -> None:
        rings = {"cycles": int(RegionId.CYCLE_RING), "commands": int(RegionId.COMMANDS)}
        rings |= {f"events_{lane}": RegionId.LANE + lane for lane in segment.lanes()}
        for name, region in rings.items():
            reader = RingReader(segment, region)
            labels = {**RT, "ring": name}
            families.counter("mxrc_ring_records", "Records written", reader.head, labels)
            families.counter(
                "mxrc_ring_tombstones",
                "Records given up because their writer died in them",
                reader.tombstones,
                labels,
            )
            families.gauge("mxrc_ring_slots", "Slots of the ring", reader.capacity, labels)
        port = self._context.get(CommandPort)
        if port is not None:
            depth, free = port.waiting(), port.free()
            families.gauge(
                "mxrc_command_queue_depth", "Commands sent and not yet taken by RT", depth, RT
            )
            families.gauge("mxrc_command_queue_free", "Commands that fit now", free, RT)

    def _state(self, families: Families, segment: Segment, view: RtView) -> None:
        now = self._context.clock.monotonic_ns()
        for state in RtState:
            families.gauge(
                "mxrc_rt_state",
                "1 for the RT state in force, 0 for the others",
                float(view.alive and state == view.state),
                {**RT, "state": state.name},
            )
        for cause in SafeCause:
            in_force = view.alive and view.state == RtState.SAFE_MODE and cause == view.safe_cause
            if cause != SafeCause.NONE:
                families.gauge(
                    "mxrc_rt_safe_mode_cause",
                    "1 for the reason of the SAFE_MODE in force",
                    float(in_force),
                    {**RT, "cause": cause.name},
                )
        for role in (Role.PRIMARY, Role.STANDBY):
            processes = int(view.alive) if role == Role.PRIMARY else standby_count(segment)
            families.gauge(
                "mxrc_rt_processes",
                "Living RT processes by role",
                processes,
                {**RT, "role": role.name},
            )
        families.gauge("mxrc_rt_epoch", "Epoch of the lease", view.lease_epoch, RT)
        families.gauge("mxrc_rt_active_tasks", "Executions in progress", view.active_tasks, RT)
        families.gauge(
            "mxrc_rt_heartbeat_age_seconds",
            "Time since the last finished cycle",
            max(0, now - view.heartbeat_ns) / 1e9,
            RT,
        )
        families.gauge("mxrc_rt_period_seconds", "Period of the cycle", view.period_ns / 1e9, RT)
        families.gauge(
            "mxrc_rt_spin_margin_seconds",
            "Spun before each slot under hybrid waiting, else 0",
            view.spin_margin_ns / 1e9,
            RT,
        )

    def _timing(self, families: Families, view: RtView) -> None:
        families.gauge(
            "mxrc_rt_deadline_miss_rate",
            "Share of missed deadlines over the last 10,000 slots",
            view.miss_rate,
            RT,
        )
        statistics = self._context.get(RtStatistics)
        figures = None if statistics is None else statistics.figures()
        if figures is None or not figures.cycles:
            return
        families.gauge(
            "mxrc_rt_jitter_us",
            "Actual minus scheduled wake-up time, mean over the last second",
            figures.jitter_mean_us,
            RT,
        )
        for axis, position in enumerate(figures.position):
            labels = {**RT, "axis": self._axis_name(axis)}
            families.gauge(
                "mxrc_axis_position", "Position, in the unit of the axis", position, labels
            )
            families.gauge(
                "mxrc_axis_setpoint",
                "Set-point, in the unit of the axis",
                figures.setpoint[axis],
                labels,
            )

    def _axis_name(self, index: int) -> str:
        axes = self._context.config.current.robot.axes
        return axes[index].name if index < len(axes) else str(index)
