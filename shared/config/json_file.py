"""Reading one JSON file strictly: RFC 8259, bounded, unambiguous, and not writable by others.

Beyond the grammar these are errors: a file above 1 MiB, a key given twice in an object, NaN,
Infinity and numbers that a double cannot hold, a file that group or others may write.
"""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any, Final

from shared.config.errors import ConfigError, Loc, Problem, json_path
from shared.resources import is_installed

MAX_BYTES: Final = 1 << 20
_MAX_DEPTH: Final = 64
_SHARED_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


class _BadNumber:
    """Stands in the parsed document for a number that is not one."""

    def __init__(self, text: str) -> None:
        self.text = text


class _Object(dict[str, Any]):
    """An object that remembers which keys were given twice."""

    duplicates: tuple[str, ...] = ()


def read_file(path: Path, *, max_bytes: int = MAX_BYTES) -> tuple[bytes, int]:
    """Content and mode bits of a regular file that only its owner may write.

    Raises:
        ConfigError: missing, unreadable, not a regular file, too large, or writable by others.
    """
    name = str(path)

    def refused(value: str, allowed: str, hint: str = "") -> ConfigError:
        return ConfigError([Problem(name, "", value, allowed, hint)])

    try:
        # O_NONBLOCK: opening a FIFO must not wait for its other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        raise refused(
            "no such file", "must exist", "check the folder that --config-dir names"
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise refused(reason, "must be readable", f"check owner and mode: ls -l {name}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise refused("something that is not a regular file", "must be a regular file")
        mode = stat.S_IMODE(status.st_mode)
        # An installer under umask 002 leaves the whole package to the group, its code included.
        if mode & (stat.S_IWOTH if is_installed(path) else _SHARED_WRITE):
            raise refused(
                f"mode {mode:04o}",
                "must not be writable by group or others",
                f"chmod go-w {name}",
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise refused("a larger file", f"must be at most {max_bytes} bytes")
    return content, mode


def parse_json(content: bytes, file: str) -> Any:
    """The document in `content`; `file` is its name in messages.

    Raises:
        ConfigError: not JSON, with line and column; or ambiguous, with the JSON path.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _syntax(file, f"byte {error.start}", "not UTF-8", "UTF-8 text") from None
    if not text.strip():
        raise _syntax(file, "", "an empty file", "a JSON document")
    try:
        document = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_BadNumber,
            parse_float=_parse_float,
            parse_int=_parse_int,
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        reason = error.msg[:1].lower() + error.msg[1:]
        raise _syntax(file, place, _near(text, error.pos), "valid JSON", reason) from None
    except RecursionError:
        raise _too_deep(file) from None
    problems: list[Problem] = []
    _find_faults(document, (), file, problems)
    if problems:
        raise ConfigError(problems)
    return document


def _syntax(file: str, place: str, value: str, wanted: str, hint: str = "") -> ConfigError:
    return ConfigError([Problem(file, place, value, f"must be {wanted}", hint)])


def _too_deep(file: str) -> ConfigError:
    return _syntax(file, "", "deeper nesting", f"nested at most {_MAX_DEPTH} levels deep")


def _near(text: str, position: int) -> str:
    if position >= len(text.rstrip()):
        return "the end of the file"
    # One character only: what follows may be a token.
    return json.dumps(text[position])


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    result = _Object(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        result.duplicates = tuple(name for name in result if names.count(name) > 1)
    return result


def _parse_float(text: str) -> float | _BadNumber:
    value = float(text)
    return value if math.isfinite(value) else _BadNumber(text)


def _parse_int(text: str) -> int | _BadNumber:
    # Beyond the range of a double nothing here has a use for the number.
    return int(text) if len(text) <= 300 else _BadNumber(text)


def _find_faults(value: Any, loc: Loc, file: str, problems: list[Problem]) -> None:
    if len(loc) > _MAX_DEPTH:
        raise _too_deep(file)
    if isinstance(value, _BadNumber):
        text = value.text if len(value.text) <= 40 else value.text[:37] + "..."
        problems.append(Problem(file, json_path(loc), text, "must be a finite number"))
    elif isinstance(value, _Object):
        problems.extend(
            Problem(
                file, json_path((*loc, name)), "this key more than once", "must be there only once"
            )
            for name in value.duplicates
        )
        for name, item in value.items():
            _find_faults(item, (*loc, name), file, problems)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _find_faults(item, (*loc, index), file, problems)
