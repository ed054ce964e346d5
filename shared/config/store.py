"""The configuration in force, and changing it while things run.

A change is all or nothing: every subscriber validates, then every subscriber prepares, then all
commit. What is refused on the way leaves the old configuration in force.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr

from shared.config.base import Scope, field_note
from shared.config.configuration import Config
from shared.config.errors import ConfigError, Loc, Problem, json_path
from shared.config.registry import SECTIONS, TASKS

Callback = Callable[[Any, Any], None]
"""Called with a section as it is and as it shall be."""


@dataclass(frozen=True, slots=True)
class Change:
    """A value that differs between two configurations."""

    section: str
    json_path: str
    old: Any
    new: Any
    scope: Scope


@dataclass(frozen=True, slots=True)
class _Subscriber:
    section: str
    validate: Callback | None
    prepare: Callback | None
    commit: Callback | None
    rollback: Callback | None


class ConfigStore:
    """The configuration in force; safe to use from several threads.

    Callbacks run in the thread that proposes, one proposal at a time.
    """

    def __init__(self, config: Config) -> None:
        self._lock = threading.Lock()
        self._current = config
        self._subscribers: list[_Subscriber] = []

    @property
    def current(self) -> Config:
        """The configuration in force."""
        return self._current

    def subscribe(
        self,
        section: str,
        *,
        validate: Callback | None = None,
        prepare: Callback | None = None,
        commit: Callback | None = None,
        rollback: Callback | None = None,
    ) -> Callable[[], None]:
        """Be told when `section` (a file stem) changes; returns a function that ends it.

        validate(old, new): raise ConfigError to refuse; change nothing.
        prepare(old, new): get hold of what the change needs; raise ConfigError to refuse.
        commit(old, new): make it so; must not fail.
        rollback(old, new): undo prepare, because somebody else refused.
        """
        if section not in SECTIONS and section != TASKS.stem:
            raise ValueError(f"no such section: {section}")
        subscriber = _Subscriber(section, validate, prepare, commit, rollback)
        with self._lock:
            self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            with self._lock:
                if subscriber in self._subscribers:
                    self._subscribers.remove(subscriber)

        return unsubscribe

    def propose(self, new: Config, *, allow_restart_fields: bool = False) -> list[Change]:
        """Put `new` in force; returns what changed (possibly nothing).

        Raises:
            ConfigError: refused, and the old configuration is still in force. A change of a field
                that needs a restart is refused unless `allow_restart_fields`.
            Exception: whatever a commit raised, after all others have committed; `new` is in force.
        """
        with self._lock:
            old = self._current
            changes = list(config_changes(old, new))
            if not allow_restart_fields:
                _refuse_restart(changes, new)
            changed = {change.section for change in changes}
            concerned = [one for one in self._subscribers if one.section in changed]
            self._validate(concerned, old, new)
            self._prepare(concerned, old, new)
            self._current = new
            self._commit(concerned, old, new)
            return changes

    @staticmethod
    def _validate(concerned: list[_Subscriber], old: Config, new: Config) -> None:
        problems: list[Problem] = []
        for one in concerned:
            try:
                _call(one.validate, one.section, old, new)
            except ConfigError as error:
                problems.extend(error.problems)
        if problems:
            raise ConfigError(problems)

    @staticmethod
    def _prepare(concerned: list[_Subscriber], old: Config, new: Config) -> None:
        prepared: list[_Subscriber] = []
        try:
            for one in concerned:
                _call(one.prepare, one.section, old, new)
                prepared.append(one)
        except BaseException:
            for one in reversed(prepared):
                _call(one.rollback, one.section, old, new)
            raise

    @staticmethod
    def _commit(concerned: list[_Subscriber], old: Config, new: Config) -> None:
        first_error: Exception | None = None
        for one in concerned:
            try:
                _call(one.commit, one.section, old, new)
            except Exception as error:  # noqa: BLE001 - the others have to commit all the same
                first_error = first_error or error
        if first_error is not None:
            raise first_error


def _call(callback: Callback | None, section: str, old: Config, new: Config) -> None:
    if callback is not None:
        callback(getattr(old, section), getattr(new, section))


def _refuse_restart(changes: list[Change], new: Config) -> None:
    problems = [
        Problem(
            str(new.directory / f"{change.section}.json"),
            change.json_path,
            repr(change.new),
            f"must stay {change.old!r} while the process runs",
            "this field takes effect at the next start: restart, or change it back",
        )
        for change in changes
        if change.scope == "restart"
    ]
    if problems:
        raise ConfigError(problems)


def config_changes(old: Config, new: Config) -> Iterator[Change]:
    """Every value that differs between the files of two configurations.

    The token that token_file points to counts as a change of it.
    """
    for stem in SECTIONS:
        yield from _changes(stem, (), getattr(old, stem), getattr(new, stem), "restart")
    if old.api.token_file == new.api.token_file and old.api.token == new.api.token:
        yield from _changes("api", ("token_file",), old.api_token, new.api_token, "live")
    for key in sorted({*old.tasks, *new.tasks}):
        before, after = old.tasks.get(key), new.tasks.get(key)
        if before != after:
            yield Change(TASKS.stem, json_path((key,)), before, after, "live")


def _changes(stem: str, loc: Loc, old: Any, new: Any, scope: Scope) -> Iterator[Change]:
    if old == new:
        return
    if isinstance(old, BaseModel) and type(old) is type(new):
        for name, info in type(old).model_fields.items():
            if name == "schema_reference":
                continue  # for editors
            inner: Scope = field_note(info.json_schema_extra, "x-scope") or scope
            here = (*loc, info.alias or name)
            yield from _changes(stem, here, getattr(old, name), getattr(new, name), inner)
    elif _is_model_list(old) and _is_model_list(new) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _changes(stem, (*loc, index), before, after, scope)
    else:
        yield Change(stem, json_path(loc), _plain(old), _plain(new), scope)


def _is_model_list(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], BaseModel)


def _plain(value: Any) -> Any:
    """`value` as it may be shown and logged."""
    if isinstance(value, BaseModel):
        return value.model_dump(by_alias=True)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, SecretStr) else value
