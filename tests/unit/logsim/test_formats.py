"""Three formats, one story."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.unit.logsim.produce import produce, trace_of

LINE = re.compile(
    r"\[(?P<level>INFO|WARN)\] (?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) "
    r"(?P<service>[a-z-]+)/v(?P<version>\d+\.\d+\.\d+): (?P<message>\S.*)\n"
)


def documents(format_name: str, **options: Any) -> list[dict[str, Any]]:
    texts, _ = produce(1500, format=format_name, **options)
    assert all(text.count("\n") == 1 and text.endswith("\n") for text in texts)
    return [json.loads(text) for text in texts]


def test_one_line_records_have_the_one_line_shape() -> None:
    texts, _ = produce(1500)
    plain = [text for text in texts if not text.startswith("[ERROR]")]
    assert plain
    for text in plain:
        assert LINE.fullmatch(text), text


@pytest.mark.parametrize("incident", [False, True])
def test_all_formats_tell_the_same_story(incident: bool) -> None:
    texts, _ = produce(1500, incident=incident)
    plain = documents("json", incident=incident)
    ecs = documents("ecs", incident=incident)
    for text, one, other in zip(texts, plain, ecs, strict=True):
        header = text.split("\n", 1)[0]
        assert header.startswith(f"[{one['level']}] ")
        assert f" {one['service']}/v{one['version']}: {one['message']}" in header
        assert one["request_id"] in text
        assert one["pod"] in text
        assert one["timestamp"].replace("T", " ").rstrip("Z") in header
        if one["level"] == "ERROR":
            assert one["error"]["stack_trace"].split("\n") == trace_of(text)
            for name, value in one["error"]["details"].items():
                assert f"{name.replace('_', ' ')}: {value}".lower() in text.lower()
            assert f"    Recovery action: {one['error']['recovery_action']}\n" in text
            assert other["error.stack_trace"] == one["error"]["stack_trace"]
            assert other["error.code"] == one["error"]["code"]
            first = other["error.stack_trace"].split("\n")
            place = -1 if first[0].startswith("Traceback") else 0
            assert first[place] == f"{other['error.type']}: {other['error.message']}"
            assert other["labels"]["recovery_action"] == one["error"]["recovery_action"]
        else:
            assert not any(key.startswith("error") for key in other)
        for ecs_name, name in {
            "@timestamp": "timestamp",
            "message": "message",
            "service.name": "service",
            "service.version": "version",
            "service.node.name": "pod",
            "log.logger": "logger",
            "process.thread.name": "thread",
            "http.request.id": "request_id",
            "user.id": "user_id",
        }.items():
            assert other[ecs_name] == one[name]
        assert other["log.level"] == one["level"].lower()
        assert other["labels"]["correlation_id"] == one["correlation_id"]
        assert other["ecs.version"]


def test_ids_are_well_formed() -> None:
    for document in documents("json"):
        assert re.fullmatch(r"req-[0-9a-f]{16}", document["request_id"])
        assert re.fullmatch(
            r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
            document["correlation_id"],
        )
        assert re.fullmatch(r"usr-\d{6}", document["user_id"])


def test_traceparent_is_one_trace_per_request_and_one_span_per_record() -> None:
    texts, _ = produce(1500, traceparent=True)
    plain = documents("json", traceparent=True)
    ecs = documents("ecs", traceparent=True)
    traces: dict[str, str] = {}
    spans = set()
    for text, one, other in zip(texts, plain, ecs, strict=True):
        match = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-01", one["traceparent"])
        assert match
        assert f"raceparent{'=' if one['level'] != 'ERROR' else ': '}{match[0]}\n" in text
        assert (other["trace.id"], other["span.id"]) == match.groups()
        assert set(match[1]) != {"0"}
        assert traces.setdefault(one["request_id"], match[1]) == match[1]
        spans.add(match[2])
    assert len(spans) == len(plain)
    assert len(set(traces.values())) == len(traces)


def test_without_traceparent_there_are_no_trace_ids() -> None:
    assert not any("traceparent" in document for document in documents("json"))
    assert not any("trace.id" in document for document in documents("ecs"))


def test_the_ids_do_not_change_the_story() -> None:
    without, _ = produce(300)
    with_ids, _ = produce(300, traceparent=True)
    stripped = [re.sub(r" traceparent=\S+|\n    Traceparent: \S+", "", text) for text in with_ids]
    assert stripped == without


def test_ground_truth_stays_out_of_the_log() -> None:
    for format_name in ("text", "json", "ecs"):
        texts, _ = produce(600, format=format_name, incident=True)
        assert "INC-" not in "".join(texts)
        assert "cascade" not in "".join(texts)
