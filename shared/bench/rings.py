"""Publishing into a ring, reading it in batches, and the way from one process to another."""

from __future__ import annotations

import math
import mmap
import time
from contextlib import ExitStack
from functools import cache, partial
from typing import Any, Final

import numpy as np

from shared.bench.arena import RECORD_BYTES, Arena, arena, beside, cpus, pinned
from shared.bench.figures import Figure, median, percentile
from shared.core import ffi, lib, now_ns
from shared.enums import RegionId
from shared.ring import RingReader

SLOTS: Final = 16384
"""Of a ring by default: instance.json."""
BATCH: Final = 4096
PACE_NS: Final = 20_000
PAGE_SLOTS: Final = int(lib.MXRC_PAGE_BYTES) // RECORD_BYTES
BURST: Final = 100


def _numbers(count: int) -> tuple[Any, Any]:
    """An array of uint64 and the uint64_t * to it."""
    array = np.zeros(count, dtype=np.uint64)
    return array, ffi.from_buffer("uint64_t[]", array, require_writable=True)


def publish(rounds: int = 25, slots: int = SLOTS, count: int = 65536) -> list[Figure]:
    """Records back to back, in turns with memcpy of a record into the same slots."""
    ours, theirs = [], []
    with arena(slots) as place, pinned(_here()):
        lib.mxrc_bench_publish(place.first, 2 * slots)  # every page is there
        for _ in range(rounds):
            ours.append(lib.mxrc_bench_publish(place.first, count) / count)
            theirs.append(lib.mxrc_bench_memcpy(place.first, count) / count)
    ratio = median(np.array(ours) / np.array(theirs))
    tail = "" if slots == SLOTS else f", {slots} slots"
    key = "" if slots == SLOTS else f".{slots}"
    return [
        Figure(f"publish{key}", f"publish a record{tail}", median(ours), "ns"),
        Figure(f"memcpy{key}", f"memcpy of a record{tail}", median(theirs), "ns"),
        Figure(f"publish_ratio{key}", f"publish / memcpy{tail}", ratio, "", 1.6),
    ]


def paced(count: int = 10_000, rounds: int = 5) -> list[Figure]:
    """A record every 20 us, in turns with a memcpy of one; reading the clock is in the time.

    Every 16th record is the last before a page: publishing it fetches the next page's first line,
    and with it its address translation. That is told apart in `paced_p99_in_page`.
    """
    ours: list[tuple[int, Any]] = []
    theirs: list[tuple[int, Any]] = []
    with arena(SLOTS) as place, pinned(_here()):
        lib.mxrc_bench_publish(place.first, 2 * SLOTS)
        for _ in range(rounds):
            first = int(place.first.header.head)
            for publishes, kept in ((1, ours), (0, theirs)):
                values, target = _numbers(count)
                lib.mxrc_bench_paced(place.first, count, PACE_NS, 0, publishes, target)
                kept.append((first, values))
    # Slots begin one slot after the start of a page: the ring's header is as long as a slot.
    inside = [values[(first + np.arange(count)) % PAGE_SLOTS != PAGE_SLOTS - 2]
              for first, values in ours]  # fmt: skip
    p50 = median([median(values) for _, values in ours])
    p99 = median([percentile(values, 99) for _, values in ours])
    return [
        Figure("paced_p50", "paced publish p50", p50, "ns"),
        Figure("paced_p99", "paced publish p99", p99, "ns"),
        Figure("paced_ratio", "paced publish p99 / p50", p99 / p50, "", 3.0),
        Figure(
            "paced_p99_in_page",
            "paced publish p99, but for the last of a page",
            median([percentile(values, 99) for values in inside]),
            "ns",
        ),
        Figure(
            "paced_memcpy_p50",
            "paced memcpy p50",
            median([median(values) for _, values in theirs]),
            "ns",
        ),
        Figure(
            "paced_memcpy_p99",
            "paced memcpy p99",
            median([percentile(values, 99) for _, values in theirs]),
            "ns",
        ),
    ]


def batch_read(rounds: int = 40) -> list[Figure]:
    """A full ring read in batches of 4096: the C reader, and RingReader in turns with it."""
    c_ns, python_ns = [], []
    with arena(SLOTS) as place, pinned(_here()):
        lib.mxrc_bench_publish(place.first, 2 * SLOTS)
        out = ffi.new("uint8_t[]", BATCH * RECORD_BYTES)
        records = ffi.new("uint64_t *")
        reader = RingReader(place.segment, RegionId.CYCLE_RING)
        for _ in range(rounds):
            ns = lib.mxrc_bench_read(place.first, 1, BATCH, out, records)
            c_ns.append(ns / records[0])
            start = now_ns()
            reader.cursor = reader.head - SLOTS + 1
            got = 0
            while batch := len(reader.read(BATCH).records):
                got += batch
            python_ns.append((now_ns() - start) / got)
    ratio = median(np.array(python_ns) / np.array(c_ns))
    return [
        Figure("read_c", "batch read in C, per record", median(c_ns), "ns"),
        Figure("read_python", "batch read into numpy, per record", median(python_ns), "ns"),
        Figure("read_ratio", "batch read numpy / C", ratio, "", 1.3),
    ]


