"""JSON Schemas of the configuration files, generated from the models.

`python -m shared.config.schema --write` writes config/schema/; without --write it says which are
not up to date and ends with status 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.config.registry import SECTIONS, TASKS, Section

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SOURCE_TREE = Path(__file__).resolve().parents[2]


def json_schema(section: Section) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a configuration file.

    Beside the standard keywords each field has `x-scope` (live or restart), `x-trouble` (what goes
    wrong and what to do) and, where words say more than keywords, `x-allowed`, `x-default` and
    `x-effect` (when a change is in force).
    """
    return {"$schema": _DIALECT, **section.model.model_json_schema()}


def schema_files() -> dict[str, str]:
    """File name -> text of each schema."""
    return {
        f"{section.stem}.schema.json": json.dumps(json_schema(section), indent=2) + "\n"
        for section in (*SECTIONS.values(), TASKS)
    }


def stale_files(folder: Path) -> list[str]:
    """Names of schemas in `folder` that are missing, not up to date, or of no file any more."""
    wanted = schema_files()
    stale = [name for name, text in wanted.items() if not _is_same(folder / name, text)]
    left = (path.name for path in folder.glob("*.schema.json"))
    return sorted([*stale, *(name for name in left if name not in wanted)])


def _is_same(path: Path, text: str) -> bool:
    # As documents: versions of pydantic differ in writing a bound of 1 as 1 or as 1.0.
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")) == json.loads(text))
    except (OSError, ValueError):
        return False


def write_files(folder: Path) -> None:
    """Write every schema into `folder` and remove those of no file."""
    wanted = schema_files()
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.schema.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m shared.config.schema", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write what is not up to date")
    parser.add_argument("--folder", type=Path, default=_SOURCE_TREE / "config" / "schema")
    options = parser.parse_args(arguments)
    stale = stale_files(options.folder)
    if options.write:
        write_files(options.folder)
        return 0
    for name in stale:
        sys.stderr.write(f"{options.folder / name}: not up to date\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
