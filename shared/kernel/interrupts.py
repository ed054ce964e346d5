"""Interrupts that may be delivered to a CPU."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shared.kernel.files import KernelFiles


@dataclass(frozen=True, slots=True)
class Interrupt:
    """number: as in /proc/interrupts. name: of its first handler. cpus: where it is delivered."""

    number: int
    name: str
    cpus: frozenset[int]


def interrupts_on(files: KernelFiles, cpus: Iterable[int]) -> tuple[Interrupt, ...]:
    """Interrupts with a handler whose effective affinity holds one of `cpus`."""
    wanted = frozenset(cpus)
    found = []
    for text in files.names("/proc/irq"):
        if not text.isdigit():
            continue
        folder = f"/proc/irq/{text}"
        handlers = [one for one in files.names(folder) if files.path(f"{folder}/{one}").is_dir()]
        if not handlers:
            continue
        effective = files.cpus(f"{folder}/effective_affinity_list")
        affinity = effective or files.cpus(f"{folder}/smp_affinity_list")
        if affinity & wanted:
            found.append(Interrupt(int(text), handlers[0], affinity))
    return tuple(sorted(found, key=lambda one: one.number))
