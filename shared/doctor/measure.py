"""How late this machine wakes the RT thread, and which periods it can hold."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.core import ffi, lib, system_error
from shared.doctor.finding import Finding, Group, Subject

_GROUP = Group("measured")
_POLICIES = {"SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_DEADLINE": 1}
PERIODS_US = (100, 125, 200, 250, 500, 1000, 2000, 4000, 5000, 10_000, 20_000, 50_000, 100_000)
_CHUNK_S = 0.25
STUCK_S = 10.0
"""Without a chunk for so long it does not run at all."""


@dataclass(frozen=True, slots=True)
class Wakeups:
    """late_us: of each slot. cpu: where. policy: under which; trouble: what could not be had."""

    late_us: npt.NDArray[np.float64]
    cpu: int
    policy: str
    trouble: str = ""

    def miss_rate(self, period_us: float, work_us: float, deadline_percent: float) -> float:
        """Share of slots that would have passed a deadline."""
        deadline = period_us * deadline_percent / 100
        return float(np.mean(self.late_us + work_us > deadline))


def measure(subject: Subject, seconds: float) -> Wakeups:
    """Sleep on the configured grid, CPU and policy for so long, in a thread of its own.

    Where the RT thread runs, one priority below it, so that it is not disturbed. Beside a thread
    that never sleeps it does not run at all: then there are no wake-ups, and `trouble` says so.
    """
    affinity = subject.config.cpu_affinity.rt_process
    period_us = subject.config.rt_schedule.period_us
    cpu = min(subject.cpus)
    priority = affinity.priority or 1
    if subject.instance:
        priority = max(1, priority - 1)
    policy = affinity.policy if affinity.policy != "SCHED_DEADLINE" else "SCHED_FIFO"
    if subject.instance and subject.config.rt_schedule.wait.mode == "busy":
        busy = f"the RT thread waits busily on CPU {cpu}: nothing else runs there"
        return Wakeups(np.zeros(0), cpu, policy, busy)
    parts: list[npt.NDArray[np.uint32]] = []
    go, stop, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        go.wait()
        _loop(period_us, seconds, stop, parts)
        done.set()

    # It must not hold up the end of this process.
    thread = threading.Thread(target=work, name="wakeups", daemon=True)
    thread.start()
    troubles = []
    # Placed from here while it waits: once it is there it may never run again, and what it holds
    # then, such as the interpreter's lock, is lost.
    try:
        os.sched_setaffinity(thread.native_id or 0, {cpu})
    except OSError as error:
        troubles.append(f"not on CPU {cpu}: {error.strerror}")
    error_number = lib.mxrc_sched_set(thread.native_id or 0, _POLICIES[policy], priority, 0, 0, 0)
    if error_number:
        troubles.append(f"without {policy} {priority}: {system_error(error_number)}")
    try:
        with _latency_request():
            go.set()
            if not _progress(done, parts):
                troubles.append(f"the loop does not run on CPU {cpu}: a thread there never sleeps")
    finally:  # Ctrl-C as well
        stop.set()
        done.wait(2 * _CHUNK_S)
    named = policy if policy == "SCHED_OTHER" or error_number else f"{policy} {priority}"
    shown = "SCHED_OTHER" if error_number else named
    late = np.concatenate(parts).astype(np.float64) if done.is_set() and parts else np.zeros(0)
    return Wakeups(late / 1000, cpu, shown, "; ".join(troubles))


def _loop(
    period_us: int, seconds: float, stop: threading.Event, parts: list[npt.NDArray[np.uint32]]
) -> None:
    """In chunks, so that Ctrl-C is heard; the grid begins anew in each."""
    chunk = max(1, round(_CHUNK_S * 1e6 / period_us))
    for _ in range(max(1, round(seconds / _CHUNK_S))):
        if stop.is_set():
            break
        late = np.zeros(chunk, dtype=np.uint32)
        lib.mxrc_wakeup_measure(period_us * 1000, chunk, ffi.from_buffer("uint32_t[]", late))
        parts.append(late)


def _progress(done: threading.Event, parts: list[npt.NDArray[np.uint32]]) -> bool:
    """Waits for the end; False: no chunk came for a long time."""
    count = -1
    while count != len(parts):
        count = len(parts)
        if done.wait(STUCK_S):
            return True
    return False


@contextlib.contextmanager
def _latency_request() -> Iterator[None]:
    """As the RT process does it: idle CPUs wake at once, where that may be asked for."""
    try:
        device = os.open("/dev/cpu_dma_latency", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        with contextlib.suppress(OSError):
            os.write(device, (0).to_bytes(4, "little"))
        yield
    finally:
        os.close(device)


def declared_work_us(subject: Subject) -> float:
    """Sum of the declared worst cases: as if all entries met in one slot."""
    return sum(entry.wcet_us for entry in subject.config.rt_schedule.entries)


def judge(subject: Subject, wakeups: Wakeups) -> list[Finding]:
    """Quantiles, the shortest period that holds, and the verdict on the configured one."""
    schedule = subject.config.rt_schedule
    policy = subject.config.failover_policy.rt_process
    late, work = wakeups.late_us, declared_work_us(subject)
    count = len(late)
    if not count:
        fix = "stop the instance, or `mxrc shm top` for its own wake-ups"
        return [_GROUP.warn("wake-up", f"not measured: {wakeups.trouble}", fix)]
    p50, p99, p999 = (float(np.quantile(late, q)) for q in (0.5, 0.99, 0.999))
    findings = [
        _GROUP.ok(
            "wake-up",
            f"{count} wake-ups on CPU {wakeups.cpu} with {wakeups.policy}: p50 {p50:.1f} us, "
            f"p99 {p99:.1f}, p99.9 {p999:.1f}, largest {float(late.max()):.1f}",
        )
    ]
    if wakeups.trouble:
        findings.append(
            _GROUP.warn("conditions", f"not measured as configured: {wakeups.trouble}", "as root")
        )
    rates = {
        period: wakeups.miss_rate(period, work, schedule.deadline_percent) for period in PERIODS_US
    }
    held = next((one for one in PERIODS_US if rates[one] <= policy.degraded_miss_rate), None)
    limit = f"{policy.degraded_miss_rate:.4%}"
    if held is None:
        what = f"no period up to 100 ms holds a miss rate of {limit}"
        findings.append(_GROUP.bad("period", what, "mend what is said above"))
    else:
        findings.append(
            _GROUP.ok("period", f"can hold {held} us: {_rate(rates[held], count)} (limit {limit})")
        )
    rate = wakeups.miss_rate(schedule.period_us, work, schedule.deadline_percent)
    line = f"configured {schedule.period_us} us: {_rate(rate, count)}"
    fix = f"lengthen period_us (holds {held} us), or mend what is said above"
    if rate > policy.unhealthy_miss_rate:
        findings.append(_GROUP.bad("configured period", line, fix))
    elif rate > policy.degraded_miss_rate:
        findings.append(_GROUP.warn("configured period", line, fix))
    else:
        findings.append(_GROUP.ok("configured period", line))
    return findings


def _rate(rate: float, count: int) -> str:
    if rate:
        return f"miss rate {rate:.4%} ({round(rate * count)} of {count})"
    # Rule of three: 95 % confidence when nothing was seen.
    return f"miss rate 0 of {count}, so below {3 / count:.4%} (95 % confidence)"
