"""Changes of settings over HTTP: checked here, put in force by RT, then here, then kept.

What was changed is laid over the configuration files at every start (shared.config.overrides). The
order makes a refusal leave everything as it was: RT takes the change as a whole or not at all, and
nothing is written before it did.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from nonrt_process.context import Context
from nonrt_process.interfaces import (
    CpuPlacement,
    InvalidSetting,
    MemoryPlacement,
    NotKept,
    ProcessName,
    RtAbsent,
    RtNoReply,
)
from nonrt_process.rt_view import read_rt
from shared.config import Config, ConfigError, env
from shared.config.changes import content_of, patch_between, with_settings
from shared.config.overrides import combine, covers, overrides_path, read_overrides, write_overrides
from shared.config.registry import SECTIONS
from shared.documents import read_admin_answer, write_admin_request
from shared.segment import Segment

RT_SECTIONS: Final = frozenset({"cpu_affinity", "numa_binding", "rt_schedule", "failover_policy"})
TIMEOUT_S: Final = 5.0
POLL_S: Final = 0.02

ReadFiles = Callable[[], Config]
"""The configuration as the files and the environment have it, without what was changed since."""


class Changes:
    """RuntimePlacement, and `keep` for the settings that need no answer of RT."""

    def __init__(self, context: Context, read_files: ReadFiles | None = None) -> None:
        self._context = context
        self._read_files = read_files
        self._lock = threading.Lock()

    def placement(self, section: str, process: ProcessName) -> dict[str, Any]:
        """{"configured": ..., "in_force": ...}; in_force is null while the process is away."""
        config = self._context.config.current
        in_force = None
        if process == "rt_process":
            segment = self._context.segment
            view = None if segment is None else read_rt(segment)
            if view is not None and view.alive:
                found = view.document.get("placement", {}).get("in_force")
                in_force = found if isinstance(found, dict) else None
        elif section == "cpu_affinity":
            cpus = self._context.get(CpuPlacement)
            in_force = {"cpu_cores": sorted(os.sched_getaffinity(0))}
            in_force |= {} if cpus is None else cpus.document()
        elif section == "numa_binding":
            memory = self._context.get(MemoryPlacement)
            in_force = None if memory is None else memory.document()
        return {"configured": content_of(config, section).get(process, {}), "in_force": in_force}

    def change(self, settings: Mapping[str, Any]) -> None:
        """Raises InvalidSetting, RtAbsent, RtNoReply, NotKept."""
        with self._lock:
            _refuse_pinned(settings)
            new = self._checked(settings)
            if RT_SECTIONS.intersection(settings):
                self._ask_rt(settings)
            self._commit_after_rt(new, settings)
            self._keep(settings)

    def keep(self, settings: Mapping[str, Any]) -> None:
        """Have a change that is in force survive a restart. Raises NotKept."""
        variable = _pinned(settings)
        if variable is not None:
            raise NotKept(
                f"the change is in force, but at the next start the environment variable {variable}"
                " decides: change or unset it there"
            )
        with self._lock:
            self._keep(settings)

    def changed(self) -> dict[str, Any]:
        """Merge patch by file stem of what is kept. Raises NotKept."""
        try:
            return read_overrides(self._path())
        except ConfigError as error:
            raise NotKept(str(error)) from error

    def reset(self, section: str) -> None:
        """Back to the files. Raises InvalidSetting, RtAbsent, RtNoReply, NotKept."""
        with self._lock:
            kept = self.changed()
            new = self._checked({section: self._way_back(section)})
            settings = {section: patch_between(self._content(section), content_of(new, section))}
            if section in RT_SECTIONS and settings[section]:
                self._ask_rt(settings)
            self._commit_after_rt(new, settings)
            if kept.pop(section, None) is not None:
                self._write(kept)

    def _way_back(self, section: str) -> dict[str, Any]:
        if self._read_files is None:
            raise InvalidSetting("this process was started without configuration files")
        try:
            files = self._read_files()
        except ConfigError as error:
            raise InvalidSetting(f"the configuration files are not in order: {error}") from error
        return patch_between(self._content(section), content_of(files, section))

    def _content(self, section: str) -> dict[str, Any]:
        return content_of(self._context.config.current, section)

    def _path(self) -> Path:
        config = self._context.config.current
        return overrides_path(config.paths.data_dir, config.instance_name)

    def _checked(self, settings: Mapping[str, Any]) -> Config:
        try:
            return with_settings(self._context.config.current, settings, "request")
        except ConfigError as error:
            raise InvalidSetting(str(error)) from error

    def _commit_after_rt(self, new: Config, settings: Mapping[str, Any]) -> None:
        """RT has taken it: it goes back when this process cannot do its own part."""
        current = self._context.config.current
        way_back = {
            section: patch_between(content_of(new, section), content_of(current, section))
            for section in RT_SECTIONS.intersection(settings)
        }
        try:
            self._commit(new)
        except InvalidSetting:
            way_back = {section: patch for section, patch in way_back.items() if patch}
            if way_back:
                self._ask_rt(way_back)
            raise

    def _commit(self, new: Config) -> None:
        try:
            changes = self._context.config.propose(new)
        except ConfigError as error:
            raise InvalidSetting(str(error)) from error
        for change in changes:
            self._context.log.warning(
                "Setting %s %s changed over HTTP: %s -> %s",
                change.section,
                change.json_path,
                change.old,
                change.new,
            )

    def _keep(self, settings: Mapping[str, Any]) -> None:
        self._write(combine(self.changed(), dict(settings)))

    def _write(self, overrides: Mapping[str, Any]) -> None:
        path = self._path()
        try:
            write_overrides(path, overrides)
        except OSError as error:
            self._context.log.error("Setting in force, but lost at the next start: %s", error)
            raise NotKept(
                f"the change is in force, but {path} cannot be written ({error}): it is lost at "
                "the next start"
            ) from error

    def _ask_rt(self, settings: Mapping[str, Any]) -> None:
        segment = self._context.segment
        view = None if segment is None else read_rt(segment)
        if segment is None or view is None or not view.alive:
            raise RtAbsent("no RT process runs that could take the change: start mxrc-rt")
        number = write_admin_request(segment, {"operation": "change", "settings": dict(settings)})
        answer = self._wait(segment, view.member, number)
        if not answer.get("ok"):
            raise InvalidSetting(str(answer.get("message", "refused by the RT process")))

    def _wait(self, segment: Segment, member: int, number: int) -> dict[str, Any]:
        clock = self._context.clock
        until = clock.monotonic_ns() + round(TIMEOUT_S * 1e9)
        while clock.monotonic_ns() < until:
            answer = read_admin_answer(segment, member, number)
            if answer is not None:
                return answer
            clock.sleep(POLL_S)
        raise RtNoReply(f"RT did not answer within {TIMEOUT_S:g} s; the change may be in force")


def _refuse_pinned(settings: Mapping[str, Any]) -> None:
    """A change of what a variable sets would be gone after a restart."""
    variable = _pinned(settings)
    if variable is not None:
        raise InvalidSetting(
            f"the environment variable {variable} sets this: change or unset it there"
        )


def _pinned(settings: Mapping[str, Any]) -> str | None:
    """A variable that sets what `settings` changes."""
    for override in env.read_overrides(os.environ, SECTIONS):
        if override.stem in settings and covers(settings[override.stem], override.loc):
            return override.variable
    return None
