"""Changing the configuration of the running RT process: all of a change or nothing of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from rt_process.exec_config import make_live
from rt_process.numa_policy import MemoryPolicyInForce
from rt_process.placement import DEADLINE_FIX, Placement, move_threads, plan, refuse_impossible
from rt_process.system import System
from shared.config import Config, ConfigError, ConfigStore
from shared.config.changes import with_settings
from shared.config.errors import Problem
from shared.config.machine import Machine
from shared.core import MxrcError
from shared.reasons import Reason
from shared.startup import Refused

_NAMED: Final = re.compile(r"(\w+)\.json: (\$[^\s:]*): (.*)")

SetMemory = Callable[[Config, Placement], MemoryPolicyInForce]
"""Puts the memory policy of a configuration in force; raises Refused."""


class Live(Protocol):
    """The part of Executive that takes new settings."""

    def apply(self, live: Any) -> None: ...


class Reloader:
    """Puts in force what may change while the process runs; `placement` and `memory` are in force.

    thread: id of the RT thread. log: writes an event of events.def. memory_changed: called after a
    change of the memory policy, or of whether pages are moved.
    """

    def __init__(
        self,
        store: ConfigStore,
        placement: Placement,
        memory: MemoryPolicyInForce,
        executive: Live,
        system: System,
        machine: Machine,
        *,
        thread: Callable[[], int],
        load: Callable[[], Config],
        log: Callable[..., None],
        set_memory: SetMemory,
        memory_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.placement = placement
        self.memory = memory
        self._store = store
        self._executive = executive
        self._system = system
        self._machine = machine
        self._thread = thread
        self._load = load
        self._log = log
        self._set_memory = set_memory
        self._memory_changed = memory_changed
        self._candidate: Config | None = None
        self._planned: tuple[Placement, MemoryPolicyInForce] | None = None
        # What the executive takes is of two files.
        for section in ("rt_schedule", "failover_policy"):
            store.subscribe(
                section,
                prepare=lambda _old, _new: self._prepare_live(),
                rollback=lambda _old, _new: self._executive.apply(make_live(store.current)),
            )
        # So is a placement, which is prepared once for both.
        for section in ("cpu_affinity", "numa_binding"):
            store.subscribe(
                section,
                prepare=lambda _old, _new: self._prepare_placement(),
                commit=lambda _old, _new: self._commit_placement(),
                rollback=lambda _old, _new: self._undo_placement(),
            )

    def reload(self) -> str:
        """Read the files again; returns lines that say what came of it. Content never raises."""
        return self._propose(self._load)[1]

    def change(self, settings: Mapping[str, Any], source: str) -> tuple[bool, str]:
        """Merge patches by file stem onto what is in force: whether they are now, and what came.

        source: what the problems name. Content never raises.
        """
        return self._propose(
            lambda: with_settings(self._store.current, settings, source, self._machine)
        )

    def _propose(self, make: Callable[[], Config]) -> tuple[bool, str]:
        try:
            self._candidate = make()
            changes = self._store.propose(self._candidate)
        except ConfigError as error:
            self._log("CONFIG_REFUSED", len(error.problems))
            return False, f"configuration refused, the old one stays in force:\n{error}"
        except MxrcError as error:
            self._log("CONFIG_REFUSED", 1)
            return False, f"configuration refused, the old one stays in force:\n{error}"
        finally:
            self._candidate = None
            self._planned = None
        if not changes:
            return True, "configuration unchanged"
        self._log("CONFIG_CHANGED", len(changes))
        fields = ", ".join(f"{change.section}.json {change.json_path}" for change in changes)
        return True, f"configuration changed: {fields}"

    def _prepare_live(self) -> None:
        if self._candidate is None:
            raise AssertionError("settings are prepared by reload() and change() only")
        try:
            refuse_impossible(self._candidate, self._system)
        except Refused as error:
            raise _refusal(self._candidate, str(error)) from error
        self._executive.apply(make_live(self._candidate))

    def _prepare_placement(self) -> None:
        if self._candidate is None:
            raise AssertionError("a placement is prepared by reload() and change() only")
        if self._planned is not None:
            return
        try:
            with self._system.sleeper() as sleeper:
                planned = plan(self._candidate, self._system, self._machine, sleeper)
            memory = self._set_memory(self._candidate, planned)
        except (Refused, OSError) as error:
            self._undo_memory()
            raise _refusal(self._candidate, str(error)) from error
        self._planned = planned, memory
        try:
            move_threads(self.placement, planned, self._thread(), self._system)
        except OSError as error:
            self._undo_placement()
            reason = str(error.strerror).lower()
            if planned.policy == "SCHED_DEADLINE":
                reason = f"SCHED_DEADLINE refused ({reason}): {DEADLINE_FIX}"
            raise _refusal(self._candidate, reason) from error

    def _commit_placement(self) -> None:
        if self._planned is None:
            return
        before = self.memory
        (self.placement, self.memory), self._planned = self._planned, None
        after = self.memory
        if (before.target, before.policy, before.nodes, before.migrate) != (
            after.target,
            after.policy,
            after.nodes,
            after.migrate,
        ):
            self._memory_changed()

    def _undo_placement(self) -> None:
        """The RT thread, the main thread and the memory policy as they were."""
        tried = self._planned[0] if self._planned is not None else self.placement
        try:
            move_threads(tried, self.placement, self._thread(), self._system)
        except OSError as error:
            lost = Reason(
                f"the RT thread is not placed as before a refused change ({error.strerror})",
                "hand over to a STANDBY, or restart",
            )
            if lost not in self.placement.reasons:
                reasons = (*self.placement.reasons, lost)
                self.placement = replace(self.placement, reasons=reasons)
        self._undo_memory()
        self._planned = None

    def _undo_memory(self) -> None:
        try:
            self._set_memory(self._store.current, self.placement)
        except Refused as error:
            lost = Reason("memory is not placed as before a refused change", str(error))
            if lost not in self.memory.reasons:
                self.memory = replace(self.memory, reasons=(*self.memory.reasons, lost))


def _refusal(config: Config, reason: str) -> ConfigError:
    """Each line is about the file and path that it names, else about the RT thread's placement."""
    problems = []
    for line in reason.splitlines():
        named = _NAMED.fullmatch(line)
        stem, path, why = (
            named.groups()
            if named is not None
            else ("cpu_affinity", "$.rt_process", f"cannot be had: {line}")
        )
        problems.append(Problem(str(config.directory / f"{stem}.json"), path, "", why))
    return ConfigError(problems)
