"""Lines of RT events against a plain description of them, one event at a time."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from nonrt_process.logs import columns, ecs
from nonrt_process.logs.rt_lines import RtLines
from shared.enums import NameKind, Result, RtState, name_of
from shared.events import event_table, format_event, format_value
from shared.layout import EVENT_DTYPE
from shared.names import Names
from shared.segment import Segment
from tests.unit.nonrt_process.fakes import real_segment

HOSTILE = (
    'quote " backslash \\ slash /', "tab\tline\nreturn\r", "\x01\x1b[31mred", "%s %d %%", "{late}",
    "\u2028\u2029\x85", "täsk ünïcode", "\U0001f916", "</script>", "\ufeff", "a" * 63,
)  # fmt: skip
WORDS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40))
ARGUMENT = st.one_of(
    st.floats(), st.integers(-3, 20).map(float), st.floats(-1e4, 1e4), st.just(-0.0), st.just(1e15)
)
ROW = st.fixed_dictionaries(
    {
        "message_id": st.sampled_from([*event_table(), 999]),
        "level": st.integers(0, 255),
        "args": st.lists(ARGUMENT, min_size=6, max_size=6),
        "trace": st.sampled_from([bytes(16), bytes(range(16)), b"\xff" * 16]),
        "span": st.sampled_from([bytes(8), b"\0" * 7 + b"\1"]),
        "execution_id": st.integers(0, 2**64 - 1),
        "task_id": st.one_of(
            WORDS.map(lambda text: text.encode("utf-8", "replace")), st.binary(max_size=70)
        ),
        "cycle": st.integers(0, 2**64 - 1),
        "state": st.integers(0, 9),
        "slot": st.integers(0, 2**32 - 1),
        "suppressed": st.sampled_from([0, 0, 7]),
        "error_code": st.sampled_from([0, 0, int(Result.ERR_TIMEOUT), 250]),
        "tid": st.integers(0, 2**31),
        "lane": st.integers(0, 15),
        "name": st.integers(0, 3),
    }
)


def plain(segment: Segment, names: Names, event: Any, lane: int) -> dict[str, Any]:
    """The document of one event but for its time."""
    definition = event_table().get(int(event["message_id"]))
    args = event["args"].tolist()
    message = format_event(event["message_id"], args, names.resolve)
    tid = int(event["tid"])
    document: dict[str, Any] = {
        ecs.LEVEL: ecs.LEVELS[min(int(event["level"]), 5)],
        ecs.MESSAGE: message,
        ecs.LOGGER: definition.logger if definition else "rt",
        ecs.PROCESS_NAME: "rt_process",
        ecs.PROCESS_PID: tid if lane & 1 else 0,
        ecs.THREAD_ID: tid,
        ecs.THREAD_NAME: "main" if lane & 1 else "rt",
        ecs.ECS: ecs.ECS_VERSION,
        ecs.EVENT_KIND: "event",
        ecs.EVENT_CODE: definition.name if definition else str(event["message_id"]),
        ecs.EVENT_SEQUENCE: (int(event["seq"]) // 2 - 1) * 16 + lane,
        ecs.GENERATION: segment.generation,
        ecs.LABELS: {"instance": "test"},
        ecs.RT_STATE: name_of(RtState, int(event["state"])),
        ecs.RT_SLOT: int(event["slot"]),
        ecs.RT_CYCLE: int(event["cycle"]),
        ecs.RT_EPOCH: int(event["epoch"]),
    }
    if event["trace_id"].any():
        document[ecs.TRACE_ID] = event["trace_id"].tobytes().hex()
        if event["span_id"].any():
            document[ecs.SPAN_ID] = event["span_id"].tobytes().hex()
    if event["execution_id"]:
        document[ecs.EXECUTION_ID] = int(event["execution_id"])
    if event["task_id"] or event["task_name"]:
        raw = event["task_id"]
        document[ecs.TASK_ID] = (
            raw.decode("utf-8", "replace") if raw else names.resolve(int(event["task_name"]))
        )
    for field, column in ((ecs.SEQUENCE_ID, "sequence_name"), (ecs.ACTION_ID, "action_name")):
        if event[column]:
            document[field] = names.resolve(int(event[column]))
    if event["suppressed"]:
        document[ecs.SUPPRESSED] = int(event["suppressed"])
    if event["error_code"]:
        document[ecs.ERROR_TYPE] = name_of(Result, int(event["error_code"]))
        document[ecs.ERROR_MESSAGE] = message
    for argument, value in zip(definition.arguments if definition else (), args, strict=False):
        field = ecs.argument_field(argument.name, argument.unit)
        if ecs.is_name(argument.unit):
            document[field] = format_value(value, argument.unit, names.resolve)
        elif math.isfinite(value):
            document[field] = value
    return document


_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def same(found: Any, wanted: Any) -> bool:
    """Equal, but for the last decimal of a number that was rounded."""
    if isinstance(wanted, float):
        return bool(abs(found - wanted) <= max(1e-6, abs(wanted) * 1e-12))
    if isinstance(wanted, str) and found != wanted:
        if _NUMBER.sub("#", found) != _NUMBER.sub("#", wanted):
            return False
        pairs = zip(_NUMBER.findall(found), _NUMBER.findall(wanted), strict=True)
        return all(abs(float(one) - float(other)) <= 0.00101 for one, other in pairs)
    return bool(found == wanted)


def make(rows: list[dict[str, Any]], ids: list[int]) -> Any:
    records = np.zeros(len(rows), EVENT_DTYPE)
    for number, row in enumerate(rows):
        record = records[number]
        record["seq"] = 2 * number + 2
        record["time_ns"] = 10**9 + number * 1001
        record["trace_id"] = list(row["trace"])
        record["span_id"] = list(row["span"])
        record["task_id"] = row["task_id"][: EVENT_DTYPE["task_id"].itemsize]
        record["sequence_name"] = record["action_name"] = record["task_name"] = ids[row["name"]]
        record["args"] = row["args"]
        for name in (
            "message_id", "level", "execution_id", "cycle", "state", "slot", "suppressed",
            "error_code", "tid",
        ):  # fmt: skip
            record[name] = row[name]
    return records


@pytest.fixture(scope="module")
def nonrt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Segment]:
    with real_segment(tmp_path_factory.mktemp("lines")) as (_, segment):
        yield segment


@settings(max_examples=150, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(rows=st.lists(ROW, min_size=1, max_size=25), words=st.sampled_from(HOSTILE))
def test_lines_are_what_the_events_say(
    nonrt: Segment, rows: list[dict[str, Any]], words: str
) -> None:
    names = Names(nonrt)
    ids = [0, names.intern(NameKind.ACTION, words), names.intern(NameKind.ACTION, "pick"), 4711]
    records = make(rows, ids)
    lanes = np.array([row["lane"] for row in rows], np.uint8)
    raw = RtLines(nonrt, "test").encode(records, lanes)
    wanted = [
        plain(nonrt, names, record, lane)
        for record, lane in zip(records, lanes.tolist(), strict=True)
    ]
    lines = raw.decode().splitlines()
    assert len(lines) == len(rows), "one line each, whoever splits them"
    for line, document in zip(lines, wanted, strict=True):
        found = json.loads(line)
        found.pop(ecs.EVENT_CATEGORY, None)
        stamp = found.pop(ecs.TIMESTAMP)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", stamp)
        assert list(json.loads(line))[:3] == [ecs.TIMESTAMP, ecs.LEVEL, ecs.MESSAGE]
        assert found.keys() == document.keys()
        for field, value in document.items():
            assert same(found[field], value), (field, found[field], value)


def test_timestamps() -> None:
    times = np.array([0, 999, 1_000, 1_700_000_000_123_456_789, 2**63], np.uint64)
    assert columns.timestamps(times) == [
        b"1970-01-01T00:00:00.000000Z",
        b"1970-01-01T00:00:00.000000Z",
        b"1970-01-01T00:00:00.000001Z",
        b"2023-11-14T22:13:20.123456Z",
        b"2262-04-11T23:47:16.854775Z",
    ]


def test_the_comparison_sees_a_wrong_field() -> None:
    assert not same("woke 2 us late", "woke 3 us late")
    assert not same(1.5, 2.5)
    assert same("took 1.001 us", "took 1 us")
