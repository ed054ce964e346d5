"""The pages of this process: where they are, and moving those that are elsewhere.

/proc/self/numa_maps is for the process itself; nobody else may read it. Moving is done in batches
of bounded size: a page on its way stalls who touches it. What RT works in is never moved while its
state is RUNNING.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

from shared.numa.libnuma import Numa
from shared.numa.maps import PageCounts, count_pages, parse_line

PAGE: Final = 4096
BATCH: Final = 512


class PageFiles:
    """numa_maps and maps of this process. segment: of the shared-memory object, "" for none."""

    def __init__(self, segment: str, process: Path = Path("/proc/self")) -> None:
        self._segment = segment
        self._process = process

    def without_segment(self) -> PageFiles:
        """The same, as if there were no segment."""
        return PageFiles("", self._process)

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
    """Moves pages to a node, a batch at a time; nothing without `numa` or `target`. One thread."""

    def __init__(self, files: PageFiles, numa: Numa | None, target: int | None) -> None:
        self._numa = numa
        self._target = target
        self._left: Iterator[tuple[int, str]] = iter(())
        if target is not None and numa is not None:
            self._left = files.addresses_off(target)
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
            moved = self._move(off, shared=kind == "segment")
            self.moved += moved
            self.failed += len(off) - moved

    def _off_target(self, addresses: list[int]) -> list[int]:
        assert self._numa is not None
        try:
            nodes = self._numa.nodes_of(addresses)
        except OSError:
            return []
        return [
            address
            for address, node in zip(addresses, nodes, strict=True)
            if node >= 0 and node != self._target
        ]

    def _move(self, addresses: list[int], *, shared: bool) -> int:
        """How many are there now."""
        if not addresses:
            return 0
        assert self._numa is not None
        assert self._target is not None
        moved: list[int] = []
        for everyone in (True, False) if shared else (False,):
            # Pages that others map too need CAP_SYS_NICE.
            with suppress(OSError):
                moved = self._numa.move(addresses, self._target, shared=everyone)
                break
        return sum(node == self._target for node in moved)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"done": self.done, "moved_pages": self.moved, "failed_pages": self.failed}
