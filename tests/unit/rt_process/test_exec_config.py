from __future__ import annotations

from typing import Any

from rt_process.exec_config import (
    located,
    make_exec_config,
    make_geometry,
    make_live,
    shape_hash,
)
from rt_process.placement import Placement
from shared.core import ffi
from shared.enums import EntryRun, OverrunPolicy, SafeAction, WaitMode
from tests.unit.config.conftest import Files

PLACEMENT = Placement("SCHED_FIFO", 80, (1, 65), (0,), "NONE")
VISION = {"name": "vision", "run": "law"}


def test_values_reach_c_in_its_units(files: Files) -> None:
    def edit(document: dict[str, Any]) -> None:
        document |= {
            "deadline_percent": 80,
            "overrun_policy": "rebase",
            "wait": {"mode": "hybrid", "spin_margin_us": 250},
            "entries": [{**VISION, "period_us": 4000, "phase_us": 1000, "wcet_us": 12.5}],
        }

    files.change("rt_schedule", edit)
    made = make_exec_config(files.load(), PLACEMENT)
    assert (made.period_ns, made.deadline_ns) == (1_000_000, 800_000)
    assert (made.wait_mode, made.spin_margin_ns) == (WaitMode.HYBRID, 250_000)
    assert made.overrun_policy == OverrunPolicy.REBASE
    assert made.heartbeat_timeout_ns == 500_000_000
    assert (made.sched_policy, made.priority) == (1, 80)
    assert (made.cpu_mask[0], made.cpu_mask[1]) == (1 << 1, 1 << 1)
    assert made.axis_count == 6
    assert ffi.string(made.axis[1].name) == b"shoulder"
    assert (made.axis[1].home, made.axis[1].safe_action) == (-0.6, SafeAction.RAMP)
    assert made.entry_count == 1
    entry = made.entry[0]
    assert entry.run == EntryRun.LAW
    assert (entry.period_ns, entry.phase_ns, entry.wcet_ns) == (4_000_000, 1_000_000, 12_500)
    assert made.simulated_time_constant_s == 0.02
    assert ffi.string(made.thread_name) == b"rt-main"


def test_live_settings_are_the_same_values(files: Files) -> None:
    files.change("rt_schedule", lambda document: document.update(heartbeat_timeout_ms=700))
    config = files.load()
    made, live = make_exec_config(config, PLACEMENT), make_live(config)
    for name, _ in ffi.typeof("struct mxrc_exec_live").fields:
        assert getattr(live, name) == getattr(made, name)
    assert live.heartbeat_timeout_ns == 700_000_000


def test_an_automatic_margin_is_left_to_the_executive(files: Files) -> None:
    assert make_live(files.load()).spin_margin_auto == 0
    files.change("rt_schedule", lambda document: document["wait"].update(spin_margin_us="auto"))
    assert make_live(files.load()).spin_margin_auto == 1


def test_what_the_executive_refuses_is_located(files: Files) -> None:
    def edit(document: dict[str, Any]) -> None:
        cost = {"wcet_us": 10}
        code = {"run": "c", "path": "vision.so", "symbol": "look", "period_us": 4000}
        document |= {
            "entries": [{**VISION, "period_us": 1000, **cost}, {"name": "vision2", **code, **cost}]
        }

    files.change("rt_schedule", edit)
    config = files.load()
    text = str(located(config, "schedule entry vision2 refuses to start with code 3"))
    assert "rt_schedule.json: $.entries[1]: found " in text
    assert '"path": "vision.so", "symbol": "look"' in text
    assert text.endswith("refuses to start with code 3")
    text = str(located(config, "schedule entry vision: control law x commands positions"))
    assert "rt_schedule.json: $.entries[0]: found " in text
    text = str(located(config, "control law x refuses to start with code 3"))
    assert 'robot.json: $.law: found {"type": "builtin", "symbol": "position_servo"}' in text
    assert located(config, "out of memory") is None


def test_geometry_fits_docker_s_shared_memory(files: Files) -> None:
    assert make_geometry(files.load()).bytes < 64 << 20


def test_production_geometry_is_possible(production: Files) -> None:
    assert make_geometry(production.load()).bytes > 0


def test_the_shape_is_what_a_generation_cannot_change(files: Files) -> None:
    files.path("tasks/inspect").unlink()  # it names an axis
    before = shape_hash(files.load())
    files.change("robot", lambda document: document["axes"][0].update(velocity_max=9.0))
    assert shape_hash(files.load()) == before
    files.change("robot", lambda document: document["axes"][0].update(name="column"))
    assert shape_hash(files.load()) != before


def test_the_longest_names_that_are_allowed_fit(files: Files) -> None:
    for path in (files.folder / "tasks").iterdir():
        path.unlink()
    files.change("robot", lambda document: document["axes"][2].update(name="a" * 31))
    entry = {"name": "e" * 31, "run": "law", "period_us": 1000, "wcet_us": 1}
    files.change("rt_schedule", lambda document: document.update(entries=[entry]))
    made = make_exec_config(files.load(), PLACEMENT)
    assert ffi.string(made.axis[2].name) == b"a" * 31
    assert ffi.string(made.entry[0].name) == b"e" * 31
