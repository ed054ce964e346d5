"""The pages of this process: where they are, and moving those that are elsewhere.

Once a second the main thread reads /proc/self/numa_maps; nobody else may. Moving is done in batches
of bounded size and never while the RT state is RUNNING: a page on its way stalls who touches it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from rt_process.numa_policy import MemoryPolicyInForce, move_pages_now
from shared.numa.maps import PageCounts, count_pages, parse_line

PAGE: Final = 4096
BATCH: Final = 512
LOCAL_MIN_PERCENT: Final = 95.0


class PageFiles:
    """numa_maps and maps of this process. segment: name of the shared-memory object."""

    def __init__(self, segment: str, process: Path = Path("/proc/self")) -> None:
        self._segment = segment
        self._process = process

    def count(self) -> PageCounts | None:
        """None where the kernel has no NUMA support."""
        try:
            text = (self._process / "numa_maps").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        return count_pages(text, self._segment)

    def addresses_off(self, node: int) -> Iterator[tuple[int, str]]:
        """Page by page the areas that count and have pages on another node, with their kind."""
        try:
            maps = (self._process / "maps").read_text(encoding="utf-8", errors="replace")
            lines = (self._process / "numa_maps").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        spans = (line.partition(" ")[0].split("-") for line in maps.splitlines())
        ends = {int(start, 16): int(end, 16) for start, end in spans}
        for line in lines.splitlines():
            area = parse_line(line, self._segment)
            if area is None or area.kind == "file" or not set(area.kb) - {node}:
                continue
            for address in range(area.address, ends.get(area.address, area.address), PAGE):
                yield address, area.kind


class Migration:
    """Moves pages to the target of a policy, a batch at a time. Used by the main thread."""

    def __init__(self, files: PageFiles, policy: MemoryPolicyInForce) -> None:
        self._policy = policy
        self._left: Iterator[tuple[int, str]] = iter(())
        if policy.target is not None and policy.numa is not None:
            self._left = files.addresses_off(policy.target)
        self.done = False
        self.moved = 0
        self.failed = 0

    def step(self) -> None:
        """One batch: at most BATCH pages are looked at."""
        batch = list(islice(self._left, BATCH))
        if not batch:
            self.done = True
            return
        for kind in ("anonymous", "segment"):
            addresses = [address for address, of in batch if of == kind]
            off = self._off_target(addresses)
            moved = move_pages_now(self._policy, off, shared=kind == "segment")
            self.moved += moved
            self.failed += len(off) - moved

    def _off_target(self, addresses: list[int]) -> list[int]:
        numa = self._policy.numa
        assert numa is not None
        try:
            nodes = numa.nodes_of(addresses)
        except OSError:
            return []
        return [
            address
            for address, node in zip(addresses, nodes, strict=True)
            if node >= 0 and node != self._policy.target
        ]

    def document(self) -> dict[str, Any]:
        """As JSON, for the member document."""
        return {"done": self.done, "moved_pages": self.moved, "failed_pages": self.failed}
