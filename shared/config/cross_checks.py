"""Rules between files, and between the files and the machine.

Each check yields faults by file stem (`tasks/<key>` for a task definition).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from shared.config.base import Fault
from shared.config.configuration import Config
from shared.config.errors import Loc
from shared.config.machine import Machine, format_cpu_list
from shared.config.models.actions import SetOutput
from shared.config.models.cpu_affinity import ThreadPlacement
from shared.config.models.datastore import DataStoreKey
from shared.config.models.tasks import TaskDefinition, Trigger
from shared.config.motion_checks import motion_faults

StemFault = tuple[str, Fault]
"""Stem of the file, fault in it."""

_PROCESSES = ("rt_process", "non_rt_process")


def task_stem(key: str) -> str:
    """Name of a task definition's file among the stems."""
    return f"tasks/{key}"


def file_faults(config: Config) -> Iterator[StemFault]:
    """Rules between files."""
    yield from _affinity_faults(config)
    for key, task in config.tasks.items():
        for fault in task_faults(config, task):
            yield task_stem(key), fault


def task_faults(config: Config, task: TaskDefinition) -> Iterator[Fault]:
    """What `config` has against a task definition: also for definitions that come by the API."""
    period_us = config.rt_schedule.period_us
    if task.period_ms is not None and task.period_ms * 1000 % period_us:
        needed_ms = math.lcm(period_us, 1000) // 1000
        yield Fault(
            ("period_ms",),
            f"must be a multiple of the cycle's period ({period_us} us)",
            f"use multiples of {needed_ms}",
        )
    keys = config.datastore.by_name
    if task.trigger is not None:
        yield from _trigger_faults(task.trigger, keys)
    for index, action in enumerate(task.sequence.actions):
        if isinstance(action, SetOutput):
            place = ("sequence", "actions", index, "parameters")
            for fault in _output_faults(action, keys):
                yield fault._replace(loc=place + fault.loc)
    yield from motion_faults(task.sequence, config.robot)


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


def _trigger_faults(trigger: Trigger, keys: dict[str, DataStoreKey]) -> Iterator[Fault]:
    key = keys.get(trigger.key)
    if key is None:
        yield Fault(("trigger", "key"), "must be a key of datastore.json", _known(keys))
    elif key.type not in ("bool", "int64", "double"):
        yield Fault(
            ("trigger", "key"), f"must be a key of type bool, int64 or double, not {key.type}"
        )
    elif key.type == "bool" and trigger.op not in ("==", "!="):
        yield Fault(("trigger", "op"), 'must be "==" or "!=" for a key of type bool')
    elif isinstance(trigger.value, bool) != (key.type == "bool") or (
        key.type == "int64" and isinstance(trigger.value, float)
    ):
        yield Fault(("trigger", "value"), f"must be of the key's type, {key.type}")


def _output_faults(action: SetOutput, keys: dict[str, DataStoreKey]) -> Iterator[Fault]:
    key = keys.get(action.parameters.key)
    if key is None:
        yield Fault(("key",), "must be a key of datastore.json", _known(keys))
    elif key.writer != "rt":
        yield Fault(("key",), "must be a key whose writer is rt", "tasks run on the RT side")
    elif reason := key.refusal(action.parameters.value):
        yield Fault(("value",), reason, f"{key.name} is of type {key.type}")


def _known(keys: dict[str, DataStoreKey]) -> str:
    return "known: " + (", ".join(sorted(keys)) or "none")


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