def latency(rounds: int = 15, trips: int = 20) -> list[Figure]:
    """One way between processes on two CPUs: half a round trip, of a word and of a record.

    Needs two CPUs: empty without them.
    """
    if _both() is None:
        return []
    words, rings = [], []
    with arena(SLOTS) as place, pinned(_here()):
        for _ in range(rounds):  # in turns
            words.append(_word_trip(trips) / 2)
            rings.append(_ring_trip(place, trips) / 2)
    ratio = median(np.array(rings) / np.array(words))
    return [
        Figure("word", "a word from process to process", median(words), "ns"),
        Figure("record", "a record from process to process, C to C", median(rings), "ns"),
        Figure("latency_ratio", "record / word", ratio, "", 1.3),
    ]


def _word_trip(trips: int) -> float:
    shared = mmap.mmap(-1, mmap.PAGESIZE)
    base = ffi.cast("uint64_t *", ffi.from_buffer(shared))
    values, target = _numbers(trips)

    def serve() -> None:
        lib.mxrc_bench_word_trips(base + 16, base, 1, trips, BURST, target)

    with beside(serve, _there()):
        failed = lib.mxrc_bench_word_trips(base, base + 16, 0, trips, BURST, target)
    return float("nan") if failed else median(values)


def _ring_trip(place: Arena, trips: int) -> float:
    values, target = _numbers(trips)
    first, second = place.first, place.second
    asked, answered = int(first.header.head), int(second.header.head)

    def serve() -> None:
        lib.mxrc_bench_ring_trips(second, first, asked, 1, trips, BURST, target)

    with beside(serve, _there()):
        failed = lib.mxrc_bench_ring_trips(first, second, answered, 0, trips, BURST, target)
    return float("nan") if failed else median(values)


def one_way(count: int = 10_000) -> list[Figure]:
    """A record every 20 us from C in another process, received here: by C, then into numpy.

    From the reading of the clock before the record is published to the one after it was copied.
    """
    if _both() is None:
        return []
    figures = []
    with arena(SLOTS) as place, pinned(_here()):
        for key, title, receive in (
            ("c", "C to C", _receive_c),
            ("python", "C to Python", _receive_python),
        ):
            ready = mmap.mmap(-1, mmap.PAGESIZE)
            _, target = _numbers(2 * count)

            def send(ready: mmap.mmap = ready, target: Any = target) -> None:
                _wait_for(ready)
                lib.mxrc_bench_paced(place.first, 2 * count, PACE_NS, 0, 1, target)

            with beside(send, _there()):
                values = receive(place, count, ready)
            figures += [
                Figure(f"one_way_{key}_p50", f"one way {title}, p50", median(values), "ns"),
                Figure(f"one_way_{key}_p99", f"one way {title}, p99", percentile(values, 99), "ns"),
            ]
    return figures


def _receive_c(place: Arena, count: int, ready: mmap.mmap) -> Any:
    values, target = _numbers(count)
    ready[0] = 1
    failed = lib.mxrc_bench_receive(place.first, count, target)
    return values[:0] if failed else values


def _receive_python(place: Arena, count: int, ready: mmap.mmap) -> Any:
    reader = RingReader(place.segment, RegionId.CYCLE_RING)
    reader.cursor = reader.head
    values: list[int] = []
    ready[0] = 1
    give_up = now_ns() + 5_000_000_000
    while len(values) < count and now_ns() < give_up:
        if reader.head == reader.cursor:
            continue
        records = reader.read(16).records
        values += (now_ns() - records["scheduled_ns"].astype(np.int64)).tolist()
    return values


def with_readers(readers: int, seconds: float = 1.0, count: int = 16384) -> list[Figure]:
    """Publishing while so many C readers spin on the ring; they share the other CPU.

    NaN when one of them has read nothing meanwhile: then they were not there.
    """
    costs = []
    counters = mmap.mmap(-1, mmap.PAGESIZE)
    read = np.frombuffer(counters, dtype=np.uint64)
    with arena(SLOTS) as place, pinned(_here()), ExitStack() as stack:
        lib.mxrc_bench_publish(place.first, 2 * SLOTS)
        for index in range(readers):
            stack.enter_context(beside(partial(_spin, place, read, index), _there(), urgent=False))
        before = read.copy()
        end = now_ns() + round(seconds * 1e9)
        while now_ns() < end:
            costs.append(lib.mxrc_bench_publish(place.first, count) / count)
            time.sleep(0.0005)  # as a real-time thread must not take the CPU for itself
        all_read = bool((read[:readers] > before[:readers]).all())
        share = int(read[:readers].sum()) / (len(costs) * count)
    title = f"publish, {readers} readers"
    return [
        Figure(f"publish_readers.{readers}", title, median(costs) if all_read else math.nan, "ns"),
        Figure(f"readers_read.{readers}", f"{title}: read by them", 100 * share, "% of records"),
    ]


def _spin(place: Arena, read: Any, index: int) -> None:
    _, target = _numbers(64)
    while True:
        if lib.mxrc_bench_receive(place.first, 64, target) == 0:
            read[index] += 64


def _wait_for(ready: mmap.mmap) -> None:
    while ready[0] == 0:
        time.sleep(0.0005)


@cache
def _both() -> tuple[int, int] | None:
    """Looked up once: a pinned thread sees its own CPU only."""
    return cpus()


def _here() -> int | None:
    both = _both()
    return None if both is None else both[0]


def _there() -> int | None:
    both = _both()
    return None if both is None else both[1]
