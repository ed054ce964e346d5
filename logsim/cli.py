"""Entry point of `mxrc-logsim`: opens what the options name, runs, and reports on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from logsim.labels import Labels
from logsim.options import EXIT_USAGE, parse
from logsim.output import ClosedPipe, FileOutput, OutputError, StreamOutput
from logsim.runner import Tally, run
from logsim.settings import Settings
from logsim.stop import Stop

PROGRAM = "mxrc-logsim"
EXIT_FAILED = 1
# Progress on a terminal, and into a file or a journal, in seconds.
PROGRESS_EVERY_S = 1.0
PROGRESS_EVERY_LOGGED_S = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulator; returns the exit status."""
    settings = parse(arguments)
    try:
        output, labels = _open(settings)
    except OutputError as error:
        _say(f"error: {error}")
        return EXIT_USAGE
    stop = Stop(output.request_reopen if isinstance(output, FileOutput) else None)
    stop.install()
    tally = Tally()
    report = _Report(tally, settings)
    try:
        with ExitStack() as stack:
            # The log is closed first, and the labels even if that fails.
            if labels:
                stack.callback(labels.close)
            stack.callback(output.close)
            run(settings, output, labels, stop, tally, progress=report.progress)
    except ClosedPipe:
        return 0
    except OutputError as error:
        report.end_line()
        _say(f"error: {error}")
        return EXIT_FAILED
    report.summary(stop.signal_name)
    return 0


def _open(settings: Settings) -> tuple[FileOutput | StreamOutput, Labels | None]:
    if settings.label:
        # Labels count this run's lines from 1: wrong for a file that has lines already.
        for path in (settings.output, settings.label):
            if path and not settings.overwrite and _has_content(path):
                raise OutputError(
                    f"{path} has content, and --label counts lines from 1; "
                    "name another file or add --overwrite"
                )
    output: FileOutput | StreamOutput = (
        FileOutput(
            settings.output,
            overwrite=settings.overwrite,
            rotate_bytes=settings.rotate_bytes,
            keep=settings.rotate_keep,
        )
        if settings.output
        else StreamOutput(1, "standard output")
    )
    labels = Labels(FileOutput(settings.label, overwrite=True)) if settings.label else None
    return output, labels


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


class _Report:
    """Progress while it runs, if a file is written, and a summary at the end."""

    def __init__(
        self, tally: Tally, settings: Settings, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._tally = tally
        self._quiet = settings.quiet
        self._wanted = settings.output is not None and not settings.quiet
        self._name = str(settings.output or "standard output")
        self._terminal = sys.stderr.isatty()
        self._every = PROGRESS_EVERY_S if self._terminal else PROGRESS_EVERY_LOGGED_S
        self._monotonic = monotonic
        self._start = self._last = monotonic()
        self._open_line = False

    def progress(self) -> None:
        if not self._wanted:
            return
        now = self._monotonic()
        if now - self._last < self._every:
            return
        self._last = now
        text = f"{self._counts()} after {now - self._start:.0f} s"
        if self._terminal:
            # Overwrites itself; the blanks cover what was longer before.
            _write(f"\r{PROGRAM}: {text}   ")
            self._open_line = True
        else:
            _say(text)

    def end_line(self) -> None:
        if self._open_line:
            _write("\n")
            self._open_line = False

    def summary(self, signal_name: str) -> None:
        self.end_line()
        if self._quiet:
            return
        seconds = self._monotonic() - self._start
        levels = self._tally.levels
        mix = ", ".join(f"{level} {levels[level]:,}" for level in ("ERROR", "WARN", "INFO"))
        rotated = f", {self._tally.part:,} rotations" if self._tally.part else ""
        stopped = f"stopped by {signal_name}; " if signal_name else ""
        speed = self._tally.lines / seconds if seconds > 0 else 0.0
        _say(
            f"{stopped}{self._counts()} ({mix}) to {self._name} in {seconds:.1f} s, "
            f"{speed:,.0f} lines/s{rotated}"
        )

    def _counts(self) -> str:
        return f"{self._tally.records:,} records, {self._tally.lines:,} lines"


def _say(text: str) -> None:
    _write(f"{PROGRAM}: {text}\n")


def _write(text: str) -> None:
    """To stderr, straight; a stderr that is closed or full must not end the run."""
    try:
        os.write(2, text.encode("utf-8", "replace"))
    except OSError:
        return


if __name__ == "__main__":
    raise SystemExit(main())
