"""MCAP (https://mcap.dev/spec) with JSON messages and JSON Schemas: Foxglove and PlotJuggler.

Topics: /mxrc/cycles (numbers by axis name), /mxrc/log (foxglove.Log, for the log panel),
/mxrc/events, /mxrc/spans. Message times are wall-clock ns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, BinaryIO, Final, get_type_hints

import orjson

from shared.inspector.export.recording import Columns, Recording
from shared.inspector.missing import require
from shared.inspector.rows import CycleRow, EventRow, SpanRow
from shared.version import package_version

_PER_AXIS: Final = ("setpoint", "position", "velocity", "effort")
_NS: Final = 1_000_000_000
# foxglove.Log levels: 1 debug, 2 info, 3 warning, 4 error, 5 fatal.
_LEVELS: Final = {"trace": 1, "debug": 1, "info": 2, "warn": 3, "error": 4, "critical": 5}
_TIME: Final = {
    "type": "object",
    "title": "time",
    "properties": {
        "sec": {"type": "integer", "minimum": 0},
        "nsec": {"type": "integer", "minimum": 0, "maximum": _NS - 1},
    },
}
LOG_SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "foxglove.Log",
    "type": "object",
    "properties": {
        "timestamp": _TIME,
        "level": {"type": "integer"},
        "message": {"type": "string"},
        "name": {"type": "string"},
        "file": {"type": "string"},
        "line": {"type": "integer"},
    },
}


def schema_of(row: type[Any], axes: tuple[str, ...]) -> dict[str, Any]:
    """JSON Schema of the messages made from a row type."""
    hints = get_type_hints(row)
    properties: dict[str, Any] = {"timestamp": _TIME}
    for field in fields(row):
        if field.name not in _PER_AXIS:
            properties[field.name] = {"type": _json_type(hints[field.name])}
    if row is CycleRow:
        values = {name: {"type": "number"} for name in _PER_AXIS}
        each = {"type": "object", "properties": values}
        properties["axes"] = {"type": "object", "properties": dict.fromkeys(axes, each)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"mxrc.{row.__name__.removesuffix('Row')}",
        "type": "object",
        "properties": properties,
    }


def _json_type(hint: Any) -> Any:
    known = {int: "integer", float: "number", str: "string", bool: "boolean"}
    return known.get(hint, ["number", "null"])


def write(recording: Recording, file: BinaryIO) -> None:
    """All kinds into one file, in the order of time within each.

    Raises:
        PackageMissing: no mcap.
    """
    mcap: Any = require("mcap.writer", "mcap", "mcap")
    writer = mcap.Writer(file)
    writer.start(profile="", library=f"mxrc {package_version()}")
    writer.add_metadata(
        "mxrc",
        {
            "instance": recording.instance,
            "generation": str(recording.generation),
            "period_us": str(recording.period_us),
            "lost": str(recording.lost),
        },
    )
    for topic, schema, messages in (
        ("/mxrc/cycles", schema_of(CycleRow, recording.axes), _cycles(recording)),
        ("/mxrc/log", LOG_SCHEMA, _log(recording)),
        ("/mxrc/events", schema_of(EventRow, ()), _plain(recording.events, recording.event_times)),
        ("/mxrc/spans", schema_of(SpanRow, ()), _plain(recording.spans, recording.span_times)),
    ):
        schema_id = writer.register_schema(
            name=schema["title"], encoding="jsonschema", data=orjson.dumps(schema)
        )
        channel = writer.register_channel(topic=topic, message_encoding="json", schema_id=schema_id)
        for at, (time, message) in enumerate(messages):
            writer.add_message(
                channel_id=channel,
                log_time=time,
                publish_time=time,
                sequence=at,
                data=orjson.dumps(message),
            )
    writer.finish()


def _stamp(time: int) -> dict[str, int]:
    return {"sec": time // _NS, "nsec": time % _NS}


def _rows(columns: Columns) -> Iterator[dict[str, Any]]:
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _plain(columns: Columns, times: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for time, row in zip(times.tolist(), _rows(columns), strict=True):
        yield time, {"timestamp": _stamp(time), **row}


def _cycles(recording: Recording) -> Iterator[tuple[int, dict[str, Any]]]:
    for time, row in _plain(recording.cycles, recording.cycle_times):
        values = {name: row.pop(name) for name in _PER_AXIS}
        row["axes"] = {
            axis: {name: values[name][at] for name in _PER_AXIS}
            for at, axis in enumerate(recording.axes)
        }
        yield time, row


def _log(recording: Recording) -> Iterator[tuple[int, dict[str, Any]]]:
    for time, row in zip(recording.event_times.tolist(), _rows(recording.events), strict=True):
        if row["message"]:
            yield (
                time,
                {
                    "timestamp": _stamp(time),
                    "level": _LEVELS.get(row["level"], 0),
                    "message": row["message"],
                    "name": row["logger"],
                    "file": "",
                    "line": 0,
                },
            )
