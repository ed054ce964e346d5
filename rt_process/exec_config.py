"""From the configuration to what the core takes: geometry and executive."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final

from rt_process.entries import entry_fields
from rt_process.law import find_law, find_task_laws, law_name, refused
from rt_process.placement import Placement
from shared.axes import axis_fields
from shared.config import Config, ConfigError
from shared.core import ffi, from_text, lib, to_text
from shared.datastore import cell_counts
from shared.enums import DriverKind, OverrunPolicy, WaitMode
from shared.segment import Geometry
from shared.version import package_version

STAGING_SLOTS: Final = 64
NAMES_RT: Final = 128
NAMES_NONRT: Final = 4096
COMMANDS_PER_CYCLE: Final = 8
TASK_LAW_NAME_BYTES: Final = 32

_WAIT_MODES: Final = {
    "sleep": WaitMode.SLEEP,
    "hybrid": WaitMode.HYBRID,
    "busy": WaitMode.BUSY,
}
_OVERRUN_POLICIES: Final = {
    "skip": OverrunPolicy.SKIP,
    "catch_up": OverrunPolicy.CATCH_UP,
    "rebase": OverrunPolicy.REBASE,
    "safe": OverrunPolicy.SAFE,
}
_DRIVERS: Final = {
    "simulated": DriverKind.SIMULATED,
    "process_image": DriverKind.PROCESS_IMAGE,
}

_CODE: Final = {"name", "run", "type", "path", "symbol"}


def shape_hash(config: Config) -> int:
    """64 bits over what a generation cannot change: axes, schedule entries, laws, data-store keys.

    A restart with another shape makes a new generation; limits of axes and defaults are not part.
    """
    shape = {
        "axes": [[axis.name, axis.unit] for axis in config.robot.axes],
        "entries": [[entry.name, entry.run] for entry in config.rt_schedule.entries],
        "values": [  # what cannot be loaded is refused here: there is no segment yet
            [entry["input"], entry["output"]] for entry in entry_fields(config)
        ],
        "law": law_name(config),
        "task_laws": [
            [law.name, to_text(found.name)]
            for law, found in zip(config.robot.task_laws, find_task_laws(config), strict=True)
        ],
        "keys": [
            [key.name, key.type, key.unit, key.writer, key.critical, key.min, key.max]
            for key in config.datastore.keys
        ],
    }
    text = json.dumps(shape, sort_keys=True).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")


def make_geometry(config: Config) -> Geometry:
    """Geometry of the segment that this configuration needs."""
    rt_cells, nonrt_cells = cell_counts(config.datastore)
    return Geometry(
        instance=config.instance_name,
        build=f"mxrc {package_version()}",
        config_hash=shape_hash(config),
        period_ns=config.rt_schedule.period_us * 1000,
        axis_count=len(config.robot.axes),
        max_members=config.instance.max_rt_processes,
        cycle_slots=config.instance.cycle_ring_slots,
        event_slots=config.instance.event_ring_slots,
        command_slots=config.instance.command_slots,
        staging_slots=STAGING_SLOTS,
        names_rt=NAMES_RT,
        names_nonrt=NAMES_NONRT,
        data_keys=max(1, len(config.datastore.keys)),
        data_rt_cells=max(1, rt_cells),
        data_nonrt_cells=max(1, nonrt_cells),
    )


def make_exec_config(config: Config, placement: Placement) -> Any:
    """A struct mxrc_exec_config *."""
    schedule = config.rt_schedule
    driver = config.robot.driver
    live = live_fields(config)
    result = ffi.new(
        "struct mxrc_exec_config *",
        {
            "period_ns": schedule.period_us * 1000,
            **live,
            "warmup_cycles": schedule.warmup_cycles,
            "auto_start": schedule.auto_start,
            "rusage": schedule.rusage,
            "ignore_state": not config.failover_policy.rt_process.enable_state_recovery,
            "standby": 1,
            "sched_policy": placement.policy_number,
            "priority": placement.priority,
            "dl_runtime_ns": placement.deadline_ns[0],
            "dl_deadline_ns": placement.deadline_ns[1],
            "dl_period_ns": placement.deadline_ns[2],
            "commands_per_cycle": COMMANDS_PER_CYCLE,
            "axis_count": len(config.robot.axes),
            "axis": [axis_fields(axis) for axis in config.robot.axes],
            "entry_count": len(schedule.entries),
            "driver": int(_DRIVERS[driver.type]),
            "entry": entry_fields(config),
            "simulated_time_constant_s": driver.time_constant_ms / 1000,
            "simulated_inertia": driver.inertia,
            "simulated_damping": driver.damping,
            "image_name": from_text(driver.name or "", int(lib.MXRC_TEXT_BYTES)),
            "image_timeout_ns": round(driver.input_timeout_ms * 1e6),
            "law": find_law(config),
            "law_parameter_count": len(config.robot.law.parameters),
            "law_parameters": config.robot.law.parameters,
            "task_law": [
                {"law": found, "name": from_text(law.name, TASK_LAW_NAME_BYTES)}
                for law, found in zip(config.robot.task_laws, find_task_laws(config), strict=True)
            ],
            "thread_name": from_text(config.cpu_affinity.rt_process.thread_name, 16),
        },
    )
    for mask, cpus in (
        (result.cpu_mask, placement.cpus),
        (result.standby_mask, placement.main_cpus),
    ):
        for cpu in cpus:
            mask[cpu // 64] |= 1 << (cpu % 64)
    return result


def live_fields(config: Config) -> dict[str, int]:
    """The fields that mxrc_exec_config and mxrc_exec_live have in common."""
    schedule = config.rt_schedule
    margin = schedule.wait.spin_margin_us
    return {
        "deadline_ns": schedule.period_us * 10 * schedule.deadline_percent,
        "spin_margin_ns": 0 if margin == "auto" else margin * 1000,
        "spin_margin_auto": int(margin == "auto"),
        "heartbeat_timeout_ns": schedule.heartbeat_timeout_ms * 1_000_000,
        "stall_timeout_ns": config.failover_policy.rt_process.stall_timeout_ms * 1_000_000,
        "overrun_policy": int(_OVERRUN_POLICIES[schedule.overrun_policy]),
        "safe_mode_resume": int(schedule.safe_mode_resume == "automatic"),
        "wait_mode": int(_WAIT_MODES[schedule.wait.mode]),
    }


def make_live(config: Config) -> Any:
    """A struct mxrc_exec_live *."""
    return ffi.new("struct mxrc_exec_live *", live_fields(config))


def located(config: Config, why: str) -> ConfigError | None:
    """Why the executive refused this configuration, with the place that is meant; None where the
    core's words name neither a schedule entry nor the control law.
    """
    for index, entry in enumerate(config.rt_schedule.entries):
        if re.match(rf"schedule entry {re.escape(entry.name)}\b", why):
            found = entry.model_dump(mode="json", include=_CODE, exclude_none=True)
            return refused(config, "rt_schedule", ("entries", index), json.dumps(found), why)
    if why.startswith("control law "):
        found = config.robot.law.model_dump(mode="json", include=_CODE, exclude_none=True)
        return refused(config, "robot", ("law",), json.dumps(found), why)
    return None
