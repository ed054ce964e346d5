"""`mxrc shm list`: segments of this machine."""

from __future__ import annotations

from typing import Any, Final

import typer

from shared.cli.options import Json

_COLUMNS: Final = {
    "instance": "instance",
    "state": "state",
    "rt_state": "rt state",
    "primary": "primary",
    "standby": "standby",
    "nonrt": "non-rt",
    "epoch": "epoch",
    "generation": "generation",
    "starts": "starts",
    "mib": "MiB",
    "owner": "owner",
    "note": "note",
}


def register(app: typer.Typer) -> None:
    """Add `list`."""

    @app.command(name="list")
    def list_segments(as_json: Json = False) -> None:
        """Every segment of this machine: alive, dead or foreign, whose it is, who is attached."""
        from shared.cli.output import print_model, print_rows
        from shared.cli.segment import note
        from shared.inspector.listing import list_instances

        found = list_instances()
        if as_json:
            print_model(found)
            return
        print_rows(map(_row, found), _COLUMNS, title="segments in /dev/shm")
        if not found:
            note("no segment in /dev/shm: nothing of mxrc runs or died here since the last boot")


def _row(one: Any) -> dict[str, Any]:
    whole = bool(one.rt_state)
    return {
        "instance": one.instance,
        "state": one.state,
        "rt_state": one.rt_state or None,
        "primary": one.primary_pid,
        "standby": one.standby_pids,
        "nonrt": one.nonrt_pid,
        "epoch": one.epoch if whole else None,
        "generation": one.created or None,
        "starts": one.starts if whole else None,
        "mib": f"{one.bytes / (1 << 20):.1f}",
        "owner": one.owner,
        "note": one.note,
    }
