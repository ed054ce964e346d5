"""`mxrc-rt`: validate, prepare, attach or create, start the RT thread, keep house until it ends."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from rt_process.housekeeping import (
    Housekeeping,
    SegmentBoard,
)
from rt_process.memory import LatencyRequest, lock_memory, no_core_dump
from rt_process.notify import system_notifier, watchdog_interval_ns
from shared.clock import SystemClock
from shared.core import MxrcError, lib, system_error
from shared.enums import NameKind, Role, RtState, name_of
from shared.names import Names
from shared.reasons import Reason
from shared.segment import (
    Segment,
    SegmentAbsent,
    SegmentBuilding,
    SegmentBusy,
    SegmentError,
    SegmentForeign,
    SegmentLockError,
)
from shared.signals import block_signals, wait_for_signal
from shared.startup import (
    EX_CONFIG,
    EX_FAILURE,
    EX_OK,
    EX_TEMPFAIL,
    Refused,
    add_options,
    complain,
    ensure_directory,
    load_configuration,
    quick_start,
    run_directory_mode,
)

if TYPE_CHECKING:
    from pathlib import Path

    from rt_process.executive import Executive
    from rt_process.numa_policy import MemoryPolicyInForce
    from rt_process.placement import Placement
    from rt_process.recovery import Recovery
    from rt_process.system import System
    from shared.config import Config
    from shared.config.machine import Machine

PROGRAM: Final = "mxrc-rt"
JOIN_S: Final = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 0 after STOP, 78: the configuration cannot work."""
    options = _parse(arguments)
    block_signals()
    no_core_dump()
    from shared.config import ConfigError

    try:
        return _run(options)
    except ConfigError as error:
        complain(PROGRAM, str(error))
        return EX_CONFIG
    except Refused as error:
        complain(PROGRAM, str(error))
        return error.status
    except (SegmentBuilding, SegmentBusy, SegmentLockError) as error:
        complain(PROGRAM, str(error))
        return EX_TEMPFAIL
    except SegmentError as error:
        complain(PROGRAM, str(error))
        return EX_CONFIG
    except MxrcError as error:
        from rt_process.executive import ExecutiveRefused

        complain(PROGRAM, str(error))
        return EX_CONFIG if isinstance(error, ExecutiveRefused) else EX_FAILURE


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Real-time process of mxrc: runs the control cycle."
    )
    add_options(parser)
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> int:
    with quick_start():
        started, system, machine, notes, reasons = _start(options)
    return _supervise(started, system, machine, notes, reasons)


def _start(
    options: argparse.Namespace,
) -> tuple[_Started, System, Machine, dict[str, Any], list[Reason]]:
    """Up to the running RT thread."""
    from rt_process.exec_config import located, make_exec_config, make_geometry
    from rt_process.executive import Executive, ExecutiveRefused
    from rt_process.memory_setup import place_segment, start_memory
    from rt_process.placement import plan
    from rt_process.plant import await_plant
    from rt_process.recovery import find_checkpoint
    from rt_process.system import LinuxSystem
    from shared.config import ConfigError
    from shared.config.machine import LinuxMachine

    config = load_configuration(options)
    system, machine = LinuxSystem(), LinuxMachine()
    placement = plan(config, system, machine)
    memory = start_memory(config, placement, machine)
    geometry = make_geometry(config)
    await_plant(config)
    run_dir = config.paths.run_dir
    ensure_directory(run_dir, "the lock file", run_directory_mode(run_dir))
    lock_path = run_dir / f"{config.instance_name}.lock"
    segment = Segment.open_rt(geometry, lock_path)
    if segment.damage:
        _say(f"replaced a segment in which nobody lived: {segment.damage.partition(';')[0]}")
    recovery, name = None, 0
    if segment.created:
        recovery = find_checkpoint(config, _say)
        name = _fill(segment, config, recovery)
    latency = LatencyRequest()
    try:
        try:
            executive = Executive(segment, make_exec_config(config, placement))
        except ExecutiveRefused as error:
            raise located(config, str(error)) or error from None
        if not segment.created and not executive.state_usable():
            recovery = find_checkpoint(config, _say)
            name = recovery.name_in(segment, lock_path) if recovery is not None else 0
        if recovery is not None and not executive.restore(recovery.to_c(name), _say):
            recovery = None
        memory = place_segment(segment, memory)
        reasons = [*placement.reasons, *memory.reasons]
        memory_report, memory_reason = lock_memory(segment)
        reasons += [memory_reason] if memory_reason else []
        _refuse_unlocked(config, memory_reason)
        board = SegmentBoard(segment)  # before others see a PRIMARY, and ask it something
        warning = executive.start()
        if warning:
            reasons.append(Reason(warning, "see the configuration in cpu_affinity.json"))
    except (MxrcError, ConfigError):
        if segment.created:
            segment.retire(lock_path)  # nothing has happened in it
        raise
    started = _Started(
        options, config, segment, lock_path, executive, placement, recovery, memory, board
    )
    notes = {"memory": memory_report, "cpu_dma_latency_held": latency.held}
    return started, system, machine, notes, reasons


