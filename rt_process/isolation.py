"""Whether the configured isolation is in force, and what to do when it is not."""

from __future__ import annotations

from rt_process.reasons import Reason
from shared.config.machine import format_cpu_list
from shared.config.models.cpu_affinity import IsolationMode
from shared.kernel.isolation import Isolation


def isolation_reasons(
    mode: IsolationMode, cpus: tuple[int, ...], isolation: Isolation
) -> list[Reason]:
    """One per kind of isolation that `mode` asks for and that `cpus` do not have."""
    shown = format_cpu_list(frozenset(cpus))
    in_force = isolation.mode(cpus)
    reasons = []
    if mode in ("ISOLCPUS", "HYBRID") and not isolation.by_boot(cpus):
        reasons.append(
            Reason(
                f"CPU {shown} is not isolated (isolation in force: {in_force})",
                f"boot with isolcpus={shown} nohz_full={shown} rcu_nocbs={shown}, "
                "or set isolation_mode NONE",
            )
        )
    if mode in ("CGROUPS", "HYBRID") and not isolation.by_cpuset(cpus):
        reasons.append(
            Reason(
                f"CPU {shown} is not in a cpuset of this process that isolates it "
                f"({_why(cpus, isolation)}; isolation in force: {in_force})",
                "under systemd `mxrc systemd install`, by hand as root `mxrc cpuset create` and "
                "`mxrc cpuset exec`, or set isolation_mode NONE",
            )
        )
    return reasons


def _why(cpus: tuple[int, ...], isolation: Isolation) -> str:
    cpuset = isolation.cpuset
    if cpuset is None:
        return "this kernel has no cpusets"
    if not cpuset.isolates:
        return cpuset.why_not
    missing = frozenset(cpus) - cpuset.cpus
    return f"{cpuset.name} does not have CPU {format_cpu_list(missing)}"
