"""Latency of memory on the CPU's node and on another: pointers through pages bound to a node."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from shared.bench.figures import Figure, median
from shared.config.machine import parse_cpu_list
from shared.core import ffi, lib
from shared.numa.libnuma import LibNuma, Numa, NumaUnavailableError

LINE: Final = 64
PAGE: Final = 4096
BYTES: Final = 64 << 20
"""More than a last-level cache would be best; pages are those that any program gets (4 KiB)."""
HOPS: Final = 1 << 20
GOAL: Final = 0.7
"""SC-004: placed latency at most this share of the latency without placement."""
_NODES: Final = Path("/sys/devices/system/node")


@dataclass(frozen=True, slots=True)
class Latency:
    """ns: of one dependent load. placed: share of the pages that were where they were wanted."""

    cpu: int
    node: int
    ns: float
    placed: float


def nodes() -> dict[int, frozenset[int]]:
    """Online CPUs by node, isolated ones too, of the nodes that have some."""
    found = {
        int(folder.name[4:]): parse_cpu_list(
            (folder / "cpulist").read_text(encoding="ascii").strip()
        )
        for folder in _NODES.glob("node[0-9]*")
    }
    return {node: frozenset(cpus) for node, cpus in sorted(found.items()) if cpus}


def order(lines: int, seed: int = 7) -> Any:
    """A permutation of the lines that is one cycle: next[i] is the line after i, shape (lines,)."""
    walk = np.random.default_rng(seed).permutation(lines)
    following = np.empty(lines, dtype=np.uint64)
    following[walk] = np.roll(walk, -1)
    return following


def chase(numa: Numa, cpu: int, node: int, size: int, hops: int) -> Latency:
    """From `cpu` through `size` bytes bound to `node`. The thread's CPUs and policy stay.

    Raises:
        OSError: the kernel refuses the policy or the CPU.
    """
    cpus = os.sched_getaffinity(0)
    policy, policy_nodes = numa.policy()
    lines = size // LINE
    try:
        os.sched_setaffinity(0, {cpu})
        numa.set_policy("BIND", [node])
        with mmap.mmap(-1, size) as memory:
            view = np.frombuffer(memory, dtype=np.uint64).reshape(lines, LINE // 8)
            start = view.ctypes.data
            view[:, 0] = order(lines) * np.uint64(LINE) + np.uint64(start)
            pages = [start + offset for offset in range(0, size, PAGE)]
            placed = numa.nodes_of(pages)
            first = ffi.cast("const void *", start)
            lib.mxrc_bench_chase(first, hops // 8)
            ns = float(lib.mxrc_bench_chase(first, hops)) / hops
            del view
    finally:
        numa.set_policy(policy or "LOCAL", policy_nodes)
        os.sched_setaffinity(0, cpus)
    return Latency(cpu, node, ns, placed.count(node) / len(placed))


def latencies(
    size: int = BYTES, hops: int = HOPS, rounds: int = 5
) -> tuple[list[Figure], list[dict[str, Any]], list[str]]:
    """Every CPU node with every memory node, in turns: figures, all runs, what was not measured.

    With one node the local figure is all there is, and it says so.
    """
    try:
        numa = LibNuma()
    except NumaUnavailableError as error:
        return [], [], [str(error)]
    where = nodes()
    runs: list[dict[str, Any]] = []
    refused: dict[str, None] = {}
    for turn in range(rounds):
        for cpu_node, cpus in where.items():
            for node in where:
                try:
                    one = chase(numa, max(cpus), node, size, hops)
                except OSError as error:
                    said = error.strerror or str(error)
                    refused[f"CPU {max(cpus)} with memory of node {node}: {said}"] = None
                    continue
                runs.append(
                    {
                        "round": turn + 1,
                        "cpu": one.cpu,
                        "cpu_node": cpu_node,
                        "memory_node": node,
                        "ns": round(one.ns, 2),
                        "pages_there_percent": round(100 * one.placed, 1),
                    }
                )
    skipped = [] if len(where) > 1 else ["one NUMA node: no remote memory here"]
    return _figures(runs), runs, [*skipped, *refused]


def _figures(runs: list[dict[str, Any]]) -> list[Figure]:
    """Local, remote, and their ratio: what placement gains where memory lay on the other node."""
    local = [one["ns"] for one in runs if one["cpu_node"] == one["memory_node"]]
    remote = [one["ns"] for one in runs if one["cpu_node"] != one["memory_node"]]
    figures = (
        [Figure("numa_local", "latency of local memory", median(local), "ns")] if local else []
    )
    if not local or not remote:
        return figures
    apart = median(remote)
    figures.append(Figure("numa_remote", "latency of remote memory", apart, "ns"))
    ratio = figures[0].value / apart
    return [*figures, Figure("numa_ratio", "local / remote (SC-004)", ratio, "", GOAL)]
