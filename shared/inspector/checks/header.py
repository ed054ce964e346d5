"""Magic, layout, size, CRC and the region table, from the first two pages."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from shared.core import layout_hash, lib
from shared.enums import SegmentState
from shared.inspector.checks.finding import BAD, GOOD, NOTE, Finding, Verdict
from shared.inspector.objects import PAGE, SegmentObject
from shared.segment import Region


def check_object(found: SegmentObject) -> Iterator[Finding]:
    """Findings on the object and its header; "bad" ones forbid to look further."""
    if found.kind in ("unreadable", "foreign"):
        yield Finding("object", "magic", BAD, found.problem)
        return
    header = found.header
    if header is None:
        yield Finding("object", "header", BAD, found.problem or "there is no header")
        return
    shared = int(found.mode, 8) & 0o007
    yield Finding(
        "object",
        "permissions",
        BAD if shared & 0o002 else GOOD,
        f"mode {found.mode}, owner {found.owner}"
        + (": everybody may write it" if shared & 0o002 else ""),
    )
    yield Finding("header", "magic", GOOD, header.magic)
    yield _equal("header", "CRC", header.crc, header.crc_computed, "computed")
    yield _equal(
        "header",
        "layout version",
        str(header.layout_version),
        str(int(lib.MXRC_LAYOUT_VERSION)),
        "this mxrc has",
    )
    yield _equal(
        "header", "layout hash", header.layout_hash, f"0x{layout_hash():016x}", "this mxrc has"
    )
    yield _equal("header", "size", str(header.segment_bytes), str(found.bytes), "the object has")
    whole = header.state in (SegmentState.LIVE.name, SegmentState.RETIRED.name)
    yield Finding("header", "state", GOOD if whole else BAD, header.state)
    if not found.this_boot:
        yield Finding("header", "boot", NOTE, "made in an earlier boot of this machine")
    yield from _table(found)


def _equal(place: str, check: str, value: str, expected: str, who: str) -> Finding:
    verdict: Verdict = GOOD if value == expected else BAD
    return Finding(
        place, check, verdict, value if verdict == GOOD else f"{value}, {who} {expected}"
    )


def _table(found: SegmentObject) -> Iterator[Finding]:
    if found.header is not None and found.header.region_count != len(found.regions):
        yield Finding(
            "region table",
            "count",
            BAD,
            f"{found.header.region_count} regions, at most {int(lib.MXRC_REGIONS)} are possible",
        )
        return
    problems = [text for region in found.regions for text in _misplaced(region, found.bytes)]
    ordered = sorted(found.regions, key=lambda region: region.offset)
    problems += [
        f"{before.name} and {after.name} overlap"
        for before, after in itertools.pairwise(ordered)
        if before.offset + before.size > after.offset
    ]
    for text in problems:
        yield Finding("region table", "places", BAD, text)
    if not problems:
        yield Finding("region table", "places", GOOD, f"{len(found.regions)} regions")


def _misplaced(region: Region, size: int) -> Iterator[str]:
    if region.offset % PAGE or region.size % PAGE or not region.size:
        yield f"{region.name}: offset {region.offset}, {region.size} bytes are not whole pages"
    if region.offset + region.size > size:
        yield f"{region.name}: {region.offset} + {region.size} is beyond the object's {size} bytes"
    if region.element_bytes * region.element_count > region.size:
        yield f"{region.name}: its {region.element_count} elements do not fit"