def _refuse_unlocked(config: Config, reason: Reason | None) -> None:
    from shared.reasons import refuse_if_exclusive

    exclusive = config.cpu_affinity.rt_process.is_exclusive
    refuse_if_exclusive(exclusive, [reason] if reason else [], "memory")


def _fill(segment: Segment, config: Config, recovery: Recovery | None) -> int:
    """Make a created segment visible; returns the id of the checkpoint's name, 0 for none."""
    from rt_process.law import law_name
    from shared.control import fill_control
    from shared.datastore import fill_directory

    names = Names(segment)
    for law in (law_name(config), *(one.name for one in config.robot.task_laws)):
        names.intern(NameKind.LAW, law)
    for axis in config.robot.axes:
        names.intern(NameKind.AXIS, axis.name)
    for entry in config.rt_schedule.entries:
        names.intern(NameKind.ENTRY, entry.name)
    fill_directory(segment, config.datastore)
    fill_control(segment, config.logging, config.tracing_config)
    name = recovery.fill(segment, _say) if recovery is not None else 0
    lib.mxrc_clock_update(segment.raw)
    segment.publish()
    return name


def _say(line: str) -> None:
    complain(PROGRAM, line)


class _Started:
    """What belongs to a started RT thread."""

    def __init__(
        self,
        options: argparse.Namespace,
        config: Config,
        segment: Segment,
        lock_path: Path,
        executive: Executive,
        placement: Placement,
        recovery: Recovery | None,
        memory: MemoryPolicyInForce,
        board: SegmentBoard,
    ) -> None:
        self.board = board
        self.options = options
        self.config = config
        self.segment = segment
        self.lock_path = lock_path
        self.executive = executive
        self.placement = placement
        self.recovery = recovery
        self.memory = memory


def _supervise(
    started: _Started,
    system: Any,
    machine: Any,
    notes: dict[str, Any],
    reasons: list[Reason],
) -> int:
    from rt_process.exec_config import make_exec_config
    from rt_process.memory_setup import bind_segment, change_memory, make_upkeep
    from rt_process.nonrt_watch import NonRtWatch, SegmentNonRt
    from rt_process.placement import move_thread
    from rt_process.reload import Reloader
    from shared.config import ConfigError, ConfigStore
    from shared.config.overrides import overrides_path, read_overrides

    segment, executive, board = started.segment, started.executive, started.board
    member = segment.member_struct(segment.member)
    planned = (*started.placement.reasons, *started.memory.reasons)
    fixed = [reason for reason in reasons if reason not in planned]
    store = ConfigStore(started.config)

    def memory_changed() -> None:
        upkeep.migrate()

    def take_segment() -> None:
        """As PRIMARY: what was the former one's to place. It works on where that fails."""
        reloader.memory = bind_segment(segment, reloader.memory)
        upkeep.migrate()

    reloader = Reloader(
        store,
        started.placement,
        started.memory,
        executive,
        system,
        machine,
        thread=lambda: int(member.tid),
        load=lambda: load_configuration(started.options),
        log=board.log,
        set_memory=lambda config, placed: change_memory(config, placed, machine, segment, board),
        memory_changed=memory_changed,
    )
    upkeep = make_upkeep(reloader, segment, system, machine, board, _say)
    if board.is_primary() and not segment.created:
        take_segment()  # the former one may have lived when this process looked

    def document() -> dict[str, Any]:
        in_force = [
            *reloader.placement.reasons,
            *reloader.memory.reasons,
            *upkeep.reasons,
            *fixed,
        ]
        placement = reloader.placement.document() | notes
        placement["in_force"] |= upkeep.document()
        placement["configured"] |= reloader.memory.configured
        return {
            "pid": os.getpid(),
            "role": name_of(Role, member.role),
            "placement": placement,
            "degraded": [reason.what for reason in in_force],
            "placement_fix": [reason.fix for reason in in_force],
            "config": {
                "directory": str(started.config.directory),
                "instance": started.config.instance_name,
                "period_us": started.config.rt_schedule.period_us,
                "axes": [
                    {"name": axis.name, "unit": axis.unit} for axis in started.config.robot.axes
                ],
            },
        }

    nonrt_watch = NonRtWatch(
        lambda: store.current.failover_policy.non_rt_process,
        SegmentNonRt(segment),
        board.log,
        _say,
    )

    def promoted() -> None:
        """From now on where the configuration wants the PRIMARY, not where it stood by."""
        with contextlib.suppress(OSError):
            move_thread(reloader.placement, int(member.tid), system)
        take_segment()
        # What was changed over HTTP meanwhile was told to the PRIMARY of that time only.
        with contextlib.suppress(ConfigError):
            overrides = overrides_path(store.current.paths.data_dir, store.current.instance_name)
            reloader.change(read_overrides(overrides), str(overrides))
        _say(f"became PRIMARY with epoch {segment.epoch()}")

    keeper = Housekeeping(
        executive,
        board,
        SystemClock(),
        system_notifier(),
        document=document,
        reload=reloader.reload,
        next_signal=wait_for_signal,
        say=_say,
        on_ready=lambda: _announce(started, board, reasons),
        on_promotion=promoted,
        watch=nonrt_watch.turn,
        change=lambda settings: reloader.change(settings, "request"),
        upkeep=upkeep.turn,
        watchdog_ns=watchdog_interval_ns(),
    )
    keeper.publish()
    while True:
        if not keeper.run():
            if keeper.stepping_down:
                _leave(EX_TEMPFAIL)
            complain(PROGRAM, "the RT thread did not stop in time: leaving the segment as it is")
            _leave(EX_FAILURE)
        if keeper.stopping or executive.result() != errno.EAGAIN or not executive.join(JOIN_S):
            return _finish(started)
        _say("handed over: STANDBY from now on")
        executive.renew(make_exec_config(store.current, reloader.placement))


