"""/proc/PID/numa_maps: on which node the pages of a process are (numa(7)).

Anonymous memory and the segment count for the local share; pages of other files (programs,
libraries) are shared with whoever runs them and are given apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

PAGE_KB = 4
_SHARED_MEMORY = "/dev/shm/"  # noqa: S108  a prefix to look for


@dataclass(frozen=True, slots=True)
class PageCounts:
    """KiB by node. anonymous: heaps, stacks. segment: of the shared-memory object. file: others."""

    anonymous: Mapping[int, int] = field(default_factory=dict)
    segment: Mapping[int, int] = field(default_factory=dict)
    file: Mapping[int, int] = field(default_factory=dict)

    def counted(self) -> dict[int, int]:
        """Anonymous memory and segment, KiB by node."""
        total = dict(self.anonymous)
        for node, size in self.segment.items():
            total[node] = total.get(node, 0) + size
        return total

    def local_percent(self, nodes: Iterable[int]) -> float | None:
        """Share of what counts that is on one of `nodes`; None when nothing counts."""
        counted = self.counted()
        total = sum(counted.values())
        if not total:
            return None
        return 100.0 * sum(counted.get(node, 0) for node in frozenset(nodes)) / total

    def document(self) -> dict[str, Any]:
        """As JSON, KiB by node."""
        parts = {"anonymous": self.anonymous, "segment": self.segment, "file": self.file}
        return {
            f"{name}_kb": {str(node): size for node, size in sorted(part.items())}
            for name, part in parts.items()
        }


@dataclass(frozen=True, slots=True)
class Area:
    """A line of numa_maps that has pages."""

    address: int
    policy: str
    kind: str
    kb: Mapping[int, int]


def parse_line(line: str, segment: str) -> Area | None:
    """A line; None without pages. segment: name of the shared-memory object, "" for none."""
    words = line.split()
    if len(words) < 3:
        return None
    page_kb, pages, path = PAGE_KB, {}, ""
    for word in words[2:]:
        name, _, value = word.partition("=")
        if name[:1] == "N" and name[1:].isdigit():
            pages[int(name[1:])] = int(value)
        elif name == "kernelpagesize_kB":
            page_kb = int(value)
        elif name == "file":
            path = value
    if not pages:
        return None
    if not path:
        kind = "anonymous"
    elif segment and path == f"{_SHARED_MEMORY}{segment.lstrip('/')}":
        kind = "segment"
    else:
        kind = "file"
    kb = {node: count * page_kb for node, count in pages.items()}
    return Area(int(words[0], 16), words[1], kind, kb)


def count_pages(text: str, segment: str = "") -> PageCounts:
    """The whole of numa_maps, summed up; raises ValueError when it is something else."""
    sums: dict[str, dict[int, int]] = {"anonymous": {}, "segment": {}, "file": {}}
    for line in text.splitlines():
        found = parse_line(line, segment)
        if found is not None:
            total = sums[found.kind]
            for node, size in found.kb.items():
                total[node] = total.get(node, 0) + size
    return PageCounts(**sums)


def counts_from_document(document: object) -> PageCounts | None:
    """What `PageCounts.document` gave; None when it is something else."""
    if not isinstance(document, dict):
        return None
    parts = {}
    for name in ("anonymous", "segment", "file"):
        part = document.get(f"{name}_kb")
        if not isinstance(part, dict):
            return None
        try:
            parts[name] = {int(node): int(size) for node, size in part.items()}
        except (TypeError, ValueError):
            return None
    return PageCounts(**parts)
