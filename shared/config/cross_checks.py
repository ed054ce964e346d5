"""Rules between files, and between the files and the machine.

Each check yields faults by file stem (`tasks/<key>` for a task definition).
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.config.base import Fault
from shared.config.configuration import Config
from shared.config.errors import Loc
from shared.config.machine import Machine, format_cpu_list
from shared.config.models.cpu_affinity import ThreadPlacement
from shared.config.task_checks import task_faults, unknown_key

StemFault = tuple[str, Fault]
"""Stem of the file, fault in it."""

_PROCESSES = ("rt_process", "non_rt_process")


def task_stem(key: str) -> str:
    """Name of a task definition's file among the stems."""
    return f"tasks/{key}"


def file_faults(config: Config) -> Iterator[StemFault]:
    """Rules between files."""
    yield from _affinity_faults(config)
    yield from _entry_faults(config)
    period_us = config.rt_schedule.period_us
    for key, task in config.tasks.items():
        for fault in task_faults(task, config.robot, config.datastore.by_name, period_us):
            yield task_stem(key), fault


def _affinity_faults(config: Config) -> Iterator[StemFault]:
    rt, non_rt = config.cpu_affinity.rt_process, config.cpu_affinity.non_rt_process
    if rt.is_exclusive and rt.cpu_cores != "auto" and non_rt.cpu_cores != "auto":
        common = frozenset(rt.cpu_cores) & frozenset(non_rt.cpu_cores)
        if common:
            yield (
                "cpu_affinity",
                Fault(
                    ("non_rt_process", "cpu_cores"),
                    "must not name CPUs that rt_process has for itself: " + format_cpu_list(common),
                    "give it other CPUs, or set rt_process.is_exclusive false",
                ),
            )
    if rt.policy == "SCHED_DEADLINE" and config.rt_schedule.wait.mode != "sleep":
        yield (
            "rt_schedule",
            Fault(
                ("wait", "mode"),
                'must be "sleep" with SCHED_DEADLINE',
                "a deadline thread that spins uses its runtime up and is throttled; set sleep "
                "here or another policy in cpu_affinity.json",
            ),
        )


def _entry_faults(config: Config) -> Iterator[StemFault]:
    """Schedule entries read and write values of the data store."""
    keys = config.datastore.by_name
    for index, entry in enumerate(config.rt_schedule.entries):
        for field, names in (("inputs", entry.inputs), ("outputs", entry.outputs)):
            for at, name in enumerate(names):
                place = ("entries", index, field, at)
                key = keys.get(name)
                if key is None:
                    yield "rt_schedule", unknown_key(name, keys)._replace(loc=place)
                elif key.type != "double":
                    hint = f"{name} is of type {key.type}"
                    yield "rt_schedule", Fault(place, "must be a key of type double", hint)
                elif field == "outputs" and key.writer != "rt":
                    hint = "entries run on the RT side"
                    yield "rt_schedule", Fault(place, "must be a key whose writer is rt", hint)


def machine_faults(config: Config, machine: Machine) -> Iterator[StemFault]:
    """Rules between the files and the machine: CPUs and NUMA nodes have to exist."""
    online = machine.online_cpus()
    for process in _PROCESSES:
        affinity = getattr(config.cpu_affinity, process)
        placements: list[tuple[Loc, ThreadPlacement]] = [((process,), affinity)]
        placements += [
            ((process, "threads", index), thread) for index, thread in enumerate(affinity.threads)
        ]
        for place, placement in placements:
            if placement.cpu_cores == "auto":
                continue
            for index, cpu in enumerate(placement.cpu_cores):
                if cpu not in online:
                    loc = (*place, "cpu_cores", index)
                    allowed = "must be a CPU that exists and is online: " + format_cpu_list(online)
                    yield "cpu_affinity", Fault(loc, allowed, 'or use "auto"; see lscpu -e')
    nodes = machine.numa_nodes()
    for process in _PROCESSES:
        binding = getattr(config.numa_binding, process)
        if binding.numa_node not in nodes:
            allowed = "must be a NUMA node that exists: " + format_cpu_list(frozenset(nodes))
            yield (
                "numa_binding",
                Fault((process, "numa_node"), allowed, "see numactl --hardware"),
            )
            continue
        cpus = nodes[binding.numa_node]
        for index, cpu in enumerate(binding.cpu_cores_hint):
            if cpu not in cpus:
                allowed = f"must be a CPU of node {binding.numa_node}: {format_cpu_list(cpus)}"
                yield "numa_binding", Fault((process, "cpu_cores_hint", index), allowed)
