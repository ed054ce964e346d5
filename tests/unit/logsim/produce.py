"""Runs the simulator inside the test, into memory."""

from __future__ import annotations

import json
from typing import Any

from logsim.labels import Labels
from logsim.runner import Tally, run
from logsim.settings import SEEDED_START_MS, Settings
from logsim.stop import Stop


class Memory:
    """An output that keeps the text of every record."""

    def __init__(self) -> None:
        self.part = 0
        self.texts: list[str] = []

    def write(self, text: str) -> None:
        self.texts.append(text)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    @property
    def text(self) -> str:
        return "".join(self.texts)


def produce(
    count: int, *, seed: int | None = 1, **options: Any
) -> tuple[list[str], list[dict[str, Any]]]:
    """The texts of `count` records and their labels, written as fast as it goes."""
    settings = Settings(
        interval_s=options.pop("interval_s", 0.0),
        count=count,
        seed=seed,
        start_ms=options.pop("start_ms", SEEDED_START_MS),
        **options,
    )
    output, truth = Memory(), Memory()
    labels = Labels(truth)
    run(settings, output, labels, Stop(), Tally())
    labels.close()
    return output.texts, [json.loads(line) for line in truth.text.splitlines()]


def errors(texts: list[str]) -> list[str]:
    """The error records among text-format records."""
    return [text for text in texts if text.startswith("[ERROR]")]


def trace_of(error: str) -> list[str]:
    """The stack trace inside an error in text format: from recovery action to footer."""
    lines = error.rstrip("\n").split("\n")
    details = [line.startswith("    Recovery action: ") for line in lines]
    start = details.index(True)
    return lines[start + 1 : -1]
