"""list, info, top, tail, stats, get, watch on a segment of this process."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from shared.cli.shm import check, clean, export, get, info, plot, stats, tail, top, watch
from shared.core import layout_hash
from shared.inspector.filtering import FilterRefused, parse_filter
from shared.inspector.listing import Listed
from shared.inspector.rows import CycleRow, EventRow, SpanRow, field_names, rfc3339
from shared.inspector.statistics import distribution
from shared.segment import Segment
from tests.unit.cli.shm.conftest import Run, publish_cycle
from tests.unit.shared.test_segment import as_if_built_from, shm_file

VERBS = ("check", "clean", "export", "get", "info", "list", "plot", "stats", "tail", "top", "watch")


def test_every_verb_is_there_with_json_and_help(run: Run) -> None:
    for verb in VERBS:
        found = run(verb, "--help", own=False)
        assert found.status == 0
        assert "--json" in found.stdout, verb
    modules = (check, clean, export, get, info, plot, stats, tail, top, watch)
    assert {module.__name__.rpartition(".")[2] for module in modules} | {"list"} == set(VERBS)


def test_list_shows_owner_generation_and_who_is_attached(
    filled: Segment, instance: str, run: Run
) -> None:
    row = next(one for one in run("list", "--json").json if one["instance"] == instance)
    assert set(row) == {field.name for field in dataclasses.fields(Listed)}
    assert row["generation"] == filled.generation
    assert (row["bytes"], row["epoch"], row["starts"]) == (filled.bytes, 1, 1)
    assert row["primary_pid"] == filled.member_struct(0).pid
    assert instance in run("list").stdout


def test_list_names_what_is_foreign(instance: str, run: Run) -> None:
    shm_file(instance).write_bytes(b"x" * 20000)
    try:
        row = next(one for one in run("list", "--json").json if one["instance"] == instance)
        assert row["state"] == "foreign"
        assert "magic 0x7878787878787878" in row["note"]
        shm_file(instance).write_bytes(b"x")
        row = next(one for one in run("list", "--json").json if one["instance"] == instance)
        assert row["state"] == "foreign"
        assert run("check").status == 1
        assert run("tail").status == 1
    finally:
        shm_file(instance).unlink()


def test_another_layout_is_named_with_both_hashes(filled: Segment, instance: str, run: Run) -> None:
    other = layout_hash() ^ 1
    with as_if_built_from(instance, other):
        row = next(one for one in run("list", "--json").json if one["instance"] == instance)
        told = run("info", "--json").json
        checked = run("check", "--json")
        refused = run("tail")
    assert row["state"] == "other layout"
    for text in (row["note"], told["problem"], refused.stderr):
        assert f"{layout_hash():016x}" in text
        assert f"{other:016x}" in text
    assert (told["kind"], checked.status) == ("other layout", 1)
    assert told["header"]["layout_hash"] == f"0x{other:016x}"
    assert [row["processes"][0]["pid"], row["processes"][0]["condition"]] == [
        filled.member_struct(0).pid,
        "alive",
    ]


def test_info_has_header_regions_and_every_field(filled: Segment, run: Run) -> None:
    told = run("info", "--layout", "--json").json
    assert told["header"]["crc"] == told["header"]["crc_computed"]
    assert len(told["regions"]) == len(filled.regions())
    fields = {(row["region"], row["field"]): row for row in told["layout"]}
    status = filled.description(3)
    assert fields["rt_status", "cycle"]["offset"] == status.offset + 8
    assert fields["cycle_ring", "wake_ns"]["type"] == "uint64_t"
    assert "rt_status" in run("info", "--region", "rt_status", "--layout").stdout
    assert run("info", "--region", "nowhere").status == 2


def test_tail_of_cycles_gives_latencies_flags_and_names(filled: Segment, run: Run) -> None:
    rows = run("tail", "cycles", "-n", "2", "--json").lines
    assert [row["cycle"] for row in rows] == [98, 101]
    late = rows[-1]
    assert tuple(late) == field_names(CycleRow)
    assert late["jitter_us"] == pytest.approx(950)
    assert late["commit_us"] == pytest.approx(953)
    assert (late["skipped"], late["flags"]) == (2, "DEADLINE_MISS|SKIPPED_BEFORE")
    assert (rows[0]["task"], rows[0]["action"], len(rows[0]["position"])) == ("demo", "wave", 6)
    assert "cycle 101" in run("tail", "cycles").stdout


def test_tail_of_events_and_spans(filled: Segment, run: Run) -> None:
    event = run("tail", "events", "--json", "--filter", "kind=STATE").lines
    assert [tuple(row) for row in event] == [field_names(EventRow)]
    assert event[0]["message"] == "RT state READY -> RUNNING on START"
    assert (event[0]["level"], event[0]["logger"]) == ("error", "rt.state")
    spans = run("tail", "spans", "--json").lines
    assert [row["operation"] for row in spans] == ["action.execute", "task.execute"]
    assert tuple(spans[0]) == field_names(SpanRow)
    assert (spans[0]["duration_ms"], spans[0]["action"]) == (4.0, "wave")
    assert spans[0]["trace_id"] == bytes(range(16)).hex()


@pytest.mark.parametrize(
    ("arguments", "cycles"),
    [
        (("--filter", "jitter_us>50"), [101]),
        (("--filter", "flags~miss"), [101]),
        (("--filter", "cycle<=1"), [0, 1]),
        (("--filter", "cycle>=97", "--filter", "skipped=0"), [97, 98]),
        (("--filter", "task!~demo"), [101]),
        (("-n", "0"), []),
    ],
)
def test_filters(filled: Segment, run: Run, arguments: tuple[str, ...], cycles: list[int]) -> None:
    rows = run("tail", "cycles", "--json", *arguments).lines
    assert [row["cycle"] for row in rows] == cycles


def test_since_counts_from_the_newest_record(filled: Segment, run: Run) -> None:
    rows = run("tail", "cycles", "--json", "--since", "5ms").lines
    assert [row["cycle"] for row in rows] == [97, 98, 101]
    for when in (rows[-1]["time"], rows[-1]["time"][:26] + "+00:00"):
        again = run("tail", "cycles", "--json", "--since", when).lines
        assert [row["cycle"] for row in again] == [101]


@pytest.mark.parametrize(
    "arguments",
    [
        ("tail", "--filter", "nonsense"),
        ("tail", "--filter", "nowhere=1"),
        ("tail", "--filter", "message~["),
        ("tail", "--filter", "level>loud"),
        ("tail", "cycles", "--filter", "cycle>many"),
        ("tail", "cycles", "--filter", "position>1"),
        ("tail", "--since", "yesterday"),
        ("get", "rt_status.nowhere"),
        ("get", "cursors.cursor[99].name"),
        ("watch", "nowhere"),
        ("export", "csv", "-o", "-", "--json"),
    ],
)
def test_a_users_mistake_is_a_line_and_status_2(
    filled: Segment, run: Run, arguments: tuple[str, ...]
) -> None:
    found = run(*arguments)
    assert found.status == 2
    assert found.stdout == ""
    assert len(found.stderr.splitlines()) == 1


@pytest.mark.parametrize("verb", ["info", "tail", "stats", "get", "top", "plot"])
def test_no_segment_is_said_with_those_that_there_are(run: Run, instance: str, verb: str) -> None:
    found = run(verb)
    assert found.status == 69
    assert instance in found.stderr
    assert "instances here" in found.stderr
    assert found.stdout == ""


def test_a_filter_on_null_matches_not_equal_only() -> None:
    @dataclasses.dataclass
    class Row:
        commit_us: float | None

    assert not parse_filter("commit_us<5", ["commit_us"])(Row(None))
    assert parse_filter("commit_us!=5", ["commit_us"])(Row(None))
    with pytest.raises(FilterRefused, match="there are commit_us"):
        parse_filter("x=1", ["commit_us"])


def test_large_whole_numbers_are_compared_exactly() -> None:
    @dataclasses.dataclass
    class Row:
        execution_id: int

    row = Row(2**63 + 1)
    assert parse_filter(f"execution_id={2**63 + 1}", ["execution_id"])(row)
    assert not parse_filter(f"execution_id={2**63}", ["execution_id"])(row)


def test_stats_count_skipped_slots_and_time_per_action(filled: Segment, run: Run) -> None:
    found = run("stats", "--json").json
    wakeup = found["ring"][0]
    assert (found["cycles"], found["missed"], found["skipped"]) == (100, 1, 2)
    assert (wakeup["count"], wakeup["p50_us"], wakeup["max_us"]) == (100, 20.0, 950.0)
    assert sum(bucket["count"] for bucket in wakeup["buckets"]) == 100
    (action,) = found["actions"]
    assert (action["task"], action["action"], action["p99_ms"]) == ("demo", "wave", 4.0)
    text = run("stats").stdout
    assert "1 deadline misses, 2 slots skipped" in text
    assert "500 ..    1000 us          1  #" in text
    assert run("stats", "--last", "1", "--json").json["cycles"] == 1


def test_a_distribution_has_its_values_in_half_open_buckets() -> None:
    found = distribution("x", np.array([0.05, 1.0, 1.0001, 5.0, 1e9]))
    by_upper = {bucket.upper_us: bucket.count for bucket in found.buckets if bucket.count}
    assert by_upper == {0.1: 1, 1.0: 1, 2.0: 1, 5.0: 1, None: 1}


def test_get_by_name_pattern_index_and_key(filled: Segment, run: Run) -> None:
    assert run("get", "rt_status.state").stdout == "RUNNING\n"
    assert run("get", "cell.temperature").stdout == run("get", "data.cell.temperature").stdout
    values = {row["name"]: row for row in run("get", "rt_status.*", "--json").json}
    assert values["rt_status.state"]["value"] == 2
    assert run("get", "lease.mutex[0]").stdout.strip().isdigit()
    assert "counter.mxrc_rt_cycle_count" in run("get").stdout.splitlines()
    refused = run("get", "rt_statu.state")
    assert "did you mean rt_status.state" in refused.stderr


def test_every_name_that_is_listed_can_be_read(filled: Segment, run: Run) -> None:
    names = run("get").stdout.splitlines()
    rows = run("get", "--json").json
    assert [row["name"] for row in rows] == names
    assert not [row for row in rows if row["type"] in ("unreadable", "")]


def test_watch_shows_changes_only(filled: Segment, run: Run) -> None:
    lines = run("watch", "rt_status.state", "rt_status.cycle", "-n", "2", "--json").lines
    assert {line["name"] for line in lines} == {"rt_status.state", "rt_status.cycle"}
    every = run("watch", "rt_status.state", "--every", "-n", "3", "--interval", "0.01").stdout
    assert every.count("rt_status.state  RUNNING") == 3


def test_top_gives_rates_and_losses_per_consumer(filled: Segment, run: Run) -> None:
    cursor = Segment.attach(filled.name.removeprefix("/mxrc-"))
    assert cursor.cursors.cursor[0].cycle == 0
    first, second = run("top", "-n", "2", "--interval", "0.1", "--json").lines
    rings = {ring["name"]: ring for ring in first["flows"]["rings"]}
    assert rings["cycle_ring"]["head"] == 100
    assert rings["cycle_ring"]["fill"] == 100 / 256
    assert rings["cycle_ring"]["rate_hz"] is None
    assert {ring["name"]: ring["rate_hz"] for ring in second["flows"]["rings"]}["cycle_ring"] == 0
    assert "jitter_us" in run("top", "-n", "1").stdout


def test_top_fits_a_terminal_of_24_lines(filled: Segment) -> None:
    look = top._Looks(filled.name.removeprefix("/mxrc-")).look()
    assert look is not None

    def shown(height: int) -> list[str]:
        console = Console(width=80, height=height, record=True, file=io.StringIO())
        console.print(top.tables(look, height))
        return console.export_text().splitlines()

    lines = shown(24)
    assert len(lines) <= 24
    text = "\n".join(lines)
    assert all(part in text for part in ("RUNNING", "PROCESS", "RING", "CONSUMER", "AXIS"))
    fewer = shown(len(lines) - 1)
    assert "AXIS" not in "\n".join(fewer)
    assert text.startswith("\n".join(fewer))


def test_a_full_ring_is_read_whole_but_for_a_margin(filled: Segment, run: Run) -> None:
    for cycle in range(102, 600):
        publish_cycle(filled, cycle)
    rows = run("tail", "cycles", "-n", "1000", "--json", "--filter", "cycle>0").lines
    cycles = [row["cycle"] for row in rows]
    assert cycles == list(range(600 - len(cycles), 600))
    assert 256 - 16 <= len(cycles) <= 256


def test_times_are_utc_with_nanoseconds() -> None:
    assert rfc3339(np.array([1_700_000_000_123_456_789], np.uint64)) == [
        "2023-11-14T22:13:20.123456789Z"
    ]


def test_shell_completion_offers_verbs_and_fields(
    filled: Segment, instance: str, tmp_path: Path
) -> None:
    from shared.cli.segment import _instances
    from shared.inspector.fields import Fields

    assert instance in _instances(instance[:6])
    assert "rt_status.state" in Fields(filled).names()
