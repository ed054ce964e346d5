"""rt.cycle spans, made from the cycle ring afterwards: RT spends nothing on them.

Sampled by rt_cycle_sampling_rate; missed cycles and the AROUND cycles before and after always.
Each is a trace of its own with a link to the action in progress. Ids follow from generation and
cycle, so that a cycle that is read again after a crash makes the same span.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from nonrt_process.traces import otlp
from nonrt_process.traces.rt_encoder import Encoded, Label
from nonrt_process.traces.template import (
    Bytes,
    Hole,
    Numbers,
    Part,
    Template,
    attribute,
    field,
    fixed64,
    groups,
    varint_widths,
    varints,
)
from shared.enums import CycleFlag, RtState, name_of
from shared.layout import Records
from shared.trace_context import FLAG_SAMPLED, sampling_threshold

NAME: Final = "rt.cycle"
MISSED: Final = "deadline missed"
AROUND: Final = 5
_VARINTS: Final = ("cycle", "slot", "jitter", "skipped")
_MISS: Final = int(CycleFlag.DEADLINE_MISS | CycleFlag.OVERRUN | CycleFlag.SKIPPED_BEFORE)


class CycleSelector:
    """Chooses the cycles that get a span, over batches."""

    def __init__(self, generation: int) -> None:
        self._generation = generation
        self._held: Records | None = None
        self._after = 0

    def choose(self, cycles: Records, rate: float) -> Records:
        """Those of the batch, and of the one before when a miss follows right behind it.

        cycles: (n,) in the order written. rate: 0..1, of the cycles that are like any other.
        """
        if not len(cycles):
            return cycles
        held = self._held
        before = 0 if held is None else len(held)
        both = cycles if held is None else np.concatenate([held, cycles])
        missed = np.flatnonzero(both["flags"][before:] & _MISS) + before
        wanted = np.zeros(len(both), bool)
        wanted[before:] = self._sampled(cycles, rate)
        wanted[before : before + self._after] = True
        for at in missed.tolist():
            wanted[max(0, at - AROUND) : at + AROUND + 1] = True
        # Of what is held only what was not given out before is left.
        self._after = max(0, self._after - len(cycles))
        if len(missed):
            self._after = max(self._after, int(missed[-1]) + AROUND + 1 - len(both))
        rest = both[-AROUND:]
        self._held = rest[~wanted[-AROUND:]].copy()
        return both[wanted]

    def _sampled(self, cycles: Records, rate: float) -> npt.NDArray[np.bool_]:
        """The SDK's rule on the low 64 bits of the trace id."""
        threshold = sampling_threshold(rate)
        if threshold >= 1 << 64:
            return np.ones(len(cycles), bool)
        low = _id_word(self._generation, cycles["cycle"], 1)
        sampled: npt.NDArray[np.bool_] = low < np.uint64(threshold)
        return sampled


def cycle_ids(generation: int, cycles: Numbers) -> Bytes:
    """(n, 24) trace id (16 bytes) and span id (8) of cycles: SplitMix64 of generation and cycle."""
    out = np.empty((len(cycles), 3), ">u8")
    for word in range(3):
        out[:, word] = _id_word(generation, cycles, word)
    ids: Bytes = out.view(np.uint8).reshape(-1, 24)
    return ids


def _id_word(generation: int, cycles: Numbers, word: int) -> Numbers:
    """(n,) word 0 .. 2 of the ids, never 0."""
    base = _mix(np.array([generation % (1 << 64)], np.uint64))
    mixed = _mix(base ^ (cycles.astype(np.uint64) * np.uint64(3) + np.uint64(word)))
    mixed[mixed == 0] = 1
    return mixed