def _announce(started: _Started, board: SegmentBoard, reasons: list[Reason]) -> None:
    from rt_process.recovery import came_from

    placement, config = started.placement, started.config
    for reason in reasons:
        complain(PROGRAM, f"DEGRADED: {reason}")
    if reasons:
        board.log("PLACEMENT_DEGRADED", len(reasons))
    board.log("MAIN_READY", placement.cpus[0], placement.policy_number, placement.priority)
    origin = came_from(started.segment, started.recovery)
    if origin:
        complain(PROGRAM, origin)
    instance = f"instance {config.instance_name}, period {config.rt_schedule.period_us} us"
    member = started.segment.member_struct(started.segment.member)
    if member.role == Role.STANDBY:
        complain(PROGRAM, f"ready: STANDBY of {instance}, CPU {member.cpu}")
        return
    cpus = ",".join(map(str, placement.cpus))
    complain(PROGRAM, f"ready: {instance}, CPU {cpus}, {placement.policy} {placement.priority}")


def _finish(started: _Started) -> int:
    """The RT thread has ended by itself."""
    from rt_process.stop_record import record_stop

    executive, segment = started.executive, started.segment
    if not executive.join(JOIN_S):
        complain(PROGRAM, "the RT thread cannot be joined: leaving the segment as it is")
        _leave(EX_FAILURE)
    result, reason = executive.result(), executive.reason()
    executive.free()
    if result == errno.ESTALE:
        complain(PROGRAM, "fenced off: another RT process took over while this one stood still")
        return EX_FAILURE
    if result not in (0, errno.EAGAIN):
        complain(PROGRAM, f"the RT thread ended by itself: {reason or system_error(result)}")
        return EX_FAILURE  # the segment stays, for the successor and for post-mortem reading
    if segment.rt_status.state == RtState.SHUTDOWN and record_stop(started.config, segment, _say):
        _retire(started)
    complain(PROGRAM, "stopped")
    return EX_OK


def _retire(started: _Started) -> None:
    """The machine is stopped: the last RT process removes the segment."""
    try:
        started.segment.retire(started.lock_path)
    except SegmentBusy:
        pass  # another one is still attached
    except (SegmentAbsent, SegmentForeign) as error:
        complain(PROGRAM, str(error))


def _leave(status: int) -> None:
    """End at once: the RT thread still works in the segment, nothing may be unmapped under it."""
    time.sleep(0.05)
    os._exit(status)
