"""A wrong option is one clear line and exit status 2."""

from __future__ import annotations

import re

import pytest

from logsim.options import parse
from logsim.settings import SEEDED_START_MS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--error-rate", "1.5"], ["--error-rate", "1.5", "0 to 1"]),
        (["--error-rate", "-0.1"], ["--error-rate", "-0.1"]),
        (["--error-rate", "nan"], ["--error-rate", "nan"]),
        (["--interval", "-1"], ["--interval", "-1", "negative"]),
        (["--interval", "inf"], ["--interval", "inf"]),
        (["--interval", "soon"], ["--interval", "soon"]),
        (["--rate", "-5"], ["--rate", "-5"]),
        (["--count", "0"], ["--count", "0"]),
        (["--count", "2.5"], ["--count", "2.5"]),
        (["--duration", "0"], ["--duration", "0"]),
        (["--seed", "abc"], ["--seed", "abc"]),
        (["--start", "yesterday"], ["--start", "yesterday", "ISO 8601"]),
        (["--format", "xml"], ["--format", "xml", "text"]),
        (["--scenario", "fire"], ["--scenario", "fire", "out-of-memory"]),
        (["--rotate-size", "0"], ["--rotate-size"]),
        (["--rotate-size", "10Q", "--output", "x"], ["--rotate-size", "10Q"]),
        (["--rotate-size", "10M"], ["--rotate-size", "--output"]),
        (["--overwrite"], ["--overwrite", "--output"]),
        (["--output", ""], ["--output", "empty"]),
        (["--output", "a.log", "--label", "./a.log"], ["--label", "--output", "a.log"]),
        (["--incident", "--error-rate", "0"], ["--incident", "--error-rate"]),
        (["--inter", "1"], ["--inter"]),
        (["extra"], ["extra"]),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        parse(arguments)
    assert exit_info.value.code == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert re.fullmatch(r"mxrc-logsim: error: .*\n", captured.err), captured.err
    for word in words:
        assert word in captured.err


def test_the_defaults_are_those_promised() -> None:
    settings = parse([])
    assert settings.interval_s == 2.0
    assert settings.error_rate == 0.3
    assert settings.format == "text"
    assert settings.output is None
    assert settings.start_ms is None


def test_a_rate_makes_the_interval_zero_unless_it_is_given() -> None:
    assert parse(["--rate", "100"]).interval_s == 0.0
    assert parse(["--rate", "0"]).interval_s == 0.0
    assert parse(["--rate", "100", "--interval", "1"]).interval_s == 1.0


def test_a_seed_simulates_the_time() -> None:
    assert parse(["--seed", "1"]).start_ms == SEEDED_START_MS
    assert parse(["--start", "2026-01-01"]).start_ms == SEEDED_START_MS
    assert parse(["--start", "2026-01-01T01:00:00+01:00"]).start_ms == SEEDED_START_MS
    assert parse(["--start", "2026-01-01T00:00:01.500Z"]).start_ms == SEEDED_START_MS + 1500


@pytest.mark.parametrize(
    ("text", "size"), [("1000", 1000), ("2k", 2048), ("3M", 3 << 20), ("1G", 1 << 30)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse(["--output", "x", "--rotate-size", text]).rotate_bytes == size


def test_the_help_has_examples_and_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        parse(["--help"])
    assert exit_info.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    for name in ("db-pool-exhausted", "consumer-lag", "--interval", "--traceparent", "--label"):
        assert name in text
    block = text.split("examples:\n", 1)[1].split("\n\n", 1)[0]
    examples = [line[2:] for line in block.splitlines() if line.startswith("  mxrc-logsim")]
    assert len(examples) >= 5
    for example in examples:
        command = re.split(r" {3,}", example)[0]
        parse(command.split()[1:])
