"""The entries of rt_schedule.json: their code found and checked before all else starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from rt_process.law import refused
from shared.config import Config
from shared.config.models.rt_schedule import ScheduleEntry
from shared.core import ERROR_BYTES, error_buffer, ffi, from_text, lib, to_text
from shared.enums import Criticality, EntryRun

_LOADED: Final[dict[tuple[str, str], Any]] = {}
"""Code stays loaded for the life of the process: the real-time thread runs in it."""

_CRITICALITIES: Final = {
    "low": Criticality.LOW,
    "normal": Criticality.NORMAL,
    "high": Criticality.HIGH,
}
_RUNS: Final = {
    "inputs": EntryRun.INPUTS,
    "tasks": EntryRun.TASKS,
    "law": EntryRun.LAW,
    "outputs": EntryRun.OUTPUTS,
    "records": EntryRun.RECORDS,
    "c": EntryRun.CODE,
}
_NAME_BYTES: Final = int(ffi.typeof("struct mxrc_entry_config").fields[0][1].type.length)


def entry_fields(config: Config) -> list[dict[str, Any]]:
    """The fields of a struct mxrc_entry_config for each entry.

    Raises:
        ConfigError: code cannot be had, or does not take what it is given; with the place and why.
    """
    handles = {key.name: handle for handle, key in enumerate(config.datastore.keys)}
    return [
        {
            "name": from_text(entry.name, _NAME_BYTES),
            "period_ns": entry.period_us * 1000,
            "phase_ns": entry.phase_us * 1000,
            "wcet_ns": round(entry.wcet_us * 1000),
            "criticality": int(_CRITICALITIES[entry.criticality]),
            "run": int(_RUNS[entry.run]),
            "code": _code(config, index, entry),
            "parameter_count": len(entry.parameters),
            "parameters": list(entry.parameters),
            "input_count": len(entry.inputs),
            "input": [handles[name] for name in entry.inputs],
            "output_count": len(entry.outputs),
            "output": [handles[name] for name in entry.outputs],
        }
        for index, entry in enumerate(config.rt_schedule.entries)
    ]


def _code(config: Config, index: int, entry: ScheduleEntry) -> Any:
    """A const struct mxrc_entry_code *, NULL for a stage."""
    if entry.path is None or entry.symbol is None:
        return ffi.NULL
    path = str(Path(config.directory, entry.path))
    key = (path, entry.symbol)
    why = error_buffer()
    if key not in _LOADED:
        code = ffi.new("const struct mxrc_entry_code **")
        if lib.mxrc_entry_load(path.encode(), entry.symbol.encode(), code, why, ERROR_BYTES):
            place = ("entries", index, "path")
            raise refused(config, "rt_schedule", place, json.dumps(path), to_text(why))
        _LOADED[key] = code[0]
    given = (len(entry.parameters), len(entry.inputs), len(entry.outputs))
    if lib.mxrc_entry_check(_LOADED[key], *given, why, ERROR_BYTES):
        found = "{} parameters, {} inputs, {} outputs".format(*given)
        raise refused(config, "rt_schedule", ("entries", index), found, to_text(why))
    return _LOADED[key]
