"""`mxrc shm tail`: the newest cycles, events or spans, and those that come."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Final, Optional

import typer

from shared.cli.segment import ConfigDir, Instance, Json, Since

if TYPE_CHECKING:
    from shared.inspector.filtering import Predicate
    from shared.segment import Segment

_POLL_S: Final = 0.05
_NOTHING: Final = "-"


class What(str, Enum):
    """What to show."""

    CYCLES = "cycles"
    EVENTS = "events"
    SPANS = "spans"


def register(app: typer.Typer) -> None:
    """Add `tail`."""

    @app.command()
    def tail(
        what: Annotated[What, typer.Argument(help="Which records.")] = What.EVENTS,
        follow: Annotated[
            bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
        ] = False,
        count: Annotated[
            int, typer.Option("--count", "-n", min=0, help="How many of the newest to begin with.")
        ] = 20,
        filters: Annotated[
            Optional[list[str]],  # noqa: UP045  typer evaluates it
            typer.Option(
                "--filter",
                metavar="EXPR",
                help="FIELD=VALUE with = != > >= < <= ~ !~ (regular expression); "
                "several must all hold.",
            ),
        ] = None,
        since: Since = None,
        instance: Instance = None,
        config_dir: ConfigDir = None,
        as_json: Json = False,
    ) -> None:
        """Newest records, oldest first; --json gives one document a line."""
        from shared.cli.segment import chosen_instance, followed, note, open_segment, since_ns
        from shared.inspector.filtering import parse_filter
        from shared.inspector.rows import field_names

        rows = _Rows(what)
        predicates = [parse_filter(text, field_names(rows.kind)) for text in filters or ()]
        show = _json_line if as_json else _FORMATS[what]
        segment = open_segment(config_dir, instance)
        everything = bool(predicates) or since is not None or what is What.SPANS
        rows.begin(segment, None if everything else count)
        kept: deque[Any] = deque(maxlen=count)
        kept.extend(_matching(rows.read(since_ns(segment, since)), predicates))
        for row in kept:
            show(row)
        if rows.lost:
            note(f"{rows.lost} records were overwritten while they were read")
        if not follow:
            return
        for current in followed(chosen_instance(config_dir, instance), segment):
            if current is not segment:
                segment = current
                rows.begin(segment)
            before = rows.lost
            for row in _matching(rows.read(0), predicates):
                show(row)
            if rows.lost > before:
                note(f"{rows.lost - before} records were overwritten before they could be read")
            time.sleep(_POLL_S)


def _matching(rows: Sequence[Any], predicates: Sequence[Predicate]) -> list[Any]:
    return [row for row in rows if all(predicate(row) for predicate in predicates)]


class _Rows:
    """Reads the records of one kind as rows, through generations."""

    def __init__(self, what: What) -> None:
        from shared.inspector.rows import CycleRow, EventRow, SpanRow

        self._what = what
        self.kind: type[Any] = {
            What.CYCLES: CycleRow,
            What.EVENTS: EventRow,
            What.SPANS: SpanRow,
        }[what]
        self.lost = 0
        self._source: Any = None
        self._reading: Any = None

    def begin(self, segment: Segment, last: int | None = None) -> None:
        """last: as CycleSource takes it."""
        from shared.inspector.records import CycleSource, EventSource
        from shared.inspector.rows import Reading

        self._source = (
            CycleSource(segment, last) if self._what is What.CYCLES else EventSource(segment, last)
        )
        self._reading = Reading(segment)

    def read(self, since: int) -> Sequence[Any]:
        import numpy as np

        found = self._source.read()
        self.lost += found.lost
        time_of = "wake_ns" if self._what is What.CYCLES else "time_ns"
        wanted = found.records[time_of] >= np.uint64(since)
        records = found.records[wanted]
        if self._what is What.CYCLES:
            rows: Sequence[Any] = self._reading.cycles(records)
        elif self._what is What.EVENTS:
            rows = self._reading.events(records, found.lanes[wanted])
        else:
            rows = self._reading.spans(records, found.lanes[wanted])
        return rows


def _json_line(row: Any) -> None:
    from shared.cli.output import print_model

    print_model(row, line=True)


def _cycle(row: Any) -> None:
    work = f"{row.task}/{row.action or row.step}" if row.task else _NOTHING
    flags = f"  {row.flags}" if row.flags else ""
    skipped = f"  skipped {row.skipped}" if row.skipped else ""
    _line(
        f"{row.time[11:26]}  cycle {row.cycle}  {row.state}  jitter {row.jitter_us:.1f} us  "
        f"work {row.cycle_time_us:.1f} us  cpu {row.cpu}  {work}{skipped}{flags}"
    )


def _event(row: Any) -> None:
    text = row.message or row.code
    parts = [part for part in (row.task_id, row.action) if part]
    about = f"  [{' '.join(parts)}]" if parts else ""
    trace = f"  trace {row.trace_id}" if row.trace_id else ""
    more = f"  ({row.suppressed} more left out)" if row.suppressed else ""
    _line(
        f"{row.time[11:26]}  {row.level:<8}  {row.logger or row.kind.lower():<10}  {text}{more}"
        f"{about}  cycle {row.cycle}{trace}"
    )


def _span(row: Any) -> None:
    error = f" {row.error}" if row.error else ""
    _line(
        f"{row.time[11:26]}  {row.operation:<16}  {row.duration_ms:10.3f} ms  "
        f"{row.task_id}/{row.action or row.sequence_name or row.task}  {row.status}{error}  "
        f"trace {row.trace_id or _NOTHING}  span {row.span_id or _NOTHING}"
    )


def _line(text: str) -> None:
    from shared.cli.output import cell

    typer.echo(cell(text))


_FORMATS: Final[dict[What, Callable[[Any], None]]] = {
    What.CYCLES: _cycle,
    What.EVENTS: _event,
    What.SPANS: _span,
}
