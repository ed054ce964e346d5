"""The shipped multiline parser joins whole errors; the built-in rules join the traces inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.logsim.multiline import JAVA, PYTHON, join, shipped_rules
from tests.unit.logsim.produce import produce, trace_of

PARSERS = Path(__file__).parents[3] / "deploy" / "logsim" / "parsers.conf"
WHOLE = shipped_rules(PARSERS, "mxrc_logsim_error")


@pytest.mark.parametrize("traceparent", [False, True])
@pytest.mark.parametrize("options", [{}, {"incident": True}, {"error_rate": 1.0}])
def test_the_shipped_parser_joins_every_error_and_nothing_else(
    options: dict[str, bool], traceparent: bool
) -> None:
    texts, _ = produce(2500, traceparent=traceparent, **options)
    joined = list(join("".join(texts).splitlines(), WHOLE))
    assert joined == [text.rstrip("\n").split("\n") for text in texts]


@pytest.mark.parametrize(
    "parsers", [(JAVA, PYTHON), (PYTHON, JAVA)], ids=["java-python", "python-java"]
)
def test_the_built_in_rules_join_every_trace_and_nothing_else(
    parsers: tuple[tuple[object, ...], ...],
) -> None:
    texts, _ = produce(2500, error_rate=0.6)
    expected: list[list[str]] = []
    for text in texts:
        lines = text.rstrip("\n").split("\n")
        if len(lines) == 1:
            expected.append(lines)
            continue
        trace = trace_of(text)
        start = lines.index(trace[0])
        expected += [[line] for line in lines[:start]]
        expected.append(trace)
        expected += [[line] for line in lines[start + len(trace) :]]
    assert list(join("".join(texts).splitlines(), *parsers)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("language", ["java", "python"])
def test_a_broken_trace_is_not_joined(language: str) -> None:
    """The engine is no yes-man: a line the rules do not know splits the trace."""
    texts, _ = produce(400, error_rate=1.0)
    head = "Traceback" if language == "python" else ""
    trace = next(
        t for text in texts if (t := trace_of(text))[0].startswith("Traceback") == bool(head)
    )
    rules = PYTHON if language == "python" else JAVA
    assert list(join(trace, rules)) == [trace]
    broken = (
        [*trace[:5], "        ^^^^^^^^^^", *trace[5:]]
        if language == "python"
        else [*trace[:5], "at the left margin", *trace[5:]]
    )
    assert list(join(broken, rules)) != [broken]


def test_an_error_without_its_header_is_still_one_record() -> None:
    texts, _ = produce(5, error_rate=1.0)
    lines = "".join(texts).splitlines()
    assert lines[1].startswith("ERROR: ")
    joined = list(join(lines[1:], WHOLE))
    assert joined[0] == texts[0].rstrip("\n").split("\n")[1:]
    assert len(joined) == 5


def test_an_error_without_its_error_line_is_still_one_record() -> None:
    texts, _ = produce(5, error_rate=1.0)
    lines = [line for line in "".join(texts).splitlines() if not line.startswith("ERROR: ")]
    joined = list(join(lines, WHOLE))
    assert [record[0] for record in joined] == [text.split("\n", 1)[0] for text in texts]
    assert sum(map(len, joined)) == len(lines)


def test_blank_lines_never_occur() -> None:
    texts, _ = produce(500)
    assert all(line.strip() for line in "".join(texts).splitlines())
