"""Task definitions that were added over HTTP: a file each in the data folder, kept across restarts.

Those in tasks/ of the configuration come first: a key that is there cannot be added, and one that
comes to be there hides what was added under it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal
from urllib.parse import quote

from nonrt_process.interfaces import (
    DefinitionConflict,
    DefinitionNotKept,
    InvalidDefinition,
    UnknownDefinition,
)
from shared.config import Config, ConfigError
from shared.config.json_file import parse_json, read_file
from shared.config.json_write import sync_folder, write_json
from shared.config.models.tasks import TaskDefinition
from shared.program import compile_document

MAX_ADDED: Final = 256
SOURCE: Final = "request body"
_MAX_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Listed:
    """A definition. error: why one that was added does not fit this machine any more."""

    key: str
    source: Literal["file", "api"]
    document: dict[str, Any]
    error: str | None = None


class AddedDefinitions:
    """Definitions in a folder. active: (key) -> ids of active tasks that run it."""

    def __init__(
        self,
        folder: Path,
        config: Callable[[], Config],
        active: Callable[[str], list[str]],
        log: logging.Logger,
    ) -> None:
        self._folder = folder
        self._config = config
        self._active = active
        self._log = log
        self._lock = threading.Lock()
        self._documents: dict[str, dict[str, Any]] = {}
        self._good: Mapping[str, TaskDefinition] = MappingProxyType({})
        self._errors: dict[str, str] = {}
        self._merged: tuple[Config, Mapping[str, TaskDefinition], Config] | None = None

    def load(self) -> None:
        """Read the folder. What cannot be used stays there, is said, and is not run."""
        try:
            paths = sorted(path for path in self._folder.iterdir() if path.suffix == ".json")
        except FileNotFoundError:
            return
        except OSError as error:
            self._log.error("Task definitions added over HTTP cannot be read: %s", error)
            return
        with self._lock:
            good: dict[str, TaskDefinition] = {}
            for path in paths[:MAX_ADDED]:
                try:
                    document = parse_json(read_file(path)[0], str(path))
                    definition = compile_document(document, self._config(), source=str(path))
                except ConfigError as error:
                    reason = str(error.problems[0])
                    self._log.error("A task definition added over HTTP is not used: %s", reason)
                    self._keep_refused(path, reason)
                    continue
                key = definition.definition.key
                good[key] = definition.definition
                self._documents[key] = document
                if key in self._config().tasks:
                    self._log.warning(
                        "Task definition %s added over HTTP is hidden by the one in tasks/", key
                    )
            if len(paths) > MAX_ADDED:
                self._log.error(
                    "%s has %d definitions: only %d are read", self._folder, len(paths), MAX_ADDED
                )
            self._good = MappingProxyType(good)

    def _keep_refused(self, path: Path, reason: str) -> None:
        """Listed with its error and removable, if it is a document with a key."""
        try:
            document = parse_json(read_file(path)[0], str(path))
        except ConfigError:
            return
        key = (document.get("id") or document.get("pattern")) if isinstance(document, dict) else 0
        if isinstance(key, str) and self._path(key) == path:
            self._documents[key], self._errors[key] = document, reason

    # ---- looking -------------------------------------------------------------------------------

    def merged(self) -> Config:
        """The configuration with these definitions beside its own."""
        config, good = self._config(), self._good
        kept = self._merged
        if kept is None or kept[0] is not config or kept[1] is not good:
            tasks = {**good, **config.tasks}
            kept = self._merged = (config, good, replace(config, tasks=tasks) if good else config)
        return kept[2]

    def refused(self, key: str) -> str | None:
        """Why a definition that was added is not run; None: it is, or there is none."""
        return None if key in self._config().tasks else self._errors.get(key)

    def listed(self) -> list[Listed]:
        """All definitions by key, those of files first among equals."""
        files = self._config().tasks
        with self._lock:
            added = [
                Listed(
                    key,
                    "api",
                    document,
                    "hidden by a file in tasks/" if key in files else self._errors.get(key),
                )
                for key, document in self._documents.items()
            ]
        own = [
            Listed(key, "file", one.model_dump(by_alias=True, exclude_unset=True, mode="json"))
            for key, one in files.items()
        ]
        return sorted(own + added, key=lambda one: (one.key, one.source == "api"))

    def get(self, key: str) -> Listed:
        """One of them.

        Raises:
            UnknownDefinition
        """
        for one in self.listed():
            if one.key == key:
                return one
        raise UnknownDefinition(f"there is no task definition {key!r}")

    # ---- changing ------------------------------------------------------------------------------

    def add(self, content: bytes) -> Listed:
        """Keep a new one; on disk when it returns.

        Raises:
            InvalidDefinition, DefinitionConflict, DefinitionNotKept
        """
        definition, document = self._checked(content)
        with self._lock:
            if definition.key in self._documents:
                raise DefinitionConflict(
                    f"{definition.key!r} was added already: replace it with PUT, or delete it"
                )
            return self._keep(definition, document)

    def put(self, key: str, content: bytes) -> Listed:
        """Add or replace the one of that key.

        Raises:
            as add; DefinitionConflict also when a task that runs it is active.
        """
        definition, document = self._checked(content)
        if definition.key != key:
            raise InvalidDefinition(
                f"the definition is {definition.key!r}, the address names {key!r}",
                extensions={"errors": [{"field": "$.id", "message": f"must be {key!r}"}]},
            )
        with self._lock:
            if key in self._documents:
                self._refuse_active(key)
            return self._keep(definition, document)

    def remove(self, key: str) -> Listed:
        """Delete it; durable when it returns.

        Raises:
            UnknownDefinition, DefinitionConflict, DefinitionNotKept
        """
        with self._lock:
            document = self._documents.get(key)
            if document is None:
                if key in self._config().tasks:
                    raise DefinitionConflict(f"{key!r} is a file in tasks/: delete it there")
                raise UnknownDefinition(f"there is no task definition {key!r}")
            self._refuse_active(key)
            try:
                self._path(key).unlink(missing_ok=True)
                sync_folder(self._folder)
            except OSError as error:
                raise DefinitionNotKept(f"{key!r} cannot be deleted durably: {error}") from error
            del self._documents[key]
            self._errors.pop(key, None)
            rest = {name: one for name, one in self._good.items() if name != key}
            self._good = MappingProxyType(rest)
        self._log.warning("Task definition %s deleted over HTTP", key)
        return Listed(key, "api", document)

    def _checked(self, content: bytes) -> tuple[TaskDefinition, dict[str, Any]]:
        try:
            compiled = compile_document(content, self._config(), source=SOURCE)
            document: dict[str, Any] = parse_json(content, SOURCE)
        except ConfigError as error:
            raise InvalidDefinition(
                "; ".join(_words(error)), extensions={"errors": _errors(error)}
            ) from error
        key = compiled.definition.key
        if key in self._config().tasks:
            raise DefinitionConflict(f"{key!r} is a file in tasks/ of the configuration: change it")
        return compiled.definition, document

    def _keep(self, definition: TaskDefinition, document: dict[str, Any]) -> Listed:
        key = definition.key
        if key not in self._documents and len(self._documents) >= MAX_ADDED:
            raise DefinitionConflict(
                f"{MAX_ADDED} definitions were added already: delete some, or put them into files"
            )
        try:
            write_json(self._path(key), document)
        except OSError as error:
            raise DefinitionNotKept(f"{key!r} cannot be kept: {error}") from error
        self._documents[key] = document
        self._errors.pop(key, None)
        self._good = MappingProxyType({**self._good, key: definition})
        self._log.warning("Task definition %s added over HTTP", key)
        return Listed(key, "api", document)

    def _refuse_active(self, key: str) -> None:
        active = self._active(key)
        if active:
            more = f" and {len(active) - _MAX_NAMED} more" if len(active) > _MAX_NAMED else ""
            raise DefinitionConflict(
                f"{key!r} is in use by {', '.join(active[:_MAX_NAMED])}{more}: "
                "wait for the end, or cancel"
            )

    def _path(self, key: str) -> Path:
        return self._folder / f"{quote(key, safe='')}.json"


def _words(error: ConfigError) -> Iterable[str]:
    return (str(one) for one in error.problems[:_MAX_NAMED])


def _errors(error: ConfigError) -> list[dict[str, str]]:
    return [
        {
            "field": one.json_path,
            "message": one.allowed,
            "value": one.value,
            "hint": one.hint,
            "step": one.step,
        }
        for one in error.problems
    ]
