"""What a starting RT process goes on from when the segment is gone: the newest good checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from shared.checkpoint_file import CheckpointFile, load_all
from shared.core import ERROR_BYTES, error_buffer, ffi, lib
from shared.enums import NameKind, Role, RtState, SafeCause, StateSection
from shared.names import Names

if TYPE_CHECKING:
    from pathlib import Path

    from shared.config import Config
    from shared.segment import Segment

PROCESS: Final = "rt_process"
LOCK_TIMEOUT_MS: Final = 1000
_ENDED: Final = (RtState.INIT, RtState.SHUTDOWN)


class Unusable(Exception):
    """A good file whose content does not fit this machine; `str()` says why."""


def find_checkpoint(config: Config, say: Callable[[str], None]) -> Recovery | None:
    """The checkpoint to go on from; None: a clean start.

    Files that are skipped are named. The newest one that fits decides: when the machine was stopped
    in order by then, older ones do not count.
    """
    if not config.failover_policy.rt_process.enable_state_recovery:
        return None
    folder = config.paths.checkpoint_dir
    for file in load_all(folder, PROCESS, config.instance_name, _skipped(say)):
        try:
            recovery = Recovery(file, len(config.robot.axes))
        except Unusable as error:
            say(f"Checkpoint skipped: {file.path}: {error}")
            continue
        return None if recovery.state in _ENDED else recovery
    return None


def _skipped(say: Callable[[str], None]) -> Callable[[str], None]:
    return lambda line: say(f"Checkpoint skipped: {line}")


class Recovery:
    """A checkpoint read into plain values. Raises Unusable."""

    def __init__(self, file: CheckpointFile, axes: int) -> None:
        self.checkpoint_id: Final = file.checkpoint_id
        self.path: Final = file.path
        rt_state = file.document["rt_state"]
        if not isinstance(rt_state, dict):
            raise Unusable("rt_state is no object")
        try:
            self.state: Final = RtState[rt_state["state"]]
            self._state_before = RtState[rt_state.get("state_before", "INIT")]
            self._safe_cause = SafeCause[rt_state.get("safe_cause", "NONE")]
            self._cycle = int(rt_state["cycle"])
            self._setpoints = [float(axis["setpoint"]) for axis in rt_state["axes"]]
        except (KeyError, TypeError, ValueError) as error:
            raise Unusable(f"rt_state: {error!r}") from None
        if len(self._setpoints) != axes:
            raise Unusable(f"of {len(self._setpoints)} axes, robot.json has {axes}")
        self._driver = _driver_section(rt_state)
        snapshot = file.document["datastore_snapshot"]
        self._values = snapshot if isinstance(snapshot, dict) else {}

    def fill(self, segment: Segment, say: Callable[[str], None]) -> int:
        """Into a segment that is being made: values of the critical keys. Id of the interned name
        that the log shows.
        """
        from shared.datastore import restore_values

        for line in restore_values(segment, self._values):
            say(f"{self.path}: datastore_snapshot: {line}")
        return Names(segment).intern(NameKind.KEY, self.checkpoint_id)

    def name_in(self, segment: Segment, lock_path: Path) -> int:
        """The same name in a segment that is there, but has no valid state block; its data store is
        newer than the checkpoint's values. Under the lock of the instance: another RT process may
        be starting, too, and names have one writer at a time. 0 where the lock is not to be had.
        """
        descriptor = int(
            lib.mxrc_lock_file(bytes(lock_path), LOCK_TIMEOUT_MS, error_buffer(), ERROR_BYTES)
        )
        if descriptor < 0:
            return 0
        try:
            name = self.checkpoint_id.encode()
            return int(lib.mxrc_name_intern_late(segment.raw, descriptor, int(NameKind.KEY), name))
        finally:
            lib.mxrc_unlock_file(descriptor)

    def to_c(self, name: int) -> Any:
        """A struct mxrc_exec_restore *. name: from `fill` or `name_in`."""
        version, driver = self._driver
        return ffi.new(
            "struct mxrc_exec_restore *",
            {
                "state": int(self.state),
                "state_before": int(self._state_before),
                "safe_cause": int(self._safe_cause),
                "checkpoint": name,
                "cycle": self._cycle,
                "setpoint": self._setpoints,
                "driver_version": version,
                "driver_bytes": len(driver),
                "driver": list(driver),
            },
        )


def _driver_section(rt_state: Mapping[str, Any]) -> tuple[int, bytes]:
    """Version and bytes; (0, b"") when there is none that can be read."""
    section = rt_state.get(f"section_{int(StateSection.DRIVER)}")
    with suppress(KeyError, TypeError, ValueError):
        return int(section["version"]), bytes.fromhex(section["hex"])  # type: ignore[index]
    return 0, b""


def came_from(segment: Segment, recovery: Recovery | None) -> str:
    """One line for a person, once the RT thread runs as PRIMARY; "" for a STANDBY."""
    if segment.member_struct(segment.member).role != Role.PRIMARY:
        return ""
    how = int(segment.rt_status.last_recovery)
    if how == 1:
        return "Recovered from the state block in the segment"
    if how == 2 and recovery is not None:
        return f"Recovered from checkpoint: {recovery.checkpoint_id} ({recovery.path})"
    return "Clean start"
