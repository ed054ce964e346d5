"""What the verbs of the inspector share: the segment that is meant, times, lines for people."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Optional

import typer

from shared.cli.errors import CommandError, Unavailable
from shared.cli.options import ConfigDir, Json, instance_name
from shared.wall_time import realtime_ns

if TYPE_CHECKING:
    from shared.segment import Segment

__all__ = ["ConfigDir", "Instance", "Json", "Last", "Since", "complete_field"]

EX_USAGE: Final = 2
_UNITS: Final = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def _instances(incomplete: str) -> list[str]:
    """Completion of --instance: those that have an object in /dev/shm."""
    names = (path.name.removeprefix("mxrc-") for path in Path("/dev/shm").glob("mxrc-*"))  # noqa: S108
    return sorted(name for name in names if name.startswith(incomplete))


Instance = Annotated[
    Optional[str],  # noqa: UP045  typer evaluates it, and so does Python 3.10
    typer.Option(
        "--instance",
        "-i",
        metavar="NAME",
        autocompletion=_instances,
        help="Name of the instance (default: configured).",
    ),
]
Since = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--since",
        metavar="WHEN",
        help="Only what is not older: 500ms, 10s, 5m, 2h before the newest record of the segment, "
        "or a time such as 2026-01-31T12:00:00Z.",
    ),
]
Last = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--last", metavar="N", min=1, help="Only the newest N cycles."),
]


def complete_field(ctx: typer.Context, incomplete: str) -> list[str]:
    """Completion of a field's name, from the segment that the rest of the line means."""
    from shared.core import MxrcError
    from shared.inspector.fields import Fields
    from shared.segment import Segment

    given = ctx.params.get("instance")
    try:
        names = Fields(Segment.attach(chosen_instance(ctx.params.get("config_dir"), given))).names()
    except (MxrcError, CommandError, OSError, ValueError):
        return []
    return [name for name in names if name.startswith(incomplete)]


def chosen_instance(config_dir: Path | None, instance: str | None) -> str:
    """The instance that is meant; the default comes from the configuration."""
    name = instance_name(config_dir, instance)
    if not name or "/" in name or name in (".", ".."):
        raise CommandError(f"--instance {name!r}: not a name of an instance", EX_USAGE)
    return name


def attach(name: str) -> Segment:
    """The segment of an instance, read-only, dead or alive.

    Raises:
        Unavailable: there is none; the message names those that there are.
        SegmentError: it is there and cannot be read; the message says why.
    """
    from shared.segment import Segment, SegmentAbsent

    try:
        return Segment.attach(name)
    except SegmentAbsent:
        there = ", ".join(_instances("")) or "none"
        raise Unavailable(
            f"there is no segment of instance {name} in /dev/shm: it was never started, or it was "
            f"stopped in order; instances here: {there} (choose one with --instance)"
        ) from None


def open_segment(config_dir: Path | None, instance: str | None) -> Segment:
    """As `attach`, and says on stderr who of it is dead."""
    segment = attach(chosen_instance(config_dir, instance))
    say_deaths(segment)
    return segment


def say_deaths(segment: Segment) -> None:
    """A line on stderr for each dead process: what follows is what it left behind."""
    from shared.inspector.postmortem import deaths, duration

    for one in deaths(segment):
        ago = "" if one.ago_s is None else f", {duration(one.ago_s)} ago"
        note(
            f"{one.role} {one.who}, pid {one.pid}, is dead; last sign of life {one.last_sign}{ago}"
        )


def note(text: str) -> None:
    """A line for a person, on stderr."""
    typer.echo(f"mxrc shm: {text}", err=True)


def since_ns(segment: Segment, when: str | None) -> int:
    """--since as a time of CLOCK_MONOTONIC in ns, 0 without it.

    A duration counts back from the newest record, so that it means the same on a dead segment.
    """
    if when is None:
        return 0
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d)", when.strip())
    if match is not None:
        back = float(match[1]) * _UNITS[match[2]]
        return max(0, newest_ns(segment) - round(back * 1e9))
    try:
        moment_ns = realtime_ns(when)
    except ValueError:
        raise CommandError(
            f"--since {when!r}: neither a duration (500ms, 10s, 5m, 2h, 1d) nor a time "
            "(2026-01-31T12:00:00Z)",
            EX_USAGE,
        ) from None
    return _monotonic(segment, moment_ns)


def newest_ns(segment: Segment) -> int:
    """When the newest record of the segment was written."""
    from shared.inspector.records import read_cycles, read_events

    cycles, events = read_cycles(segment, 1).records, read_events(segment, 1).records
    times = [int(cycles[-1]["end_ns"])] if len(cycles) else []
    times += [int(events[-1]["time_ns"])] if len(events) else []
    return max(times, default=0)


def _monotonic(segment: Segment, realtime_ns: int) -> int:
    from shared.anchors import Anchors

    newest = newest_ns(segment)
    return max(0, newest - (Anchors(segment).realtime_ns(newest) - realtime_ns))


def is_terminal() -> bool:
    """Whether a person looks at stdout."""
    return sys.stdout.isatty()


def followed(name: str, first: Segment) -> Iterator[Segment]:
    """The segment of now, through generations: a new one each time the old one is over.

    Yields without end, the same segment while it is in force; the caller waits between.
    """
    from shared.core import MxrcError
    from shared.segment import Segment

    segment, told = first, False
    while True:
        if not segment.current():
            try:
                segment = Segment.attach(name)
                note(f"generation {segment.generation} has begun")
                told = False
            except MxrcError as error:
                if not told:
                    note(f"{error}; waiting for the next generation")
                told = True
        yield segment
