"""A Python 3.10 traceback: file line and code line in turn, the exception last, no caret lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

SITE_PACKAGES = "/usr/local/lib/python3.10/site-packages"
STDLIB = "/usr/local/lib/python3.10"
APP = "/app"


class Frame(NamedTuple):
    """One frame: file, line number, function, and the source line without its indentation."""

    file: str
    line: int
    function: str
    code: str


def python_trace(frames: Sequence[Frame], exception: str) -> tuple[str, ...]:
    """The lines of the traceback: outermost frame first, `exception` (`name: message`) last."""
    lines = ["Traceback (most recent call last):"]
    for frame in frames:
        lines.append(f'  File "{frame.file}", line {frame.line}, in {frame.function}')
        lines.append(f"    {frame.code}")
    lines.append(exception)
    return tuple(lines)


def library(path: str, line: int, function: str, code: str) -> Frame:
    """A frame of an installed package; `path` is relative to site-packages."""
    return Frame(f"{SITE_PACKAGES}/{path}", line, function, code)


def stdlib(path: str, line: int, function: str, code: str) -> Frame:
    """A frame of the standard library."""
    return Frame(f"{STDLIB}/{path}", line, function, code)


def own(path: str, line: int, function: str, code: str) -> Frame:
    """A frame of the service's own code, which lives in /app of its container."""
    return Frame(f"{APP}/{path}", line, function, code)
