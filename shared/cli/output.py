"""The one formatter: a table for people, plain columns for pipes, JSON for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")
    sys.stdout.flush()


def print_model(model: Any, *, line: bool = False) -> None:
    """A dataclass, or a list of them, as JSON on stdout; line: without line breaks inside.

    NaN and infinities, which JSON does not have, become null.
    """
    import orjson

    option = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY
    raw = orjson.dumps(model, option=option if line else option | orjson.OPT_INDENT_2)
    sys.stdout.write(raw.decode())
    sys.stdout.flush()


def print_rows(
    rows: Iterable[Row], columns: Mapping[str, str], *, as_json: bool = False, title: str = ""
) -> None:
    """Rows under the titles of `columns` (key -> title); as JSON: a list of whole rows."""
    kept = list(rows)
    if as_json:
        print_json(kept)
        return
    cells = [[cell(row.get(key)) for key in columns] for row in kept]
    if sys.stdout.isatty():
        _rich_table(title, list(columns.values()), cells)
    else:
        _plain_table(list(columns.values()), cells)


def print_fields(fields: Row, *, as_json: bool = False, title: str = "") -> None:
    """Name and value of each field; nested objects by dotted names."""
    if as_json:
        print_json(fields)
        return
    flat = [{"name": name, "value": value} for name, value in _flatten(fields)]
    print_rows(flat, {"name": "name", "value": "value"}, title=title)


def cell(value: Any) -> str:
    """A value as a person reads it; control characters are shown, not sent to the terminal."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(item) for item in value) or "-"
    text = str(value)
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _flatten(fields: Row, prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _plain_table(titles: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    widths = [
        max([len(title), *(len(row[index]) for row in cells)]) for index, title in enumerate(titles)
    ]
    for row in [[title.upper() for title in titles], *cells]:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")
    sys.stdout.flush()


def _rich_table(title: str, titles: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*titles, title=title or None, box=box.SIMPLE_HEAD, title_justify="left")
    for row in cells:
        table.add_row(*map(escape, row))
    Console().print(table)
