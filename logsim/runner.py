"""The run: records are told, formatted, written, labelled and counted until an end is reached."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from logsim.clock import LogClock, SimulatedClock, WallClock
from logsim.formats import TraceContext, make_formatter
from logsim.labels import Labels
from logsim.output import Output
from logsim.pacing import Pacer
from logsim.settings import Settings
from logsim.stop import Stop
from logsim.stories.stream import Stream

# How often a run without pauses looks at the clock, in records.
LOOK_EVERY = 256


@dataclass(slots=True)
class Tally:
    """What has been written so far; `part_first` counts the lines before the current part."""

    records: int = 0
    lines: int = 0
    part: int = 0
    part_first: int = 0
    levels: dict[str, int] = field(default_factory=lambda: {"ERROR": 0, "WARN": 0, "INFO": 0})


def run(
    settings: Settings,
    output: Output,
    labels: Labels | None,
    stop: Stop,
    tally: Tally,
    *,
    progress: Callable[[], None] = lambda: None,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Write records until the count, the duration or a stop is reached; `tally` is kept current."""
    # One generator each for the stories, the clock and the ids: a seed tells the same stories in
    # every format and at every pace.
    seed = settings.seed
    stream = Stream(
        _random(seed, "stories"),
        error_rate=settings.error_rate,
        scenario=settings.scenario,
        incidents=settings.incident,
    )
    clock = _clock(settings)
    trace_context = TraceContext(_random(seed, "spans")) if settings.traceparent else None
    render = make_formatter(settings.format, trace_context).render
    pacer = Pacer(settings.interval_s, settings.rate, monotonic)

    simulated = settings.start_ms is not None
    until_ms = until = float("inf")
    if settings.duration_s is not None and settings.start_ms is not None:
        until_ms = settings.start_ms + settings.duration_s * 1000.0
    elif settings.duration_s is not None:
        until = monotonic() + settings.duration_s
    count = settings.count if settings.count is not None else -1

    levels = tally.levels
    paced = not pacer.idle
    lines = 0
    while tally.records != count and not stop.requested:
        if paced:
            if not _wait(pacer, tally, output, labels, stop, until, monotonic, progress):
                break
        elif tally.records % LOOK_EVERY == 0:
            progress()
            if monotonic() >= until:
                break
        now_ms = clock.next_ms(lines)
        if simulated and now_ms >= until_ms:
            break
        record = stream.next(now_ms)
        text, lines = render(record)
        output.write(text)
        if output.part != tally.part:
            tally.part = output.part
            tally.part_first = tally.lines
        if labels:
            first = tally.lines + 1
            labels.add(record, first, lines, tally.part, first - tally.part_first)
        if paced:
            pacer.sent()
        tally.lines += lines
        tally.records += 1
        levels[record.level] += 1


def _wait(
    pacer: Pacer,
    tally: Tally,
    output: Output,
    labels: Labels | None,
    stop: Stop,
    until: float,
    monotonic: Callable[[], float],
    progress: Callable[[], None],
) -> bool:
    """Wait for the next record's time; False: the run ends first."""
    while wait := pacer.wait_s(tally.lines):
        output.flush()
        if labels:
            labels.flush()
        progress()
        left = until - monotonic()
        if left <= 0:
            return False
        stop.sleep(min(wait, left))
        if stop.requested:
            return False
    return monotonic() < until


def _random(seed: int | None, purpose: str) -> Random:
    return Random() if seed is None else Random(f"{purpose}:{seed}")


def _clock(settings: Settings) -> LogClock:
    if settings.start_ms is None:
        return WallClock()
    return SimulatedClock(
        settings.start_ms,
        _random(settings.seed, "clock"),
        gap_ms=settings.interval_s * 1000.0,
        ms_per_line=1000.0 / settings.rate if settings.rate else 0.0,
    )
