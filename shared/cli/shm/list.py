"""`mxrc shm list`: segments of this machine."""

from __future__ import annotations

from typing import Any, Final

import typer

from shared.cli.options import Json

_COLUMNS: Final = {
    "instance": "instance",
    "state": "state",
    "rt_state": "rt state",
    "rt_pid": "rt pid",
    "nonrt_pid": "non-rt pid",
    "epoch": "epoch",
    "cycles": "cycles",
    "mib": "MiB",
    "created": "created (UTC)",
    "problem": "problem",
}


def register(app: typer.Typer) -> None:
    """Add `list`."""

    @app.command(name="list")
    def list_segments(as_json: Json = False) -> None:
        """Every segment of this machine, with who is attached and whether it is alive."""
        from shared.cli.output import print_rows
        from shared.segment import instances

        print_rows(map(_row, instances()), _COLUMNS, as_json=as_json, title="segments")


def _row(instance: str) -> dict[str, Any]:
    from datetime import datetime, timezone

    from shared.core import MxrcError
    from shared.enums import RtState, SegmentState, name_of
    from shared.segment import Segment, process_alive

    try:
        segment = Segment.attach(instance)
    except MxrcError as error:
        return {"instance": instance, "state": type(error).__name__, "problem": str(error)}
    with segment:
        header, status, nonrt = segment.header, segment.rt_status, segment.nonrt_status
        primary = segment.primary()
        member = segment.member_struct(primary) if primary is not None else None
        rt_alive = member is not None and process_alive(member.pid, member.process_start)
        state = name_of(SegmentState, header.state)
        created = datetime.fromtimestamp(int(header.generation) / 1e9, timezone.utc)
        return {
            "instance": instance,
            "state": state if rt_alive or state != "LIVE" else "DEAD",
            "rt_state": name_of(RtState, status.state),
            "rt_pid": int(member.pid) if member is not None and rt_alive else None,
            "nonrt_pid": int(nonrt.pid) if process_alive(nonrt.pid, nonrt.process_start) else None,
            "epoch": segment.epoch(),
            "cycles": int(status.cycles_run),
            "mib": round(segment.bytes / (1 << 20), 1),
            "created": created.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "problem": "",
        }
