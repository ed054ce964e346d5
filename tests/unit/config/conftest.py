"""A folder of the shipped files to spoil, and machines to load them on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shared.config import Config, ConfigError, Problem, load_config

REPOSITORY = Path(__file__).resolve().parents[3]
SHIPPED = REPOSITORY / "config"


@dataclass
class FakeMachine:
    """Four CPUs, 2 and 3 isolated and on node 1."""

    online: frozenset[int] = frozenset(range(4))
    isolated: frozenset[int] = frozenset({2, 3})
    nodes: dict[int, frozenset[int]] = field(
        default_factory=lambda: {0: frozenset({0, 1}), 1: frozenset({2, 3})}
    )

    def online_cpus(self) -> frozenset[int]:
        return self.online

    def isolated_cpus(self) -> frozenset[int]:
        return self.isolated

    def numa_nodes(self) -> dict[int, frozenset[int]]:
        return self.nodes


def copy_files(source: Path, target: Path) -> Path:
    """Copy the files of a configuration with the modes that they have when installed."""
    for path in sorted([*source.glob("*.json"), *source.glob("tasks/*.json")]):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o644)
    return target


class Files:
    """A configuration folder that a test may change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def read(self, name: str) -> Any:
        return json.loads(self.path(name).read_text())

    def write(self, name: str, document: Any) -> None:
        text = document if isinstance(document, str) else json.dumps(document)
        self.path(name).write_text(text)
        self.path(name).chmod(0o644)

    def change(self, name: str, edit: Callable[[Any], Any]) -> None:
        document = self.read(name)
        edit(document)
        self.write(name, document)

    def load(self, environ: Mapping[str, str] | None = None, **options: Any) -> Config:
        options.setdefault("machine", FakeMachine())
        return load_config(self.folder, environ=environ or {"HOME": "/home/x"}, **options)

    def problems(self, environ: Mapping[str, str] | None = None, **options: Any) -> list[Problem]:
        with pytest.raises(ConfigError) as caught:
            self.load(environ, **options)
        assert str(caught.value).count("\n") == len(caught.value.problems) - 1
        return list(caught.value.problems)

    def problem(self, environ: Mapping[str, str] | None = None, **options: Any) -> Problem:
        (only,) = self.problems(environ, **options)
        return only


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(copy_files(SHIPPED, tmp_path / "config"))


@pytest.fixture
def production(tmp_path: Path) -> Files:
    return Files(copy_files(SHIPPED / "production", tmp_path / "production"))
