"""numa_binding.json: memory placement of the two processes."""

from __future__ import annotations

from typing import Literal

from shared.config.base import ConfigFile, ConfigModel, setting
from shared.config.models.cpu_affinity import CpuNumber

MemoryPolicy = Literal["LOCAL", "PREFERRED", "INTERLEAVE", "BIND"]


class NumaBinding(ConfigModel):
    """Where the memory of one process comes from."""

    numa_node: int = setting(
        scope="live",
        ge=0,
        le=1023,
        meaning="NUMA node that memory is bound to or preferred from.",
        trouble=(
            "A node that does not exist is refused; `numactl --hardware` lists them. The RT "
            "process belongs on the node of its CPUs, or every access is remote."
        ),
    )
    memory_policy: MemoryPolicy = setting(
        "LOCAL",
        scope="live",
        meaning=(
            "LOCAL: node of the CPU in use; PREFERRED: numa_node first; BIND: numa_node only; "
            "INTERLEAVE: spread over all nodes."
        ),
        trouble="BIND on a full node fails allocations: free memory there, or use PREFERRED.",
    )
    strict_binding: bool = setting(
        True,
        scope="live",
        meaning="A policy that cannot be set stops the start.",
        trouble="Refused where libnuma or the right is missing: install libnuma1, or set false.",
    )
    migrate_pages: bool = setting(
        False,
        scope="live",
        meaning="Move pages that are allocated already; done outside RUNNING, in bounded batches.",
        trouble="Moving takes time in proportion to memory; it waits for PAUSED or a hand-over.",
    )
    cpu_cores_hint: tuple[CpuNumber, ...] = setting(
        (),
        scope="live",
        max_length=1024,
        meaning="CPUs that the process is meant to use, to be checked against numa_node.",
        trouble="A CPU of another node is refused; it does not pin, cpu_affinity.json does.",
    )


class NumaBindingConfig(ConfigFile):
    """Memory placement of the two processes."""

    rt_process: NumaBinding = setting(
        scope="live",
        meaning="The RT process, and the regions of the segment that it writes.",
        trouble="Has to be there.",
    )
    non_rt_process: NumaBinding = setting(
        scope="live", meaning="The Non-RT process.", trouble="Has to be there."
    )
