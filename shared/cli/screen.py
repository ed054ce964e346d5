"""Where `mxrc up` shows what it sees: a live table on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import select
import sys
import time
from typing import IO, TYPE_CHECKING, Final, Protocol

from shared.cli import live
from shared.cli.monitor import Sample
from shared.cli.terminal_writer import TerminalWriter

if TYPE_CHECKING:
    from typing_extensions import Self

REFRESH_S: Final = 0.25
LINE_S: Final = 5.0


class Screen(Protocol):
    """One thread uses it. child_stderr: where children print, as for subprocess.Popen."""

    @property
    def child_stderr(self) -> IO[bytes] | int | None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def say(self, text: str) -> None:
        """A line that stays."""

    def show(self, sample: Sample) -> None:
        """What is going on now."""

    def wait(self, seconds: float) -> None:
        """Let time pass; what children print meanwhile is shown."""


class PlainScreen:
    """Lines on stdout: changes at once, else one every LINE_S."""

    child_stderr: IO[bytes] | int | None = None

    def __init__(self) -> None:
        self._next = 0.0
        self._last: tuple[str, str] | None = None
        self._terminal = TerminalWriter(lambda count: self._write(_dropped(count)))

    def __enter__(self) -> Self:
        self._terminal.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._terminal.close()

    def say(self, text: str) -> None:
        self._terminal.put(lambda: self._write(text))

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(f"mxrc up: {text}\n")
        sys.stdout.flush()

    def show(self, sample: Sample) -> None:
        now = time.monotonic()
        key = (sample.state, sample.task)
        if now < self._next and key == self._last:
            return
        self._next, self._last = now + LINE_S, key
        self.say(live.line(sample))

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


class TableScreen:
    """A live table at the bottom; what is said, and what children print, scrolls above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._terminal = TerminalWriter(lambda count: self._print(_dropped(count)))
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self._writer, True)
        self._rest = b""
        self._next = 0.0

    @property
    def child_stderr(self) -> IO[bytes] | int | None:
        return self._writer

    def __enter__(self) -> Self:
        self._live.start()
        self._terminal.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._forward()
        self._terminal.put(self._live.stop)
        self._terminal.close()
        os.close(self._reader)
        os.close(self._writer)

    def say(self, text: str) -> None:
        self._terminal.put(lambda: self._print(text, highlight=True))

    def show(self, sample: Sample) -> None:
        now = time.monotonic()
        if now >= self._next and self._terminal.idle:
            self._next = now + REFRESH_S
            self._terminal.put(lambda: self._live.update(live.table(sample), refresh=True))

    def _print(self, text: str, *, highlight: bool = False) -> None:
        self._console.print(text, markup=False, highlight=highlight)

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self._reader], [], [], left)[0]:
                self._forward()

    def _forward(self) -> None:
        try:
            data = os.read(self._reader, 65536)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for raw in lines:
            text = raw.decode("utf-8", "replace")
            self._terminal.put(lambda text=text: self._print(text))  # type: ignore[misc]


def _dropped(count: int) -> str:
    return f"{count} lines were not shown: the terminal did not take them"
