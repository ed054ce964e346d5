"""Which spans made a trace last as long as it did.

From the end of the root backwards: the child that ended last was waited for, then what ended last
before that child began, and so on; what no child covers is the span's own time. After Zhang et al.,
CRISP: Critical Path Analysis of Large-Scale Microservice Architectures, USENIX ATC 2022, section 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Timed(NamedTuple):
    """A span. Times in ns of any one clock; parent empty: none."""

    span_id: bytes
    parent: bytes
    operation: str
    start_ns: int
    end_ns: int


def critical_path(spans: Iterable[Timed], root: Timed) -> list[tuple[Timed, int]]:
    """(span, own time on the path in ns), summing up to the duration of the root.

    A child outside its parent counts as far as it is inside; spans in a circle count once.
    """
    children: dict[bytes, list[Timed]] = {}
    for one in spans:
        if one.span_id != root.span_id:
            children.setdefault(one.parent, []).append(one)
    own: dict[bytes, int] = {}
    known = {root.span_id: root}
    waiting = [(root, root.start_ns, root.end_ns)]
    while waiting:
        span, start_ns, at_ns = waiting.pop()
        below = children.pop(span.span_id, [])
        for child in sorted(below, key=lambda one: one.end_ns, reverse=True):
            end_ns, begin_ns = min(child.end_ns, at_ns), max(child.start_ns, start_ns)
            if child.start_ns >= at_ns or end_ns <= begin_ns or child.span_id in known:
                continue
            own[span.span_id] = own.get(span.span_id, 0) + at_ns - end_ns
            known[child.span_id] = child
            waiting.append((child, begin_ns, end_ns))
            at_ns = begin_ns
        own[span.span_id] = own.get(span.span_id, 0) + max(0, at_ns - start_ns)
    return [(known[span_id], ns) for span_id, ns in own.items()]
