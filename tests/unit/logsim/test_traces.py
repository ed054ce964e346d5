"""Every stack trace is 15 to 30 lines and looks as its run-time prints it."""

from __future__ import annotations

import re

import pytest

from logsim.scenarios import SCENARIOS, ErrorTemplate
from logsim.traces.java import Thrown, full_stacks, java_trace
from tests.unit.logsim.produce import errors, produce, trace_of

TEMPLATES = [
    pytest.param(template, id=f"{scenario.name}-{template.logger}")
    for scenario in SCENARIOS
    for template in scenario.templates
]
JAVA = [p for p in TEMPLATES if p.values[0].service.language == "java"]  # type: ignore[union-attr]
PYTHON = [p for p in TEMPLATES if p.values[0].service.language == "python"]  # type: ignore[union-attr]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_trace_has_15_to_30_lines(template: ErrorTemplate) -> None:
    assert 15 <= len(template.trace) <= 30


def test_every_trace_written_has_15_to_30_lines_and_its_service_s_language() -> None:
    texts, _ = produce(3000, error_rate=1.0)
    for error in errors(texts):
        trace = trace_of(error)
        assert 15 <= len(trace) <= 30
        python = any(name in error for name in ("notification", "user-profile", "analytics"))
        if re.search(r"\d (notification-service|user-profile-api|analytics-engine)/v", error):
            assert python
            assert trace[0] == "Traceback (most recent call last):"
        else:
            assert any(line.startswith("Caused by: ") for line in trace)


@pytest.mark.parametrize("template", JAVA)
def test_java_counts_the_common_frames_as_the_jvm_does(template: ErrorTemplate) -> None:
    """`... N more` stands for the last N frames of the trace around it, and not for one more."""
    stacks: list[list[str]] = []
    for line in template.trace:
        if line.startswith("\tat "):
            stacks[-1].append(line[4:])
        elif match := re.fullmatch(r"\t\.\.\. (\d+) more", line):
            common = int(match[1])
            around, own = stacks[-2], stacks[-1]
            assert 0 < common < len(around)
            assert own[-1] != around[len(around) - common - 1]
            own.extend(around[len(around) - common :])
        else:
            assert not line.startswith(("\t", " ")), line
            stacks.append([])
    assert len(stacks) >= 2
    for stack in stacks:
        assert stack[-1] == "java.base/java.lang.Thread.run(Thread.java:833)"
        for frame in stack:
            assert re.fullmatch(
                r"(?:[\w.]+/)?[\w.$<>]+\((?:[\w$]+\.java(?::\d+)?|Unknown Source|<generated>)\)",
                frame,
            ), frame


@pytest.mark.parametrize("template", PYTHON)
def test_python_file_and_code_lines_alternate_and_the_exception_is_last(
    template: ErrorTemplate,
) -> None:
    first, *frames, last = template.trace
    assert first == "Traceback (most recent call last):"
    assert len(frames) % 2 == 0
    for file_line, code_line in zip(frames[::2], frames[1::2], strict=True):
        assert re.fullmatch(r'  File "/[\w./-]+\.py", line \d+, in [\w<>]+', file_line), file_line
        assert re.fullmatch(r"    \S.*", code_line)
        assert not set(code_line.strip()) <= set("^~"), "a caret line"
    assert last == f"{template.error_type}: {template.error_message}"


def test_libraries_that_a_java_engineer_expects_are_there() -> None:
    everything = "\n".join(line for p in JAVA for line in p.values[0].trace)  # type: ignore[union-attr]
    for package in (
        "org.springframework.",
        "com.zaxxer.hikari.",
        "org.hibernate.",
        "org.apache.kafka.",
        "io.lettuce.",
    ):
        assert f"at {package}" in everything


def test_a_cause_in_another_thread_shares_only_the_last_frame() -> None:
    chain = (
        Thrown("a.Outer", "x", ("a.Outer.call(Outer.java:1)", "Thread.run(Thread.java:1)")),
        Thrown("b.Inner", "y", ("b.Loop.run(Loop.java:1)", "Thread.run(Thread.java:1)"), 99),
    )
    assert java_trace(chain)[-3:] == (
        "Caused by: b.Inner: y",
        "\tat b.Loop.run(Loop.java:1)",
        "\t... 1 more",
    )
    assert full_stacks(chain)[1] == chain[1].frames
