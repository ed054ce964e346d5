"""The field tables of docs/configuration.md, generated from the models.

The page is written by hand but for what stands between `<!-- fields:STEM -->` and
`<!-- end -->`. `python -m shared.config.reference --write` brings that up to date; without
--write it ends with status 1 when it is not.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.config.allowed import Node, describe, resolve
from shared.config.models.parameters import REFERENCE_SCHEMA
from shared.config.registry import SECTIONS, TASKS, Section
from shared.config.schema import json_schema

_SOURCE_TREE = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"(<!-- fields:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_HEADER = (
    "| Field | Allowed | Default | Takes effect | What it does | What goes wrong, what to do |\n"
    "|---|---|---|---|---|---|\n"
)
_SCOPES = {"live": "at once", "restart": "at the next start"}
_HIDDEN = ("$schema",)


def field_table(section: Section) -> str:
    """The table (GitHub Markdown) of a file's fields, nested ones by their path.

    An object that comes twice is written out once; what all alternatives of a union have in
    common comes before them, and what one has in common with the first is named only.
    """
    schema = json_schema(section)
    return _HEADER + "".join(_rows(schema, schema, "", {}))


def _rows(
    node: Node, schema: Node, prefix: str, written: dict[str, str], leave_out: Node | None = None
) -> Iterator[str]:
    required = node.get("required", ())
    for name, raw in node.get("properties", {}).items():
        if name in _HIDDEN or name in (leave_out or ()):
            continue
        field = resolve(raw, schema)
        path = prefix + name
        nested = list(_nested(raw, schema))
        yield _row(
            f"`{path}`",
            describe(raw, schema),
            _default(field, required=name in required),
            "see its fields" if nested else field.get("x-effect", _SCOPES[field["x-scope"]]),
            field["description"],
            field["x-trouble"],
        )
        told = False
        first: Node = {}
        first_suffix = ""
        for suffix, inner, common in nested:
            title, place = str(inner.get("title")), path + suffix
            if common is None:
                told = title in written
            elif told:
                continue  # an alternative of a union that was written out before
            if title in written:
                yield _row(f"`{place}.*`", "", "", "", f"The fields of `{written[title]}`.", "")
                continue
            written[title] = place
            left_out = dict(common or {})
            same = _same(inner, first, left_out) if common is not None and first else []
            if same:
                names = ", ".join(f"`{name}`" for name in same)
                as_there = f"{names}: as those of `{path}{first_suffix}`."
                yield _row(f"`{place}.*`", "", "", "", as_there, "")
                left_out.update(dict.fromkeys(same))
            elif common is not None and not first:
                first, first_suffix = inner, suffix
            yield from _rows(inner, schema, f"{place}.", written, left_out)


def _same(one: Node, first: Node, left_out: Node) -> list[str]:
    """Fields of an alternative that are those of the first one, word by word."""
    other = first["properties"]
    return [
        name
        for name, field in one["properties"].items()
        if name not in left_out and other.get(name) == field
    ]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _default(field: Node, *, required: bool) -> str:
    if required:
        return "required"
    if words := field.get("x-default"):
        return str(words)
    if "default" in field:
        return f"`{json.dumps(field['default'])}`"
    return "those of its fields"


def _nested(raw: Node, schema: Node) -> Iterator[tuple[str, Node, Node | None]]:
    """Objects inside a field: what their path has in addition, schema, fields to leave out."""
    node = resolve(raw, schema)
    if node.get("title") == REFERENCE_SCHEMA["title"]:
        return
    if node.get("properties"):
        yield "", node, None
    for alternative in node.get("anyOf", ()):
        yield from _nested(alternative, schema)
    alternatives = [resolve(one, schema) for one in node.get("oneOf", ())]
    if alternatives:
        first = alternatives[0]["properties"]
        common = {
            name: field
            for name, field in first.items()
            if all(one["properties"].get(name) == field for one in alternatives)
        }
        title = " | ".join(str(one.get("title")) for one in alternatives)
        required = alternatives[0]["required"]
        yield "", {"title": title, "properties": common, "required": required}, None
        for one in alternatives:
            yield f"<{one['properties']['type']['const']}>", one, common
    if "items" in node:
        for suffix, inner, common_fields in _nested(node["items"], schema):
            yield f"[]{suffix}", inner, common_fields


def updated(page: str) -> str:
    """The text of the page with its tables up to date."""
    sections = {section.stem: section for section in (*SECTIONS.values(), TASKS)}

    def block(match: re.Match[str]) -> str:
        return match.group(1) + field_table(sections[match.group(2)]) + match.group(3)

    return _BLOCK.sub(block, page)


def documented(page: str) -> list[str]:
    """Stems of the files that the page has a table for."""
    return [match.group(2) for match in _BLOCK.finditer(page)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m shared.config.reference", description=__doc__)
    parser.add_argument("--write", action="store_true", help="bring the page up to date")
    parser.add_argument("--page", type=Path, default=_SOURCE_TREE / "docs" / "configuration.md")
    options = parser.parse_args(arguments)
    page = options.page.read_text(encoding="utf-8")
    wanted = updated(page)
    if options.write:
        options.page.write_text(wanted, encoding="utf-8")
        return 0
    if wanted != page:
        sys.stderr.write(f"{options.page}: not up to date\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
