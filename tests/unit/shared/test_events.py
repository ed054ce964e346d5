from __future__ import annotations

import math
import re

import pytest

from shared.enums import Level, RtEvent, RtState
from shared.events import event_table, format_event, format_value, loggers, message_id


def test_every_placeholder_is_an_argument() -> None:
    table = event_table()
    assert len(table) > 30
    for row in table.values():
        names = [argument.name for argument in row.arguments]
        assert set(re.findall(r"\{(\w+)\}", row.format)) <= set(names), row.name
        assert len(names) <= 6
        assert all(argument.unit for argument in row.arguments), row.name
        assert loggers()[row.logger_id] == row.logger


@pytest.mark.parametrize("message", sorted(event_table()))
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 2.5, math.nan, math.inf, -math.inf, 1e300])
def test_every_template_takes_every_number(message: int, value: float) -> None:
    text = format_event(message, [value] * 6)
    assert "{" not in text


def test_enumerations_are_shown_by_name() -> None:
    row = event_table()[message_id("STATE_CHANGED")]
    assert row.level == Level.ERROR
    args = [RtState.RUNNING, RtState.SAFE_MODE, RtEvent.SAFE_MODE_ENTER, 3, 0, 0]
    assert row.text(args) == "RT state RUNNING -> SAFE_MODE on SAFE_MODE_ENTER"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (3.0, "us", "3"),
        (3.14159, "us", "3.142"),
        (2.5, "ms", "2.5"),
        (1e-5, "rad", "1e-05"),
        (math.nan, "us", "nan"),
        (-math.inf, "state", "-inf"),
        (17.0, "state", "state(17)"),
        (2.5, "state", "state(2.5)"),
        (1.0, "policy", "SCHED_FIFO"),
        (99.0, "policy", "policy(99)"),
        (1e18, "count", "1e+18"),
        (0.0, "text", ""),
        (5.0, "text", "#5"),
    ],
)
def test_values(value: float, unit: str, text: str) -> None:
    assert format_value(value, unit) == text


def test_a_message_of_a_task_is_its_text() -> None:
    names = {7: "part ", 9: "placed"}
    text = format_event(message_id("TASK_LOG"), [7, 9, 0, 0, 0, 0], names.__getitem__)
    assert text == "part placed"


def test_unknown_messages_keep_their_numbers() -> None:
    assert format_event(999, [1.0, 2.0]) == "Message 999 [1.0, 2.0]"
    with pytest.raises(KeyError):
        message_id("NO_SUCH_MESSAGE")
