"""Schemas and reference page are up to date, complete, and would be found out if not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from shared.config import reference, schema
from shared.config.models import actions
from shared.config.models.parameters import REFERENCE
from shared.config.registry import SECTIONS, TASKS
from tests.unit.config.conftest import REPOSITORY, SHIPPED

PAGE = REPOSITORY / "docs/configuration.md"


def test_schemas_are_up_to_date() -> None:
    assert schema.stale_files(SHIPPED / "schema") == []


def test_a_stale_schema_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--folder", str(tmp_path)]
    assert schema.main(arguments) == 1
    assert schema.main([*arguments, "--write"]) == 0
    assert schema.main(arguments) == 0
    document = json.loads((tmp_path / "api.schema.json").read_text())
    document["properties"]["port"]["maximum"] = 1
    (tmp_path / "api.schema.json").write_text(json.dumps(document))
    (tmp_path / "gone.schema.json").write_text("{}")
    assert schema.main(arguments) == 1
    assert capsys.readouterr().err.count("not up to date") == len(SECTIONS) + 1 + 2
    schema.main([*arguments, "--write"])
    assert schema.main(arguments) == 0
    assert not (tmp_path / "gone.schema.json").exists()


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text()
    assert reference.documented(page) == [*SECTIONS, TASKS.stem]
    assert reference.updated(page) == page


def test_a_stale_page_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text().replace("| `port` |", "| `prot` |"))
    arguments = ["--page", str(page)]
    assert reference.main(arguments) == 1
    assert reference.main([*arguments, "--write"]) == 0
    assert reference.main(arguments) == 0
    assert page.read_text() == PAGE.read_text()


def _models() -> Iterator[type[BaseModel]]:
    todo: list[type[BaseModel]] = [section.model for section in (*SECTIONS.values(), TASKS)]
    todo += [
        item
        for item in vars(actions).values()
        if isinstance(item, type) and issubclass(item, BaseModel)
    ]
    seen: set[type[BaseModel]] = set()
    while todo:
        model = todo.pop()
        if model in seen:
            continue
        seen.add(model)
        yield model
        for info in model.model_fields.values():
            for argument in (info.annotation, *getattr(info.annotation, "__args__", ())):
                if isinstance(argument, type) and issubclass(argument, BaseModel):
                    todo.append(argument)


def test_every_field_is_explained() -> None:
    count = 0
    for model in _models():
        for name, info in model.model_fields.items():
            place = f"{model.__name__}.{name}"
            extra = info.json_schema_extra
            assert isinstance(extra, dict), place
            assert info.description, place
            assert extra["x-trouble"], place
            assert extra["x-scope"] in ("live", "restart"), place
            count += 1
    assert count > 100


def _fields(node: Any, whole: Any, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    reference_ = node.get("$ref")
    if reference_ in seen:
        return  # blocks hold blocks
    if reference_:
        seen |= {reference_}
        node = whole["$defs"][reference_.rsplit("/", 1)[1]]
    for name, inner in node.get("properties", {}).items():
        if name not in ("$schema", REFERENCE):
            yield name
            yield from _fields(inner, whole, seen)
    for inner in (*node.get("anyOf", ()), *node.get("oneOf", ()), node.get("items")):
        if inner:
            yield from _fields(inner, whole, seen)


@pytest.mark.parametrize("section", [*SECTIONS.values(), TASKS], ids=lambda section: section.stem)
def test_the_table_has_every_field(section: Any) -> None:
    whole = schema.json_schema(section)
    table = reference.field_table(section)
    for name in set(_fields(whole, whole)):
        assert f"`{name}`" in table or f".{name}`" in table, name


@pytest.mark.parametrize("folder", [SHIPPED, SHIPPED / "production"], ids=["any", "production"])
def test_shipped_files_point_at_their_schema(folder: Path) -> None:
    for path in (*folder.glob("*.json"), *folder.glob("tasks/*.json")):
        target = path.parent / json.loads(path.read_text())["$schema"]
        assert target.is_file(), path
        stem = "tasks" if path.parent.name == "tasks" else path.stem
        assert target.name == f"{stem}.schema.json"


def test_importing_is_light() -> None:
    """The RT process imports it: nothing heavier than pydantic may come along."""
    code = "import sys, shared.config; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    loaded = set(run.stdout.split())
    assert "pydantic" in loaded
    heavy = {"numpy", "fastapi", "starlette", "uvicorn", "opentelemetry", "prometheus_client"}
    assert not loaded & (heavy | {"typer", "rich", "orjson", "asyncio", "sqlite3", "logging"})
