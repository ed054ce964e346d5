"""A configuration with some settings changed: what the API asks for and what overrides say.

Changes are JSON merge patches (RFC 7396) by file stem: objects are merged, everything else is
replaced, null takes a field back to its default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from shared.config import validation
from shared.config.base import Fault
from shared.config.configuration import Config
from shared.config.cross_checks import file_faults, machine_faults
from shared.config.errors import ConfigError, Loc, Problem
from shared.config.machine import LinuxMachine, Machine
from shared.config.registry import SECTIONS

Settings = Mapping[str, Mapping[str, Any]]
"""File stem -> merge patch of that file."""


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2; neither argument is changed."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def patch_between(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that makes `new` of `old`; neither holds null."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            inner = patch_between(before, value)
            if inner:
                patch[key] = inner
        elif key not in old or before != value:
            patch[key] = value
    return patch


def content_of(config: Config, stem: str) -> dict[str, Any]:
    """The content of a file as it is in force, without fields that are null."""
    section = getattr(config, stem)
    content: dict[str, Any] = section.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"schema_reference"}
    )
    return content


def with_settings(
    config: Config, settings: Settings, source: str, machine: Machine | None = None
) -> Config:
    """`config` with changes, checked like one that was read. source: named in the problems.

    Raises:
        ConfigError: with every problem found.
    """
    problems: list[Problem] = []
    contents: dict[str, Any] = {}
    sections: dict[str, Any] = {}

    def named(_loc: Loc) -> str:
        return source

    for stem, patch in settings.items():
        if stem not in SECTIONS:
            allowed = "must be one of " + ", ".join(SECTIONS)
            raise ConfigError([Problem(source, f"$.{stem}", "no such file", allowed)])
        contents[stem] = merge_patch(content_of(config, stem), patch)
        try:
            sections[stem] = validation.validate(SECTIONS[stem].model, contents[stem], named)
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    changed = replace(config, **sections)

    def found(faults: Iterable[tuple[str, Fault]]) -> None:
        for stem, fault in faults:
            model = SECTIONS[stem].model if stem in SECTIONS else None
            schema = model.model_json_schema() if model is not None else {}
            content = contents.get(stem, {})
            problems.extend(validation.problems_at([fault], content, named, schema))

    found(file_faults(changed))
    found(machine_faults(changed, machine or LinuxMachine()))
    if problems:
        raise ConfigError(problems)
    return changed
