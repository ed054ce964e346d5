"""The control laws of robot.json: found, checked, loaded or compiled, before all else starts."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any, Final

from shared.config import Config, ConfigError, Problem
from shared.config.errors import Loc, json_path
from shared.config.models.driver import Law, TaskLaw
from shared.core import ERROR_BYTES, MxrcError, error_buffer, ffi, lib, to_text

_MAX_SOURCE_BYTES: Final = 1 << 20
_LOADED: Final[dict[tuple[str, str, str], Any]] = {}
"""Laws stay loaded for the life of the process: the real-time thread runs in them."""


def find_law(config: Config) -> Any:
    """A const struct mxrc_law *.

    Raises:
        ConfigError: it cannot be had; the problem names the place in robot.json and the reason.
    """
    return _find(config, config.robot.law, ("law",))


def find_task_laws(config: Config) -> list[Any]:
    """A const struct mxrc_law * for each of task_laws, in their order.

    Raises:
        ConfigError: as of find_law.
    """
    found = []
    why = error_buffer()
    for index, law in enumerate(config.robot.task_laws):
        place: Loc = ("task_laws", index)
        found.append(_find(config, law, place))
        if lib.mxrc_law_check_task(found[-1], len(law.parameters), why, ERROR_BYTES):
            loc = (*place, "symbol")
            raise refused(config, "robot", loc, json.dumps(law.symbol), to_text(why))
    return found


def _find(config: Config, law: Law | TaskLaw, place: Loc) -> Any:
    path = str(Path(config.directory, law.path)) if law.path is not None else ""
    key = (law.type, path, law.symbol)
    if key not in _LOADED:
        try:
            _LOADED[key] = _load(*key)
        except MxrcError as error:
            loc = (*place, "path")
            raise refused(config, "robot", loc, json.dumps(path), str(error)) from None
    why = error_buffer()
    count = len(law.parameters)
    if lib.mxrc_law_check(_LOADED[key], count, why, ERROR_BYTES):
        loc = (*place, "parameters")
        raise refused(config, "robot", loc, f"{count} numbers", to_text(why))
    return _LOADED[key]


def law_name(config: Config) -> str:
    """The name that the law gives itself: in logs, and before its state in the state block."""
    return to_text(find_law(config).name)


def refused(config: Config, stem: str, loc: Loc, found: str, why: str) -> ConfigError:
    """The problem in that file."""
    file = str(Path(config.directory) / f"{stem}.json")
    return ConfigError([Problem(file, json_path(loc), found, why)])


def _load(kind: str, path: str, symbol: str) -> Any:
    if kind == "builtin":
        return lib.mxrc_law_builtin(symbol.encode())
    if kind == "numba":
        return _compile(Path(path), symbol)
    error = error_buffer()
    law = ffi.new("const struct mxrc_law **")
    if lib.mxrc_law_load(path.encode(), symbol.encode(), law, error, ERROR_BYTES):
        raise MxrcError(to_text(error))
    return law[0]


def _compile(path: Path, symbol: str) -> Any:
    """Runs the file, as a module of its own, and compiles what `symbol` is in it."""
    from types import ModuleType

    from shared.law import ControlLaw, LawRefused

    text = _read_source(path)
    module = ModuleType(f"mxrc_law_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102  # the owner's own
    except Exception as error:  # noqa: BLE001  # whatever the file does wrong is its author's
        raise LawRefused(f"running the file failed: {type(error).__name__}: {error}") from None
    law = getattr(module, symbol, None)
    if not isinstance(law, ControlLaw):
        raise LawRefused(f"has no function {symbol} under @control_law (shared.law)")
    return law.compile().raw


def _read_source(path: Path) -> bytes:
    """Under the rules of object_load.c, for it is the same kind of code: a file, and a folder, that
    nobody else may write. Read from the descriptor that was looked at: what was checked is what
    runs.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            found, folder = os.fstat(descriptor), path.parent.stat()
            _check_source(path, found, folder)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read(found.st_size)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise MxrcError(f"{path}: {error.strerror}") from None


def _check_source(path: Path, file: os.stat_result, folder: os.stat_result) -> None:
    if not stat.S_ISREG(file.st_mode):
        raise MxrcError(f"{path}: is not a regular file")
    if file.st_size > _MAX_SOURCE_BYTES:
        raise MxrcError(f"{path}: has more than {_MAX_SOURCE_BYTES} bytes")
    if not _trusted(file):
        raise MxrcError(
            f"{path}: mode {stat.S_IMODE(file.st_mode):04o}, owner {file.st_uid}: code that moves "
            "a machine must belong to root or to the user of this process, and nobody else may "
            "write it (chmod go-w)"
        )
    # A sticky folder is as good: the file's owner was checked.
    if not _trusted(folder) and not folder.st_mode & stat.S_ISVTX:
        raise MxrcError(
            f"{path.parent}: mode {stat.S_IMODE(folder.st_mode):04o}, owner {folder.st_uid}: "
            "others may replace the code in this folder (chmod go-w)"
        )


def _trusted(found: os.stat_result) -> bool:
    return found.st_uid in (0, os.geteuid()) and not found.st_mode & 0o022
