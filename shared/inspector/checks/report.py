"""All checks of an instance in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shared.core import MxrcError
from shared.inspector.checks.finding import BAD, CheckReport, Finding
from shared.inspector.checks.header import check_object
from shared.inspector.checks.life import check_life, check_lock
from shared.inspector.checks.rings import check_rings
from shared.inspector.checks.state import check_state
from shared.inspector.checks.tables import check_tables
from shared.inspector.objects import examine, object_path
from shared.segment import Segment


def check_instance(
    instance: str, lock: Path | None = None, *, demand_alive: bool = False
) -> CheckReport | None:
    """The report on an instance; None when it has no object in /dev/shm.

    lock: its lock file, where that is known. demand_alive: a dead process is bad too.
    """
    found = examine(object_path(instance))
    if found is None:
        return None
    findings = list(check_object(found))
    if not any(one.verdict == BAD for one in findings):
        findings += _contents(instance, found.alive, demand_alive)
    findings += check_lock(lock)
    bad = any(one.verdict == BAD for one in findings)
    return CheckReport(
        instance=instance,
        verdict="bad" if bad else "good",
        alive=found.alive,
        generation=found.header.generation if found.header is not None else 0,
        findings=tuple(findings),
    )


def _contents(instance: str, alive: bool, demand_alive: bool) -> Iterator[Finding]:
    try:
        segment = Segment.attach(instance)
    except MxrcError as error:
        yield Finding("object", "attach", BAD, str(error))
        return
    with segment:
        for part in (
            check_rings(segment, alive),
            check_state(segment, alive),
            check_tables(segment, alive),
            check_life(segment, demand_alive),
        ):
            try:
                yield from part
            except (MxrcError, ValueError, KeyError) as error:
                # Damage that another finding names; the other parts are still looked at.
                yield Finding("object", "damage", BAD, f"a check had to stop: {error}")
