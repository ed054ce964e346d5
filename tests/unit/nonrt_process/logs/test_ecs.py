from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonrt_process.logs import ecs
from shared.events import event_table
from tests.ecs_lines import violations

HOSTILE = [
    "", "\n", "\r\n", "\u2028", "\u2029", "\x00", "\x1b[31m", "\x7f", "\ud800", "\udfff\ud800",
    "a\ud83d", "\U0001f916", "\ufffe", '"', "\\", '","log.level":"forged', "}\n{", "\u202e",
    "日本語", "é" * 10_000, "%s %d", "{0}", "\b\f\t\v",
]  # fmt: skip


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text(st.characters(categories=["Cs"]))
    | st.binary()
    | st.builds(Broken)
    | st.builds(object),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.sets(st.integers())
    ),
    max_leaves=20,
)


def one_line(line: bytes) -> dict[str, Any]:
    assert line.endswith(b"\n")
    assert len(line.decode().splitlines()) == 1
    document = json.loads(line)
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_in_its_field(text: str) -> None:
    document = one_line(ecs.encode({ecs.MESSAGE: text, text: 1, ecs.LEVEL: "info"}))
    assert document[ecs.LEVEL] == "info"
    if not any("\ud800" <= char <= "\udfff" for char in text):
        assert document[ecs.MESSAGE] == text


@given(VALUES)
def test_any_value_makes_one_valid_line(value: Any) -> None:
    document = one_line(ecs.encode({ecs.MESSAGE: "m", "mxrc.value": value}))
    assert document[ecs.MESSAGE] == "m"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have(value: float) -> None:
    assert one_line(ecs.encode({"x": value}))["x"] is None


def test_recursive_and_huge_values() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert one_line(ecs.encode({"x": loop, "n": 1 << 70}))["n"] == hex(1 << 70)


def test_every_argument_has_one_type() -> None:
    types: dict[str, set[str]] = {name: {kind} for name, kind in ecs.FIELDS.items()}
    for row in event_table().values():
        for argument in row.arguments:
            field = ecs.argument_field(argument.name, argument.unit)
            types.setdefault(field, set()).add(ecs.argument_type(argument.unit))
    assert {name: kinds for name, kinds in types.items() if len(kinds) > 1} == {}


def test_no_field_is_a_value_and_an_object() -> None:
    names = set(ecs.FIELDS)
    for row in event_table().values():
        names |= {ecs.argument_field(one.name, one.unit) for one in row.arguments}
    clashes = [(a, b) for a in names for b in names if b.startswith(f"{a}.")]
    assert clashes == []


def test_units_are_in_the_names() -> None:
    assert ecs.argument_field("cycle_time", "us") == ecs.CYCLE_TIME
    assert ecs.argument_field("from", "state") == "mxrc.from"
    assert ecs.argument_field("misses", "count") == "mxrc.misses"


GOOD = {
    ecs.TIMESTAMP: "2026-01-31T10:00:00.123456Z", ecs.LEVEL: "info", ecs.MESSAGE: "text",
    ecs.LOGGER: "nonrt", ecs.PROCESS_NAME: "non_rt_process", ecs.PROCESS_PID: 7,
    ecs.ECS: ecs.ECS_VERSION, ecs.EVENT_KIND: "event", ecs.LABELS: {"instance": "a"},
}  # fmt: skip


def test_the_check_of_lines_sees_what_is_wrong() -> None:
    good = json.dumps(GOOD).encode() + b"\n"
    assert violations(good) == []
    wrong: list[dict[str, Any]] = [
        {ecs.TIMESTAMP: "2026-01-31 10:00:00"}, {ecs.LEVEL: "warning"}, {ecs.PROCESS_PID: "7"},
        {ecs.TRACE_ID: "0" * 32}, {ecs.SPAN_ID: "AB" * 8}, {ecs.LABELS: {"n": 1}},
        {ecs.LABELS: "text"}, {"mxrc.rt": 1, ecs.RT_SLOT: 1}, {"unknown": 1},
        {ecs.EVENT_SEQUENCE: 2**63}, {ecs.CYCLE_TIME: "fast"}, {ecs.CYCLE_TIME: math.nan},
        {ecs.PROCESS_NAME: "init"}, {ecs.MESSAGE: None},
    ]  # fmt: skip
    for change in wrong:
        assert violations(json.dumps({**GOOD, **change}).encode() + b"\n"), change
    for field in GOOD:
        assert violations(
            json.dumps({k: v for k, v in GOOD.items() if k != field}).encode() + b"\n"
        )
    moved = {ecs.LEVEL: "info", **GOOD}
    for line in (b"\n", b"[]\n", good[:-2] + b"\n", good[:-1], good + good):
        assert violations(line), line
    assert violations(json.dumps(moved).encode() + b"\n")
