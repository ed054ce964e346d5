"""The running instance: what its RT process says about its own placement."""

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
    local = in_force.get("local_memory_percent")
    if local is not None:
        yield _GROUP.ok("memory", f"{local:g} % of its pages are on the RT thread's node")
    reasons = subject.instance.get("degraded") or []
    fixes = subject.instance.get("placement_fix") or []
    for index, what in enumerate(reasons):
        fix = fixes[index] if index < len(fixes) else ""
        yield _GROUP.warn("degraded", str(what), str(fix))
