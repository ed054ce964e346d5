"""Loading a configuration: read, override, validate each file, then check the whole."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from shared.config import env, validation
from shared.config import overrides as runtime
from shared.config.base import ConfigFile, Fault
from shared.config.changes import merge_patch
from shared.config.configuration import Config
from shared.config.cross_checks import StemFault, file_faults, machine_faults, task_stem
from shared.config.errors import ConfigError, Loc, Problem
from shared.config.json_file import parse_json, read_file
from shared.config.machine import LinuxMachine, Machine
from shared.config.models.instance import InstanceConfig
from shared.config.models.tasks import TaskDefinition
from shared.config.paths import Paths, resolve_paths
from shared.config.registry import SECTIONS, TASKS, Section

MAX_TASK_FILES = 10_000
_MAX_TOKEN_BYTES = 4096
_MIN_TOKEN_CHARACTERS = 16


@dataclass
class _Document:
    """A file with its overrides: what was validated, and where each value came from."""

    file: str
    content: Any
    model: type[ConfigFile]
    overrides: list[env.Override] = field(default_factory=list)
    changed: dict[str, Any] = field(default_factory=dict)
    changed_by: str = ""

    def source_of(self, loc: Loc) -> str:
        file = self.changed_by if runtime.covers(self.changed, loc) else self.file
        return env.source(self.overrides, loc, file)

    def problems(self, faults: Iterable[Fault]) -> list[Problem]:
        schema = self.model.model_json_schema()
        return validation.problems_at(faults, self.content, self.source_of, schema)


class _Loader:
    """Collects problems over all files, so that a person sees them at once."""

    def __init__(
        self, directory: Path, files: Mapping[str, Path], environ: Mapping[str, str]
    ) -> None:
        self.directory = directory
        self.files = files
        self.problems: list[Problem] = []
        self.documents: dict[str, _Document] = {}
        self.absent: list[str] = []
        self.changed: dict[str, Any] = {}
        self.changed_by = ""
        try:
            self.overrides = env.read_overrides(environ, SECTIONS)
        except ConfigError as error:
            self.overrides = []
            self.problems.extend(error.problems)

    def section(self, section: Section) -> ConfigFile | None:
        path = self.files.get(section.stem, self.directory / section.file_name)
        overrides = [one for one in self.overrides if one.stem == section.stem]
        try:
            content, mode = self._read(section, path)
            changed = self.changed.get(section.stem, {})
            if changed:
                content = merge_patch(content, changed)
            document = _Document(
                str(path), content, section.model, changed=changed, changed_by=self.changed_by
            )
            document = self._overridden(document, overrides)
            self.documents[section.stem] = document
            result = validation.validate(section.model, document.content, document.source_of)
            _check_secrets(path, content, mode, section.model)
        except ConfigError as error:
            self.problems.extend(error.problems)
            return None
        return result

    def _read(self, section: Section, path: Path) -> tuple[Any, int]:
        if section.stem not in self.files and not section.required and not os.path.lexists(path):
            self.absent.append(section.stem)
            return {}, 0
        content, mode = read_file(path)
        return parse_json(content, str(path)), mode

    @staticmethod
    def _overridden(document: _Document, overrides: list[env.Override]) -> _Document:
        """The document with the overrides in place.

        A value that is right as text and wrong as the JSON that it also is (a token of digits,
        say) was meant as text.
        """

        def wrong(as_text: list[Loc]) -> set[Loc]:
            content = env.apply(document.content, overrides, as_text=as_text)
            return {fault.loc for fault in validation.find_faults(document.model, content)}

        suspects = [one.loc for one in overrides if not isinstance(one.value, str)]
        first = wrong([]) if suspects else set()
        suspects = [loc for loc in suspects if loc in first]
        second = wrong(suspects) if suspects else set()
        as_text = [loc for loc in suspects if loc not in second]
        content = env.apply(document.content, overrides, as_text=as_text)
        return replace(document, content=content, overrides=overrides)

    def runtime_changes(self, path: Path) -> None:
        """Read what was changed at run time; before the sections that it may concern."""
        self.changed_by = str(path)
        try:
            self.changed = runtime.read_overrides(path)
        except ConfigError as error:
            self.problems.extend(error.problems)

    def tasks(self) -> dict[str, TaskDefinition]:
        folder = self.files.get(TASKS.stem, self.directory / TASKS.stem)
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix == ".json")
        except FileNotFoundError:
            self.absent.append(TASKS.stem)
            return {}
        except OSError as error:
            value = (error.strerror or str(error)).lower()
            self.problems.append(Problem(str(folder), "", value, "must be a readable folder"))
            return {}
        if len(paths) > MAX_TASK_FILES:
            self.problems.append(
                Problem(str(folder), "", f"{len(paths)} files", f"must be at most {MAX_TASK_FILES}")
            )
            return {}
        found: dict[str, TaskDefinition] = {}
        for path in paths:
            try:
                document = _Document(
                    str(path), parse_json(read_file(path)[0], str(path)), TASKS.model
                )
                task = validation.validate(TaskDefinition, document.content, document.source_of)
                if task.key in found:
                    other = self.documents[task_stem(task.key)].file
                    key = "id" if task.id else "pattern"
                    fault = Fault((key,), "must not be defined twice", f"also in {other}")
                    raise ConfigError(document.problems([fault]))
            except ConfigError as error:
                self.problems.extend(error.problems)
                continue
            found[task.key] = task
            self.documents[task_stem(task.key)] = document
        return found

    def unknown_files(self) -> None:
        known = {section.file_name for section in SECTIONS.values()}
        try:
            names = sorted(path.name for path in self.directory.glob("*.json"))
        except OSError:
            return  # Each file that has to be there reports it.
        self.problems.extend(
            Problem(
                str(self.directory / name),
                "",
                "a file that is no configuration file",
                "must be one of " + ", ".join(sorted(known)),
                "rename or remove it",
            )
            for name in names
            if name not in known
        )

    def report(self, stem_faults: Iterable[StemFault]) -> None:
        for stem, fault in stem_faults:
            self.problems.extend(self.documents[stem].problems([fault]))

    def raise_problems(self) -> None:
        if self.problems:
            raise ConfigError(self.problems)


def _check_secrets(path: Path, content: Any, mode: int, model: type[ConfigFile]) -> None:
    if not mode & stat.S_IROTH or not isinstance(content, dict):
        return
    for name, info in model.model_fields.items():
        extra = info.json_schema_extra
        if isinstance(extra, dict) and extra.get("x-secret") and content.get(name) is not None:
            raise ConfigError(
                [
                    Problem(
                        str(path),
                        "",
                        f"mode {mode:04o}",
                        f"must not be readable by all: it holds $.{name}",
                        f"chmod o-r {path}",
                    )
                ]
            )


def _read_token(path: Path) -> SecretStr:
    content, mode = read_file(path, max_bytes=_MAX_TOKEN_BYTES)
    name = str(path)
    if mode & stat.S_IROTH:
        value, allowed = f"mode {mode:04o}", "must not be readable by all: it holds a token"
        raise ConfigError([Problem(name, "", value, allowed, f"chmod o-r {name}")])
    lines = content.decode("utf-8", "replace").splitlines()
    token = lines[0].strip() if lines else ""
    if len(token) < _MIN_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable():
        allowed = f"must begin with a line of at least {_MIN_TOKEN_CHARACTERS} ASCII characters"
        value = "no usable token"
        raise ConfigError([Problem(name, "", value, allowed, "openssl rand -hex 32 makes one")])
    return SecretStr(token)


def load_instance(
    config_dir: Path, environ: Mapping[str, str] = os.environ
) -> tuple[InstanceConfig, Paths]:
    """instance.json and the folders of the instance, whatever is wrong in the other files.

    Raises:
        ConfigError: instance.json itself is wrong.
    """
    loader = _Loader(Path(config_dir), {}, environ)
    instance: Any = loader.section(SECTIONS["instance"])
    loader.raise_problems()
    return instance, resolve_paths(instance, environ, system=False)


def load_config(
    config_dir: Path,
    *,
    files: Mapping[str, Path] | None = None,
    environ: Mapping[str, str] = os.environ,
    check_machine: bool = True,
    machine: Machine | None = None,
    system: bool = False,
    runtime_changes: bool = True,
) -> Config:
    """Read and check everything.

    files: files to read instead of those in `config_dir`, by stem ("tasks": another folder).
    environ: where overrides (see env.py) and the home folder are looked up.
    check_machine: CPUs and NUMA nodes named have to exist on `machine` (default: this one).
    system: default folders of a system service, not those of the user.
    runtime_changes: lay what was changed while the processes ran over the files.

    A file may be absent when all of its fields have defaults; `Config.absent` names those.

    Raises:
        ConfigError: with every problem found; files are checked against each other and against
            the machine once each of them is right by itself.
    """
    loader = _Loader(Path(config_dir), files or {}, environ)
    loader.unknown_files()
    instance: Any = loader.section(SECTIONS["instance"])
    if instance is not None:
        paths = resolve_paths(instance, environ, system=system)
        if runtime_changes:
            loader.runtime_changes(runtime.overrides_path(paths.data_dir, instance.name))
    sections: dict[str, Any] = {
        stem: instance if stem == "instance" else loader.section(section)
        for stem, section in SECTIONS.items()
    }
    tasks = loader.tasks()
    token: SecretStr | None = None
    if (api := sections["api"]) is not None:
        token = api.token
        if api.token_file is not None:
            try:
                token = _read_token(Path(api.token_file))
            except ConfigError as error:
                loader.problems.extend(error.problems)
    loader.raise_problems()
    config = Config(
        **sections,
        tasks=tasks,
        paths=paths,
        directory=Path(config_dir),
        api_token=token,
        absent=tuple(loader.absent),
        overrides=loader.changed,
    )
    loader.report(file_faults(config))
    if check_machine:
        loader.report(machine_faults(config, machine or LinuxMachine()))
    loader.raise_problems()
    return config
