"""plot and export: what other tools get to see."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.segment import Segment
from tests.unit.cli.shm.conftest import Run


def test_csv_has_a_column_per_axis(filled: Segment, run: Run) -> None:
    assert run("export", "csv", "-o", "c.csv").status == 0
    written = list(csv.DictReader(io.StringIO(Path("c.csv").read_text())))
    assert len(written) == 100
    assert written[-1]["cycle"] == "101"
    assert float(written[-1]["jitter_us"]) == pytest.approx(950)
    assert {"position_axis0", "velocity_axis5"} <= set(written[0])


def test_parquet_keeps_types_and_lists(filled: Segment, run: Run) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    done = run("export", "parquet", "-o", "c.parquet", "--json").json
    table = parquet.read_table("c.parquet")
    assert (done["cycles"], done["events"], table.num_rows) == (100, 0, 100)
    assert str(table.schema.field("jitter_us").type) == "double"
    assert len(table["position"][0].as_py()) == 6
    assert table.schema.metadata[b"mxrc.generation"] == str(filled.generation).encode()
    assert run("export", "parquet", "--what", "spans").status == 0
    assert parquet.read_table(next(Path().glob("*-spans.parquet"))).num_rows == 2


def test_mcap_messages_fit_their_json_schemas(filled: Segment, run: Run) -> None:
    reader_module = pytest.importorskip("mcap.reader")
    jsonschema = pytest.importorskip("jsonschema")
    assert run("export", "mcap", "-o", "r.mcap").status == 0
    topics: dict[str, list[Any]] = {}
    with Path("r.mcap").open("rb") as file:
        for schema, channel, message in reader_module.make_reader(file).iter_messages():
            assert (schema.encoding, channel.message_encoding) == ("jsonschema", "json")
            content = json.loads(message.data)
            strict = json.loads(schema.data) | {"additionalProperties": False}
            jsonschema.validate(content, strict)
            stamp = content["timestamp"]
            assert stamp["sec"] * 10**9 + stamp["nsec"] == message.log_time
            topics.setdefault(channel.topic, []).append(content)
    counts = {topic: len(messages) for topic, messages in topics.items()}
    assert counts == {"/mxrc/cycles": 100, "/mxrc/log": 1, "/mxrc/events": 3, "/mxrc/spans": 2}
    assert topics["/mxrc/cycles"][0]["axes"]["axis0"].keys() == {
        "setpoint", "position", "velocity", "effort",
    }  # fmt: skip
    assert topics["/mxrc/log"][0]["level"] == 4


def test_perfetto_slices_nest_and_carry_the_trace(filled: Segment, run: Run) -> None:
    assert run("export", "perfetto", "-o", "t.json").status == 0
    trace = json.loads(Path("t.json").read_text())
    events = trace["traceEvents"]
    slices = [one for one in events if one["ph"] == "X"]
    task = next(one for one in slices if one["cat"] == "task.execute")
    action = next(one for one in slices if one["cat"] == "action.execute")
    assert task["tid"] == action["tid"]
    assert task["ts"] <= action["ts"]
    assert action["ts"] + action["dur"] <= task["ts"] + task["dur"] + 1e-6
    assert action["args"]["trace_id"] == bytes(range(16)).hex()
    assert sum(one["cat"] == "cycle" for one in slices) == 100
    assert sum(one["ph"] == "C" for one in events) == 100
    assert all(one["ts"] >= 0 for one in events if "ts" in one)
    assert {one["args"]["name"] for one in events if one["ph"] == "M"} >= {"RT cycles", "RT log"}


def test_a_file_is_not_replaced_unless_forced(filled: Segment, run: Run) -> None:
    Path("keep").write_text("mine")
    refused = run("export", "csv", "-o", "keep")
    assert (refused.status, Path("keep").read_text()) == (1, "mine")
    assert "--force" in refused.stderr
    assert run("export", "csv", "-o", "keep", "--force").status == 0
    assert Path("keep").read_text().startswith("number,time,")
    assert run("export", "csv", "-o", "no/such/folder").status == 1
    assert sorted(path.name for path in Path().iterdir() if path.name.startswith(".keep")) == []


@pytest.mark.parametrize(
    ("arguments", "module", "extra"),
    [
        (("plot",), "matplotlib.figure", "plot"),
        (("export", "mcap"), "mcap.writer", "mcap"),
        (("export", "parquet"), "pyarrow", "parquet"),
    ],
)
def test_a_missing_package_is_one_line_with_the_remedy(
    filled: Segment,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    module: str,
    extra: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    found = run(*arguments)
    assert found.status == 1
    assert len(found.stderr.splitlines()) == 1
    assert f"mxrc[{extra}]" in found.stderr
    assert list(Path().glob("*.mcap")) + list(Path().glob("*.png")) == []


def test_plot_is_a_png_of_what_was_asked_for(filled: Segment, run: Run) -> None:
    pytest.importorskip("matplotlib")
    told = run("plot", "-o", "p.png", "--json").json
    raw = Path("p.png").read_bytes()
    assert raw.startswith(b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(raw[16:20], "big") == 1200
    assert (told["cycles"], told["missed"], told["skipped"]) == (100, 1, 2)
    assert told["max_us"] == pytest.approx(950)
    assert run("plot", "-o", "p.png", "--last", "5", "--json").json["cycles"] == 5
    assert run("plot", "-o", "no/such/p.png").status == 1
