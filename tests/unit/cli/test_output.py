from __future__ import annotations

import json

import pytest

from shared.cli.output import cell, print_fields, print_rows

ROWS: list[dict[str, object]] = [{"a": 1, "b": None, "hidden": 3}, {"a": "long text", "b": True}]


def test_plain_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, {"a": "first", "b": "second"})
    out, err = capsys.readouterr()
    assert out.splitlines() == ["FIRST      SECOND", "1          -", "long text  yes"]
    assert err == ""


def test_json_has_whole_rows_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, {"a": "first"}, as_json=True)
    assert json.loads(capsys.readouterr().out) == ROWS


def test_fields_are_flattened_for_people_only(capsys: pytest.CaptureFixture[str]) -> None:
    fields = {"one": {"two": 2.0}, "three": [1, 2]}
    print_fields(fields)
    assert "one.two  2" in capsys.readouterr().out
    print_fields(fields, as_json=True)
    assert json.loads(capsys.readouterr().out) == fields


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (1.5, "1.5"), (0.1234567, "0.123457"), ([], "-"), ((1, 2), "1, 2")],
)
def test_cells(value: object, text: str) -> None:
    assert cell(value) == text


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert cell("a\x1b[31mb\nc") == "a\\x1b[31mb\\nc"


def test_an_empty_list_still_has_titles(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], {"a": "first"})
    assert capsys.readouterr().out == "FIRST\n"
