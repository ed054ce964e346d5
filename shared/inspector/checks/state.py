"""State blocks and the programs that they name: sequence words, CRCs, places of sections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from shared.core import ffi, lib
from shared.enums import RegionId
from shared.inspector.checks.finding import BAD, GOOD, NOTE, Finding
from shared.segment import Segment
from shared.state_block import read_state

_TRIES: Final = 64
_DATA_OFFSET: Final = int(ffi.offsetof("struct mxrc_state_block", "data"))
_EPOCH_OFFSET: Final = int(ffi.offsetof("struct mxrc_state_block", "epoch"))


def check_state(segment: Segment, alive: bool) -> Iterator[Finding]:
    """Findings on blocks A and B, and on the programs of tasks under way."""
    blocks = segment.pointer(RegionId.STATE, "struct mxrc_state_block *")
    verdicts = []
    for index, name in enumerate(("A", "B")):
        for finding in _block(blocks + index, f"state block {name}", index, alive):
            verdicts.append(finding.verdict)
            yield finding
    state = read_state(segment)
    if state is None:
        if int(segment.rt_status.cycles_run) > 1:
            yield Finding(
                "state", "newest block", BAD, "no whole state block: nothing to go on from"
            )
        return
    yield Finding("state", "newest block", GOOD, f"cycle {state['cycle']}, epoch {state['epoch']}")
    yield from _programs(segment, state)


def _block(shared: Any, place: str, index: int, alive: bool) -> Iterator[Finding]:
    block = _copy(shared)
    if block is None:
        word = int(shared.seq)
        if alive:
            yield Finding(place, "sequence word", NOTE, f"{word}: was written at every look")
        else:
            yield Finding(
                place, "sequence word", NOTE, f"{word}: its writer died in it; the other one counts"
            )
        return
    word = int(block.seq)
    if word == 0:
        yield Finding(place, "sequence word", GOOD, "never written")
        return
    if ((word - 2) // 2) % 2 != index:
        yield Finding(place, "sequence word", BAD, f"{word} belongs into the other block")
    used = int(block.bytes)
    if not _DATA_OFFSET <= used <= ffi.sizeof("struct mxrc_state_block"):
        yield Finding(place, "size", BAD, f"{used} bytes")
        return
    crc = int(block.crc)
    block.crc = 0
    start = ffi.cast("uint8_t *", block) + _EPOCH_OFFSET
    computed = int(lib.mxrc_crc32c(0, start, used - _EPOCH_OFFSET))
    if crc != computed:
        yield Finding(place, "CRC", BAD, f"0x{crc:08x}, computed 0x{computed:08x}")
        return
    yield Finding(place, "CRC", GOOD, f"0x{crc:08x} over {used} bytes, cycle {int(block.cycle)}")
    count = int(block.section_count)
    outside = count > lib.MXRC_STATE_SECTIONS or any(
        not _DATA_OFFSET <= section.offset <= used or section.offset + section.bytes > used
        for section in list(block.section)[:count]
    )
    if outside:
        yield Finding(place, "sections", BAD, "a section lies outside of the block")


def _copy(shared: Any) -> Any:
    """A copy under the sequence word (src/atomic.h, pattern 3), None when it was never still."""
    size = ffi.sizeof("struct mxrc_state_block")
    for _ in range(_TRIES):
        before = int(shared.seq)
        if before & 1:
            continue
        copy = ffi.new("struct mxrc_state_block *")
        ffi.memmove(copy, shared, size)
        if int(shared.seq) == before:
            copy.seq = before
            return copy
    return None


def _programs(segment: Segment, state: dict[str, Any]) -> Iterator[Finding]:
    slots = segment.pointer(RegionId.PROGRAMS, "struct mxrc_program_slot *")
    for task in state.get("tasks", ()):
        crcs = [int(slots[at].program.crc) for at in range(int(lib.MXRC_TASKS))]
        if task["program_crc"] not in crcs:
            yield Finding(
                "programs",
                "program",
                BAD,
                f"execution {task['execution_id']}: no program with CRC "
                f"0x{task['program_crc']:08x}",
            )
            continue
        at = crcs.index(task["program_crc"])
        computed = int(lib.mxrc_program_checksum(slots + at))
        good = computed == crcs[at]
        yield Finding(
            f"programs slot {at}",
            "CRC",
            GOOD if good else BAD,
            f"0x{crcs[at]:08x}" + ("" if good else f", computed 0x{computed:08x}"),
        )
