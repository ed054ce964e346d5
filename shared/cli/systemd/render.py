"""From the templates in systemd/ and the configuration to files for the system.

A template has `@NAME@` where a value goes; a line that is nothing but a name vanishes with an empty
value.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.config.machine import Machine, format_cpu_list, rt_cpus
from shared.resources import resource_path
from shared.version import package_version

if TYPE_CHECKING:
    from shared.config import Config
    from shared.config.models.failover_policy import FailoverPolicy
    from shared.config.models.numa_binding import NumaBinding

HEADER: Final = "Made by `mxrc systemd install`"
UNITS: Final = (
    "mxrc-rt.service",
    "mxrc-rt@.service",
    "mxrc-nonrt.service",
    "mxrc.target",
    "mxrc.slice",
    "mxrcrt.slice",
)
_PLACEHOLDER = re.compile(r"@([A-Z][A-Z_]*)@")
_NUMA_POLICIES: Final = {
    "LOCAL": "local",
    "PREFERRED": "preferred",
    "INTERLEAVE": "interleave",
    "BIND": "bind",
}
_MAX_PRIORITY: Final = 99
# Not mxrc-rt.slice: that would lie in mxrc.slice, and a partition lies in the root or in another.
_PARTITION: Final = "/sys/fs/cgroup/mxrcrt.slice/cpuset.cpus.partition"


@dataclass(frozen=True, slots=True)
class SystemFile:
    """path: from the root of the system."""

    path: Path
    text: str


def render(config: Config, machine: Machine, *, user: str, programs: Path) -> list[SystemFile]:
    """Every file that an installation consists of, but the configuration.

    programs: folder of the console scripts.
    """
    values = _values(config, machine, user, programs)
    values["RT_SERVICE"] = _fill(_template("rt-service.conf"), values).strip()
    places = {
        **{name: Path("/etc/systemd/system", name) for name in UNITS},
        "mxrc.sysusers": Path("/etc/sysusers.d/mxrc.conf"),
        "mxrc.tmpfiles": Path("/etc/tmpfiles.d/mxrc.conf"),
        "mxrc.udev": Path("/etc/udev/rules.d/70-mxrc.rules"),
    }
    return [SystemFile(path, _fill(_template(name), values)) for name, path in places.items()]


def _template(name: str) -> str:
    return resource_path(f"systemd/{name}").read_text(encoding="utf-8")


def _fill(template: str, values: Mapping[str, str]) -> str:
    lines = []
    for line in template.splitlines():
        alone = _PLACEHOLDER.fullmatch(line)
        if alone and not values[alone[1]]:
            continue
        lines.append(_PLACEHOLDER.sub(lambda match: values[match[1]], line))
    return "\n".join(lines) + "\n"


def _values(config: Config, machine: Machine, user: str, programs: Path) -> dict[str, str]:
    policy, numa, paths = config.failover_policy, config.numa_binding, config.paths
    affinity = config.cpu_affinity
    rt = frozenset(rt_cpus(affinity, machine))
    python_cpus = machine.online_cpus() - rt - machine.isolated_cpus()
    nonrt = affinity.non_rt_process.cpu_cores
    nonrt_cpus = python_cpus if nonrt == "auto" else frozenset(nonrt)
    return {
        "HEADER": f"{HEADER} (mxrc {package_version()}) from {config.directory}; "
        "changes belong into a drop-in (systemctl edit)",
        "MXRC_RT": str(programs / "mxrc-rt"),
        "MXRC_NONRT": str(programs / "mxrc-nonrt"),
        "CONFIG_DIR": str(config.directory),
        "USER": user,
        "RUN_DIR": str(paths.run_dir),
        "LOG_DIR": str(paths.log_dir),
        "CHECKPOINT_DIR": str(paths.checkpoint_dir),
        "DATA_DIR": str(paths.data_dir),
        "PROTECT_HOME": _protect_home(programs, config.directory),
        "RT_PRIORITY": str(_MAX_PRIORITY),
        "NO_NEW_CODE": "" if compiles_laws(config) else "MemoryDenyWriteExecute=yes",
        **_cpuset(affinity.rt_process.isolation_mode in ("CGROUPS", "HYBRID"), rt, python_cpus),
        "CPU_AFFINITY_NONRT": _affinity(nonrt_cpus),
        "NUMA": _numa(numa.rt_process),
        "NUMA_NONRT": _numa(numa.non_rt_process),
        **_supervision("", policy.rt_process),
        **_supervision("_NONRT", policy.non_rt_process),
    }


def compiles_laws(config: Config) -> bool:
    """Whether RT makes machine code at its start: for laws that numba compiles."""
    robot = config.robot
    return "numba" in (robot.law.type, *(law.type for law in robot.task_laws))


def _supervision(suffix: str, policy: FailoverPolicy) -> dict[str, str]:
    # systemd counts starts: the first one and as many restarts as the policy allows. Burst 0 would
    # mean no limit at all, which is why "no restart" is said another way.
    starts = policy.max_restart_count + 1
    patience_ms = policy.health_check_interval_ms * policy.failure_threshold
    return {
        f"START_LIMIT{suffix}": f"StartLimitIntervalSec={policy.restart_window_sec}\n"
        f"StartLimitBurst={starts}",
        f"RESTART{suffix}": "on-failure" if policy.max_restart_count else "no",
        f"RESTART_DELAY{suffix}": f"{policy.restart_delay_ms}ms",
        f"WATCHDOG{suffix}": f"{max(1000, patience_ms)}ms",
    }


def _cpuset(wanted: bool, rt: frozenset[int], python_cpus: frozenset[int]) -> dict[str, str]:
    """A slice of the RT processes' own that has their CPUs, made a partition before each start: by
    root ("+"), outside of the sandbox. Their Python threads are in it too: nothing of a process in
    a cpuset runs outside of it. Should it fail ("-"), RT says what is in force, and refuses if it
    has to be exclusive.
    """
    if not wanted:
        return {
            "RT_SLICE": "mxrc.slice",
            "RT_PARTITION": "",
            "RT_CPUS": "",
            "CPU_AFFINITY": _affinity(python_cpus),
        }
    command = f"echo isolated >{_PARTITION} || echo root >{_PARTITION}"
    return {
        "RT_SLICE": "mxrcrt.slice",
        "RT_PARTITION": f"ExecStartPre=-+/bin/sh -c '{command}'",
        "RT_CPUS": f"AllowedCPUs={format_cpu_list(rt)}",
        "CPU_AFFINITY": "",
    }


def _affinity(cpus: frozenset[int]) -> str:
    return f"CPUAffinity={format_cpu_list(cpus)}" if cpus else ""


def _numa(binding: NumaBinding) -> str:
    policy = f"NUMAPolicy={_NUMA_POLICIES[binding.memory_policy]}"
    if binding.memory_policy == "LOCAL":
        return policy
    mask = "all" if binding.memory_policy == "INTERLEAVE" else str(binding.numa_node)
    return f"{policy}\nNUMAMask={mask}"


def _protect_home(*needed: Path) -> str:
    """The sandbox hides the home folders, unless mxrc itself lives in one."""
    homes = (Path("/home"), Path("/root"), Path("/run/user"))
    places = (*needed, Path(sys.prefix), Path(sys.executable).resolve())
    inside = any(home in path.parents for path in places for home in homes)
    return "read-only" if inside else "yes"
