"""Changing the configuration of the running RT process: all of a change or nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from rt_process.exec_config import make_live
from rt_process.placement import Placement, move_thread, plan
from rt_process.system import System
from shared.config import Config, ConfigError, ConfigStore
from shared.config.errors import Problem
from shared.config.machine import Machine
from shared.config.models.cpu_affinity import CpuAffinityConfig
from shared.config.models.rt_schedule import RtScheduleConfig
from shared.core import MxrcError
from shared.startup import Refused


class Live(Protocol):
    """The part of Executive that takes new settings."""

    def apply(self, live: Any) -> None: ...


class Reloader:
    """Puts in force what may change while the process runs; `placement` is what is in force.

    thread: id of the RT thread. log: writes an event of events.def.
    """

    def __init__(
        self,
        store: ConfigStore,
        placement: Placement,
        executive: Live,
        system: System,
        machine: Machine,
        *,
        thread: Callable[[], int],
        load: Callable[[], Config],
        log: Callable[..., None],
    ) -> None:
        self.placement = placement
        self._store = store
        self._executive = executive
        self._system = system
        self._machine = machine
        self._thread = thread
        self._load = load
        self._log = log
        self._candidate: Config | None = None
        self._planned: Placement | None = None
        store.subscribe("rt_schedule", prepare=self._prepare_schedule, rollback=self._undo_schedule)
        store.subscribe(
            "cpu_affinity",
            prepare=self._prepare_placement,
            commit=self._commit_placement,
            rollback=self._undo_placement,
        )

    def reload(self) -> str:
        """Read the files again; returns lines that say what came of it. Content never raises."""
        try:
            self._candidate = self._load()
            changes = self._store.propose(self._candidate)
        except ConfigError as error:
            self._log("CONFIG_REFUSED", len(error.problems))
            return f"configuration refused, the old one stays in force:\n{error}"
        except MxrcError as error:
            self._log("CONFIG_REFUSED", 1)
            return f"configuration refused, the old one stays in force:\n{error}"
        finally:
            self._candidate = None
        if not changes:
            return "configuration unchanged"
        self._log("CONFIG_CHANGED", len(changes))
        fields = ", ".join(f"{change.section}.json {change.json_path}" for change in changes)
        return f"configuration changed: {fields}"

    def _prepare_schedule(self, _old: RtScheduleConfig, new: RtScheduleConfig) -> None:
        self._executive.apply(make_live(new))

    def _undo_schedule(self, old: RtScheduleConfig, _new: RtScheduleConfig) -> None:
        self._executive.apply(make_live(old))

    def _prepare_placement(self, _old: CpuAffinityConfig, _new: CpuAffinityConfig) -> None:
        if self._candidate is None:
            raise AssertionError("a placement is prepared by reload() only")
        try:
            planned = plan(self._candidate, self._system, self._machine)
            move_thread(planned, self._thread(), self._system)
        except Refused as error:
            raise _refusal(self._candidate, str(error)) from error
        except OSError as error:
            move_thread(self.placement, self._thread(), self._system)
            raise _refusal(self._candidate, str(error.strerror).lower()) from error
        self._planned = planned

    def _commit_placement(self, _old: CpuAffinityConfig, _new: CpuAffinityConfig) -> None:
        if self._planned is not None:
            self.placement, self._planned = self._planned, None

    def _undo_placement(self, _old: CpuAffinityConfig, _new: CpuAffinityConfig) -> None:
        move_thread(self.placement, self._thread(), self._system)
        self._planned = None


def _refusal(config: Config, reason: str) -> ConfigError:
    file = str(config.directory / "cpu_affinity.json")
    return ConfigError([Problem(file, "$.rt_process", "a placement", f"cannot be had: {reason}")])
