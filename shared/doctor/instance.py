"""The running instance: whether it holds its deadlines, what it says about its placement."""

from __future__ import annotations

from collections.abc import Iterable

from shared.doctor.finding import Finding, Group, Subject

_GROUP = Group("instance")


def checks(subject: Subject) -> Iterable[Finding]:
    """What is not as configured in the RT process that runs, in its own words."""
    name = subject.config.instance_name
    if not subject.instance:
        yield _GROUP.ok("running", f"instance {name} does not run: only the machine is judged")
        return
    in_force = subject.instance.get("placement", {}).get("in_force", {})
    cores = ",".join(map(str, in_force.get("cpu_cores", [])))
    yield _GROUP.ok(
        "running",
        f"instance {name}, pid {subject.rt_pid}: {in_force.get('policy')} "
        f"{in_force.get('priority')} on CPU {cores}, isolation {in_force.get('isolation_mode')}, "
        f"memory {in_force.get('memory_policy')}",
    )
    if subject.window_slots:
        yield _timing(subject)
    local = in_force.get("local_memory_percent")
    if local is not None:
        yield _GROUP.ok("memory", f"{local:g} % of its pages are on the RT thread's node")
    reasons = subject.instance.get("degraded") or []
    fixes = subject.instance.get("placement_fix") or []
    for index, what in enumerate(reasons):
        fix = fixes[index] if index < len(fixes) else ""
        yield _GROUP.warn("degraded", str(what), str(fix))


def _timing(subject: Subject) -> Finding:
    policy = subject.config.failover_policy.rt_process
    rate = subject.missed_slots / subject.window_slots
    what = f"{subject.missed_slots} of the last {subject.window_slots} deadlines missed"
    if rate <= policy.degraded_miss_rate:
        return _GROUP.ok("timing", what)
    fix = "`mxrc shm incidents show` says why cycles were late; mend what is said above"
    if rate <= policy.unhealthy_miss_rate:
        limit = f"degraded_miss_rate {policy.degraded_miss_rate:g}"
        return _GROUP.warn("timing", f"{what} ({rate:.2%}, {limit})", fix)
    limit = f"unhealthy_miss_rate {policy.unhealthy_miss_rate:g}"
    return _GROUP.bad("timing", f"{what} ({rate:.2%}, {limit})", fix)
