"""The command line of mxrc-logsim: its options, and what is wrong with them."""

from __future__ import annotations

import argparse
import math
import re
import textwrap
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import NoReturn

from logsim.scenarios import SCENARIOS, by_name
from logsim.services import SERVICES
from logsim.settings import (
    DEFAULT_ERROR_RATE,
    DEFAULT_INTERVAL_S,
    DEFAULT_KEEP,
    SEEDED_START_MS,
    Settings,
)

EXIT_USAGE = 2

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

_EXAMPLES = """\
examples:
  mxrc-logsim                                   a record every two seconds, until Ctrl-C
  mxrc-logsim --interval 0 --count 20           twenty records at once
  mxrc-logsim --incident --interval 0.2         watch an incident begin, spread and end
  mxrc-logsim --scenario out-of-memory --error-rate 1 --count 1 --interval 0
                                                one error of one kind
  mxrc-logsim --seed 7 --count 100000 --interval 0 --output train.log --label truth.jsonl
                                                training data with ground truth, reproducible
  mxrc-logsim --rate 5000 --format ecs --traceparent --output app.log --rotate-size 100M
                                                a steady load of ECS lines for a log pipeline
  mxrc-logsim --interval 0 --seed 1 --duration 86400 --output day.log
                                                a simulated day, as fast as it can be written

The rest of the error rate is split WARN 15 : INFO 55. Times are UTC.
Exit status: 0 done, stopped or the reader left; 1 the output failed; 2 wrong usage.
"""


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Breaks no line at a hyphen: scenario names have them."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # One line; the usage is a long block that would push it off the screen.
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Check the arguments; wrong usage prints one line to stderr and exits with status 2."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.label and options.output and _same(options.label, options.output):
        parser.error(f"--label and --output both name {options.output}: they need two files")
    if options.output is None and (options.rotate_size or options.overwrite):
        flag = "--rotate-size" if options.rotate_size else "--overwrite"
        if not (options.overwrite and options.label):
            parser.error(f"{flag} needs --output FILE")
    if options.incident and options.error_rate == 0:
        parser.error("--incident needs an --error-rate above 0: an incident is made of errors")
    interval = options.interval
    if interval is None:
        interval = DEFAULT_INTERVAL_S if options.rate is None else 0.0
    start_ms = options.start
    if start_ms is None and options.seed is not None:
        start_ms = SEEDED_START_MS
    return Settings(
        interval_s=interval,
        error_rate=options.error_rate,
        rate=options.rate or 0.0,
        count=options.count,
        duration_s=options.duration,
        seed=options.seed,
        start_ms=start_ms,
        format=options.format,
        output=options.output,
        overwrite=options.overwrite,
        rotate_bytes=options.rotate_size,
        rotate_keep=options.rotate_keep,
        traceparent=options.traceparent,
        scenario=by_name[options.scenario] if options.scenario else None,
        incident=options.incident,
        label=options.label,
        quiet=options.quiet,
    )


def _parser() -> _Parser:
    parser = _Parser(
        prog="mxrc-logsim",
        description="Write realistic logs of seven micro-services: "
        + ", ".join(service.name for service in SERVICES)
        + ".",
        epilog=_EXAMPLES,
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
    )
    pace = parser.add_argument_group("how fast and how long")
    pace.add_argument(
        "--interval",
        type=_seconds,
        metavar="SECONDS",
        help=f"from one record to the next; 0: as fast as it can "
        f"(default {DEFAULT_INTERVAL_S}, or 0 with --rate)",
    )
    pace.add_argument(
        "--rate",
        type=_rate,
        metavar="LINES",
        help="lines per second; 0: unlimited",
    )
    pace.add_argument("--count", type=_count, metavar="N", help="stop after N records")
    pace.add_argument(
        "--duration",
        type=_duration,
        metavar="SECONDS",
        help="stop after this time; with --seed or --start it is time of the log",
    )
    content = parser.add_argument_group("what is in it")
    content.add_argument(
        "--error-rate",
        type=_share,
        default=DEFAULT_ERROR_RATE,
        metavar="0..1",
        help=f"share of ERROR records (default {DEFAULT_ERROR_RATE})",
    )
    content.add_argument(
        "--scenario",
        choices=sorted(by_name),
        metavar="NAME",
        help="all errors are of this scenario: " + ", ".join(s.name for s in SCENARIOS),
    )
    content.add_argument(
        "--incident",
        action="store_true",
        help="incidents that spread: database pool exhausted, payment timeouts, queue lag",
    )
    content.add_argument(
        "--traceparent",
        action="store_true",
        help="W3C trace and span ids in every record",
    )
    content.add_argument(
        "--seed",
        type=_seed,
        metavar="N",
        help="the same output again; the log's time is simulated, from 2026-01-01 unless --start",
    )
    content.add_argument(
        "--start",
        type=_start,
        metavar="TIME",
        help="simulate the log's time from this ISO 8601 time (UTC unless it has an offset)",
    )
    out = parser.add_argument_group("where it goes")
    out.add_argument("--format", choices=("text", "json", "ecs"), default="text")
    out.add_argument(
        "--output",
        type=_output,
        default=None,
        metavar="FILE|-",
        help="append to FILE; - is standard output (default)",
    )
    out.add_argument("--overwrite", action="store_true", help="empty FILE and the label file first")
    out.add_argument(
        "--rotate-size",
        type=_size,
        default=0,
        metavar="BYTES",
        help="rotate FILE before it grows beyond this; K, M, G are 1024-based (default: never)",
    )
    out.add_argument(
        "--rotate-keep",
        type=_keep,
        default=DEFAULT_KEEP,
        metavar="N",
        help=f"rotated files to keep, FILE.1 is the newest; 0: all (default {DEFAULT_KEEP})",
    )
    out.add_argument(
        "--label",
        type=Path,
        metavar="FILE",
        help="ground truth as JSON lines: scenario, incident, first and last line",
    )
    out.add_argument("--quiet", action="store_true", help="no progress and no summary on stderr")
    parser.add_argument("--version", action="version", version=f"mxrc-logsim {_version()}")
    return parser


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mxrc")
    except PackageNotFoundError:
        return "(not installed)"


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def _seconds(text: str) -> float:
    value = _number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative; it is 0 or more seconds")
    return value


def _duration(text: str) -> float:
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a duration; it is more than 0 seconds")
    return value


def _rate(text: str) -> float:
    value = _number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative; it is 0 or more lines per second")
    return value


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share; it is 0 to 1 (0.3 is 30 %)")
    return value


def _integer(text: str, least: int, what: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not {what}; it is a whole number from {least}"
        )
    return value


def _count(text: str) -> int:
    return _integer(text, 1, "a number of records")


def _keep(text: str) -> int:
    return _integer(text, 0, "a number of files")


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)([kmg]?)", text.strip(), re.IGNORECASE | re.ASCII)
    if not match or not int(match[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write 500K, 100M or 2G")
    return int(match[1]) * _UNITS[match[2].lower()]


def _start(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an ISO 8601 time; write 2026-03-01T08:00:00"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return round(moment.timestamp() * 1000)


def _output(text: str) -> Path | None:
    if not text:
        raise argparse.ArgumentTypeError("the file name is empty")
    return None if text == "-" else Path(text)
