"""Health: sum of findings, checks of both processes, statistics."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from nonrt_process.context import AttachProblem
from nonrt_process.health.nonrt_checks import LOSS_WINDOW_NS, NonRtChecks
from nonrt_process.health.registry import Registry, SimpleCheck, combine
from nonrt_process.health.rt_checks import START_NS, RtChecks
from nonrt_process.health.rt_statistics import STALE_NS, RtStatisticsConsumer
from nonrt_process.interfaces import (
    HEALTHY,
    ConsumerFigures,
    ConsumerMonitor,
    Finding,
    HealthStatus,
    Lifecycle,
)
from shared.clock import FakeClock
from shared.core import lib
from shared.documents import write_member_document
from shared.enums import RtState, SafeCause
from shared.segment import Segment
from tests.unit.nonrt_process.fakes import (
    FakeContext,
    batch,
    become_primary,
    cycles,
    fake_context,
    real_segment,
)

LOG = logging.getLogger("nonrt.test.health")


# ---- the sum ----


def test_the_worst_counts_and_every_reason_is_named() -> None:
    findings = [
        HEALTHY,
        Finding(HealthStatus.DEGRADED, "slow"),
        Finding(HealthStatus.UNHEALTHY, "dead"),
        Finding(HealthStatus.DEGRADED, "slow"),
    ]
    assert combine(findings) == (HealthStatus.UNHEALTHY, "dead; slow")
    assert combine([]) == (HealthStatus.HEALTHY, "")


@pytest.mark.parametrize(
    ("findings", "status"),
    [
        (["HEALTHY", "STARTING"], "STARTING"),
        (["STARTING", "UNHEALTHY"], "UNHEALTHY"),
        (["UNHEALTHY", "STOPPED"], "STOPPED"),
        (["STOPPED", "STOPPING"], "STOPPING"),
        (["DEGRADED", "STARTING"], "STARTING"),
    ],
)
def test_order_of_the_states(findings: list[str], status: str) -> None:
    found = [Finding(HealthStatus[name], name) for name in findings]
    assert combine(found)[0] == HealthStatus[status]


def test_a_broken_check_is_unhealthy_and_named() -> None:
    def broken(_now_ns: int) -> Finding:
        raise KeyError("axis")

    registry = Registry(lambda: 1, LOG)
    registry.register(SimpleCheck("broken", "rt_process", broken))
    report = registry.report("rt_process")
    assert report.status == HealthStatus.UNHEALTHY
    assert "broken" in report.error_message
    assert registry.report("non_rt_process").status == HealthStatus.HEALTHY


def test_unhealthy_never_goes_without_a_reason() -> None:
    registry = Registry(lambda: 1, LOG)
    registry.register(
        SimpleCheck("silent", "rt_process", lambda _: Finding(HealthStatus.UNHEALTHY))
    )
    assert registry.report("rt_process").error_message == "silent: unhealthy"


def test_changes_are_logged_once_and_dated(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    state = [Finding(HealthStatus.UNHEALTHY, "dead")]
    registry = Registry(clock.monotonic_ns, LOG)
    registry.register(SimpleCheck("one", "rt_process", lambda _: state[0]))
    caplog.set_level(logging.INFO)
    clock.advance(10)
    since = registry.report("rt_process").since_ns
    clock.advance(10)
    assert registry.report("rt_process").since_ns == since
    state[0] = HEALTHY
    clock.advance(10)
    assert registry.report("rt_process").since_ns == since + 20
    assert [record.getMessage() for record in caplog.records] == [
        "Health of rt_process: STARTING -> UNHEALTHY: dead",
        "Health of rt_process: UNHEALTHY -> HEALTHY",
    ]


def test_two_checks_of_one_name_are_refused() -> None:
    registry = Registry(lambda: 1, LOG)
    registry.register(SimpleCheck("one", "rt_process", lambda _: HEALTHY))
    with pytest.raises(ValueError, match="one"):
        registry.register(SimpleCheck("one", "rt_process", lambda _: HEALTHY))


# ---- RT ----


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Segment, FakeContext]]:
    with real_segment(tmp_path) as (rt, nonrt):
        context = fake_context(tmp_path, segment=nonrt)
        become_primary(rt, heartbeat_ns=context.clock.monotonic_ns())
        yield rt, context


def rt_status(context: FakeContext) -> tuple[HealthStatus, str]:
    now = context.clock.monotonic_ns()
    return combine([check.check(now) for check in RtChecks(context).all()])


def test_a_running_process_is_healthy(both: tuple[Segment, FakeContext]) -> None:
    assert rt_status(both[1]) == (HealthStatus.HEALTHY, "")


def test_an_absent_process_is_starting_first_and_unhealthy_then(tmp_path: Path) -> None:
    context = fake_context(tmp_path)
    assert rt_status(context)[0] == HealthStatus.STARTING
    context.clock.advance(START_NS)
    status, reason = rt_status(context)
    assert status == HealthStatus.UNHEALTHY
    assert reason


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("stopped", "STOPPED"),
        ("layout", "UNHEALTHY"),
        ("taken", "UNHEALTHY"),
        ("other", "UNHEALTHY"),
    ],
)
def test_no_segment_for_other_reasons(tmp_path: Path, kind: str, status: str) -> None:
    context = fake_context(tmp_path)
    context.heart.problem = AttachProblem(kind, "both hashes")  # type: ignore[arg-type]
    assert rt_status(context) == (HealthStatus[status], "both hashes")


def test_a_dead_process_is_unhealthy_and_an_ended_one_stopped(
    both: tuple[Segment, FakeContext],
) -> None:
    rt, context = both
    rt.member_struct(rt.member).pid = 2**22
    status, reason = rt_status(context)
    assert status == HealthStatus.UNHEALTHY
    assert str(2**22) in reason
    rt.rt_status.state = int(RtState.SHUTDOWN)
    assert rt_status(context)[0] == HealthStatus.STOPPED


def test_a_stale_heartbeat_is_unhealthy_unless_we_are_late_ourselves(
    both: tuple[Segment, FakeContext],
) -> None:
    rt, context = both
    now = context.clock.monotonic_ns()
    rt.rt_status.heartbeat_ns = now - 499_000_000
    assert rt_status(context)[0] == HealthStatus.HEALTHY
    rt.rt_status.heartbeat_ns = now - 501_000_000
    status, reason = rt_status(context)
    assert status == HealthStatus.UNHEALTHY
    assert "501 ms" in reason
    context.heart.__class__ = type(
        "Late", (type(context.heart),), {"last_beat_ns": property(lambda _: now - 100_000_000)}
    )
    assert rt_status(context)[0] == HealthStatus.HEALTHY


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (RtState.INIT, "STARTING"),
        (RtState.READY, "HEALTHY"),
        (RtState.RUNNING, "HEALTHY"),
        (RtState.PAUSED, "HEALTHY"),
        (RtState.SAFE_MODE, "DEGRADED"),
        (RtState.ERROR, "UNHEALTHY"),
        (RtState.SHUTDOWN, "STOPPING"),
    ],
)
def test_rt_states(both: tuple[Segment, FakeContext], state: RtState, status: str) -> None:
    rt, context = both
    rt.rt_status.state = int(state)
    rt.rt_status.safe_cause = int(SafeCause.HEARTBEAT)
    found, reason = rt_status(context)
    assert found == HealthStatus[status]
    assert bool(reason) == (found != HealthStatus.HEALTHY)
    assert ("heartbeat was lost" in reason) == (state == RtState.SAFE_MODE)


@pytest.mark.parametrize("cause", [one for one in SafeCause if one != SafeCause.NONE])
def test_each_cause_of_safe_mode_has_words(
    both: tuple[Segment, FakeContext], cause: SafeCause
) -> None:
    rt, context = both
    rt.rt_status.state = int(RtState.SAFE_MODE)
    rt.rt_status.safe_cause = int(cause)
    assert cause.name not in rt_status(context)[1]


@pytest.mark.parametrize(
    ("misses", "status"), [(0, "HEALTHY"), (100, "HEALTHY"), (101, "DEGRADED"), (501, "UNHEALTHY")]
)
def test_miss_rates_against_the_policy(
    both: tuple[Segment, FakeContext], misses: int, status: str
) -> None:
    rt, context = both
    rt.rt_status.window_misses, rt.rt_status.window_slots = misses, 10_000
    assert rt_status(context)[0] == HealthStatus[status]
    current = context.config.current
    strict = current.failover_policy.rt_process.model_copy(
        update={"degraded_miss_rate": 0.0001, "unhealthy_miss_rate": 0.001}
    )
    policy = current.failover_policy.model_copy(update={"rt_process": strict})
    context.config.propose(replace(current, failover_policy=policy))
    assert (rt_status(context)[0] == HealthStatus.HEALTHY) == (misses == 0)


def test_reasons_of_the_rt_process_come_with_the_remedy(both: tuple[Segment, FakeContext]) -> None:
    rt, context = both
    write_member_document(
        rt, {"degraded": ["no right to SCHED_FIFO"], "placement_fix": ["setcap cap_sys_nice"]}
    )
    assert rt_status(context) == (
        HealthStatus.DEGRADED,
        "no right to SCHED_FIFO: setcap cap_sys_nice",
    )


def test_before_the_first_primary_it_is_starting(tmp_path: Path) -> None:
    with real_segment(tmp_path) as (_, nonrt):
        context = fake_context(tmp_path, segment=nonrt)
        assert rt_status(context)[0] == HealthStatus.STARTING


# ---- Non-RT ----


@dataclass
class Monitor:
    figures: list[ConsumerFigures]
    is_started: bool = True

    def consumers(self) -> Sequence[ConsumerFigures]:
        return self.figures

    def started(self) -> bool:
        return self.is_started


def consumer(**changes: object) -> ConsumerFigures:
    figures = ConsumerFigures("logs", 0, 0, 0, 0, 0, alive=True)
    return replace(figures, **changes)  # type: ignore[arg-type]


def nonrt_context(tmp_path: Path, *figures: ConsumerFigures) -> tuple[FakeContext, Monitor]:
    context = fake_context(tmp_path)
    monitor = Monitor(list(figures))
    context.provide(ConsumerMonitor, monitor)
    context.provide(Lifecycle, monitor)
    return context, monitor


def test_life_of_this_process(tmp_path: Path) -> None:
    context, monitor = nonrt_context(tmp_path, consumer())
    checks = NonRtChecks(context)

    def status() -> HealthStatus:
        now = context.clock.monotonic_ns()
        return combine([check.check(now) for check in checks.all()])[0]

    monitor.is_started = False
    assert status() == HealthStatus.STARTING
    monitor.is_started = True
    assert status() == HealthStatus.HEALTHY
    monitor.figures = [consumer(alive=False)]
    assert status() == HealthStatus.UNHEALTHY
    context.stopping.set()
    assert status() == HealthStatus.STOPPING


def test_a_loss_degrades_for_a_minute(tmp_path: Path) -> None:
    context, monitor = nonrt_context(tmp_path, consumer(lost_events=5))
    checks = NonRtChecks(context)

    def finding() -> Finding:
        return checks.losses(context.clock.monotonic_ns())

    assert finding() == HEALTHY  # of a process before this one
    monitor.figures = [consumer(lost_events=7, lost_cycles=1)]
    assert finding().status == HealthStatus.DEGRADED
    assert "lost 3 records" in finding().reason
    context.clock.advance(LOSS_WINDOW_NS + 1)
    assert finding() == HEALTHY
    monitor.figures = [consumer(lost_events=0)]  # a new generation
    assert finding() == HEALTHY


def test_a_late_heart_is_unhealthy(tmp_path: Path) -> None:
    context, _ = nonrt_context(tmp_path)
    checks = NonRtChecks(context)
    now = context.clock.monotonic_ns()
    assert checks.heart(now) == HEALTHY
    assert checks.heart(now + 300_000_000).status == HealthStatus.UNHEALTHY


# ---- statistics ----


def some_cycles(count: int, first_ns: int = 0, **fields: int) -> list[dict[str, int]]:
    return [
        {
            "scheduled_ns": first_ns + number * 1_000_000,
            "wake_ns": first_ns + number * 1_000_000 + 10_000 * (1 + number % 2),
            "end_ns": first_ns + number * 1_000_000 + 10_000 * (1 + number % 2) + 5_000,
            **fields,
        }
        for number in range(count)
    ]


def test_means_over_the_last_second_only() -> None:
    clock = FakeClock(monotonic_ns=3_000_000_000)
    statistics = RtStatisticsConsumer(clock)
    old = [{**row, "end_ns": row["end_ns"] + 900_000} for row in some_cycles(500)]
    statistics.on_batch(batch(cycle_records=cycles(old)))
    statistics.on_batch(batch(cycle_records=cycles(some_cycles(1000, 2_000_000_000))))
    figures = statistics.figures()
    assert figures.cycles == 1000
    assert figures.jitter_mean_us == pytest.approx(15)
    assert figures.jitter_max_us == pytest.approx(20)
    assert figures.cycle_time_mean_us == figures.cycle_time_max_us == pytest.approx(5)
    assert figures.window_s == pytest.approx(1, abs=0.01)


def test_a_wake_up_before_its_time_counts_as_negative() -> None:
    statistics = RtStatisticsConsumer(FakeClock())
    row = {"scheduled_ns": 1_000_000, "wake_ns": 999_000, "end_ns": 1_000_500}
    statistics.on_batch(batch(cycle_records=cycles([row])))
    assert statistics.figures().jitter_mean_us == pytest.approx(-1)


def test_warm_up_is_not_counted_and_misses_are() -> None:
    statistics = RtStatisticsConsumer(FakeClock())
    warm = some_cycles(10, flags=int(lib.MXRC_CYCLE_WARMUP))
    late = some_cycles(4, 20_000_000, flags=int(lib.MXRC_CYCLE_DEADLINE_MISS), skipped=2)
    statistics.on_batch(batch(cycle_records=cycles([*warm, *late])))
    figures = statistics.figures()
    assert figures.cycles == 4
    assert figures.misses == 12


def test_old_figures_are_not_shown() -> None:
    clock = FakeClock(monotonic_ns=1_000_000_000)
    statistics = RtStatisticsConsumer(clock)
    assert math.isnan(statistics.figures().jitter_mean_us)
    statistics.on_batch(batch(cycle_records=cycles(some_cycles(100, 900_000_000, axes=2))))
    assert len(statistics.figures().position) == 2
    clock.advance(STALE_NS)
    figures = statistics.figures()
    assert math.isnan(figures.jitter_mean_us)
    assert figures.position == ()