def _mix(values: Numbers) -> Numbers:
    """SplitMix64 (Steele, Lea, Flood 2014), modulo 2^64."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    mixed: Numbers = z ^ z >> np.uint64(31)
    return mixed


def encode_cycles(records: Records, generation: int, starts_ns: Numbers) -> Encoded:
    """records: (n,) of the cycle dtype; starts_ns: (n,) Unix ns of their wake_ns."""
    count = len(records)
    spans, labels = [b""] * count, [Label("", "", "")] * count
    ids = cycle_ids(generation, records["cycle"])
    late = records["wake_ns"].astype(np.int64) - records["scheduled_ns"].astype(np.int64)
    numbers: Mapping[str, Numbers] = {
        "cycle": records["cycle"].astype(np.uint64),
        "slot": records["slot"].astype(np.uint64),
        "jitter": late.astype(np.uint64),  # two's complement, as protobuf has it
        "skipped": records["skipped"].astype(np.uint64),
    }
    widths = {name: varint_widths(values) for name, values in numbers.items()}
    linked = np.asarray(records["trace_id"].any(axis=1) & records["span_id"].any(axis=1))
    missed = (records["flags"] & _MISS) != 0
    keys = np.zeros((count, 2), np.uint64)
    for values in (*widths.values(), linked.astype(np.uint64), missed.astype(np.uint64)):
        keys[:, 0] = keys[:, 0] << np.uint64(4) | values
    keys[:, 1] = records["state"].astype(np.uint64) << np.uint64(8) | records["trace_flags"]
    lasted = np.maximum(records["end_ns"].astype(np.int64) - records["wake_ns"].astype(np.int64), 0)
    columns = {
        "trace_id": ids[:, :16],
        "span_id": ids[:, 16:],
        "start": fixed64(starts_ns),
        "end": fixed64(starts_ns + lasted.astype(np.uint64)),
        "linked_trace": records["trace_id"],
        "linked_span": records["span_id"],
    }
    for indices in groups(keys).values():
        first = int(indices[0])
        shape = tuple(int(widths[name][first]) for name in _VARINTS)
        template = _template(
            shape,
            bool(linked[first]),
            bool(missed[first]),
            int(records["state"][first]),
            int(records["trace_flags"][first]),
        )
        chosen = {name: column[indices] for name, column in columns.items()}
        for name, width in zip(_VARINTS, shape, strict=True):
            chosen[name] = varints(numbers[name][indices], width)
        label = Label(NAME, "", MISSED if missed[first] else "")
        for index, data in zip(indices.tolist(), template.fill(chosen), strict=True):
            spans[index] = data
            labels[index] = label
    return Encoded(spans, labels)


@lru_cache(maxsize=1024)
def _template(
    shape: tuple[int, ...], linked: bool, missed: bool, state: int, trace_flags: int
) -> Template:
    """shape: widths of the _VARINTS."""
    widths = dict(zip(_VARINTS, shape, strict=True))
    parts: list[Part] = [b"\x0a\x10", Hole("trace_id", 16), b"\x12\x08", Hole("span_id", 8)]
    parts.append(otlp.name_and_kind(NAME, otlp.KIND_INTERNAL))
    parts += [b"\x39", Hole("start", 8), b"\x41", Hole("end", 8)]
    parts += attribute("rt.cycle", b"\x18", Hole("cycle", widths["cycle"]))
    parts += attribute("rt.slot", b"\x18", Hole("slot", widths["slot"]))
    parts.append(otlp.attribute("rt.deadline_missed", missed))
    parts += attribute("rt.jitter_ns", b"\x18", Hole("jitter", widths["jitter"]))
    parts += attribute("rt.skipped", b"\x18", Hole("skipped", widths["skipped"]))
    parts.append(otlp.attribute("rt.state", name_of(RtState, state)))
    if linked:
        link: list[Part] = [b"\x0a\x10", Hole("linked_trace", 16)]
        link += [b"\x12\x08", Hole("linked_span", 8)]
        link.append(otlp.link_flags(trace_flags))
        parts += field(13, *link)
    if missed:
        parts.append(otlp.attribute("error.type", "deadline_missed"))
        parts.append(otlp.status_field(otlp.STATUS_ERROR, MISSED))
    parts.append(otlp.flags_field(FLAG_SAMPLED))
    return Template(field(2, *parts))
