"""Order of life and death, reload, endpoints, and what comes before the configuration."""

from __future__ import annotations

import argparse
import json
import os
import stat
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from nonrt_process.application import Application
from nonrt_process.consumer import Consumer
from nonrt_process.context import Context
from nonrt_process.endpoints import EndpointsBoard
from nonrt_process.interfaces import Endpoints
from nonrt_process.plugins import Plugin
from nonrt_process.process import early_instance
from nonrt_process.pump import Pump
from shared.clock import FakeClock
from shared.config import Config, ConfigError
from shared.config.errors import Problem
from shared.documents import read_nonrt_document
from shared.startup import Refused
from tests.unit.nonrt_process.fakes import FakeHeart, fake_context, real_segment

calls: list[str] = []


class Quick(Consumer):
    """Says when it lets go."""

    interval_s = 0.01

    def __init__(self, name: str) -> None:
        type(self).name = name
        super().__init__()

    def on_detach(self) -> None:
        calls.append(f"{self.name} detached")


class Part(Plugin):
    def __init__(self, name: str, refuses: bool = False, breaks: bool = False) -> None:
        consumer = type(f"Quick{name}", (Quick,), {})(f"{name}-consumer")
        super().__init__(name, consumers=[consumer])
        self.refuses, self.breaks = refuses, breaks

    def start(self) -> None:
        calls.append(f"start {self.name}")
        if self.refuses:
            raise Refused("the folder is not writable")

    def stop(self) -> None:
        calls.append(f"stop {self.name}")
        if self.breaks:
            raise OSError("disk")


def module(name: str, part: Plugin) -> str:
    """A module path whose create() gives `part`."""
    path = f"tests.fake_{name}"
    made = types.ModuleType(path)

    def create(_context: Context) -> Plugin:
        calls.append(f"create {name}")
        return part

    made.create = create  # type: ignore[attr-defined]
    sys.modules[path] = made
    return path


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    calls.clear()
    yield
    for path in [path for path in sys.modules if path.startswith("tests.fake_")]:
        del sys.modules[path]


def application(tmp_path: Path, modules: list[str], segment: object = None) -> Application:
    config = fake_context(tmp_path).config.current
    clock = FakeClock()
    return Application(config, FakeHeart(clock, segment), clock, modules=modules)


def test_parts_start_in_order_and_stop_in_reverse_after_their_consumers(tmp_path: Path) -> None:
    with real_segment(tmp_path) as (_, nonrt):
        modules = [module("a", Part("a", breaks=True)), module("b", Part("b"))]
        app = application(tmp_path, modules, nonrt)
        app.start()
        assert app.started()
        for pump in app._all_pumps():
            pump.wake()
        deadline = time.monotonic() + 20
        while any(pump._position is None for pump in app._all_pumps()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        app.stop()
        assert calls == [
            "create a",
            "create b",
            "start a",
            "start b",
            "b-consumer detached",
            "stop b",
            "a-consumer detached",
            "stop a",
        ]
        assert not any(one.alive for one in app.consumers())
        app.context.heart.segment = None  # type: ignore[misc]


def test_a_part_that_refuses_ends_the_others(tmp_path: Path) -> None:
    modules = [module("a", Part("a")), module("b", Part("b", refuses=True))]
    app = application(tmp_path, modules)
    with pytest.raises(Refused, match="not writable"):
        app.start()
    assert calls[-2:] == ["stop b", "stop a"]
    assert not app.started()
    assert app.context.stopping.is_set()


def test_a_refused_reload_keeps_the_old_configuration(tmp_path: Path) -> None:
    app = application(tmp_path, [])
    before = app.context.config.current

    def broken() -> Config:
        raise ConfigError([Problem("api.json", "$.port", "-1", "must be 0 to 65535")])

    assert "1 problems" in app.reload(broken)
    assert app.context.config.current is before
    assert "0 changes" in app.reload(lambda: before)


def test_endpoints_are_published_in_both_places(tmp_path: Path) -> None:
    with real_segment(tmp_path) as (rt, nonrt):
        context = fake_context(tmp_path)
        board = EndpointsBoard(context, "d1")
        context.provide(Endpoints, board)
        board.publish("http", "127.0.0.1", 8081)
        path = tmp_path / "run" / f"{context.instance}.endpoints.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        content = json.loads(path.read_text())
        assert content["ports"] == {"http": 8081}
        assert content["urls"] == {"http": "http://127.0.0.1:8081"}
        assert content["pid"] == os.getpid()
        context.heart.segment = nonrt
        pump = Pump(context, board)
        pump.turn()
        board.set_status("HEALTHY")
        board.publish("metrics", "::1", 9091)
        assert read_nonrt_document(rt) == {
            "pid": os.getpid(),
            "ports": {"http": 8081, "metrics": 9091},
            "status": "HEALTHY",
            "folders": {
                f"{name}_dir": str(tmp_path / name) for name in ("run", "log", "checkpoint", "data")
            },
            "digest": "d1",
        }
        assert board.ports() == {"http": 8081, "metrics": 9091}
        board.close()
        assert not path.exists()


def options(**values: object) -> argparse.Namespace:
    return argparse.Namespace(**{"instance": None, "config_dir": None, **values})


@pytest.mark.parametrize(
    ("instance", "variable", "file", "expected"),
    [
        ("arg", "env", '{"instance": "file"}', "arg"),
        (None, "env", '{"instance": "file"}', "env"),
        (None, '"env"', '{"instance": "file"}', "env"),
        (None, "null", '{"instance": "file"}', f"u{os.getuid()}"),
        (None, None, '{"instance": "file"}', "file"),
        (None, None, '{"instance": null}', f"u{os.getuid()}"),
        (None, None, "{}", f"u{os.getuid()}"),
        (None, None, "[]", None),
        (None, None, "{broken", None),
        (None, None, None, None),
    ],
)
def test_the_instance_is_known_before_the_configuration(
    tmp_path: Path,
    instance: str | None,
    variable: str | None,
    file: str | None,
    expected: str | None,
) -> None:
    if file is not None:
        (tmp_path / "instance.json").write_text(file)
    environ = {} if variable is None else {"MXRC_INSTANCE__INSTANCE": variable}
    assert early_instance(options(instance=instance, config_dir=tmp_path), environ) == expected


def imported_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_nothing_heavy_is_imported_before_the_heart_beats() -> None:
    loaded = imported_by("nonrt_process.process")
    assert not loaded & {"numpy", "pydantic", "fastapi", "uvicorn", "opentelemetry", "asyncio"}


def test_the_first_beat_needs_the_core_only() -> None:
    loaded = imported_by("nonrt_process.main")
    assert not loaded & {"argparse", "dataclasses", "json", "logging", "pathlib", "shared.segment"}


@pytest.mark.parametrize("left_behind", [True, False])
def test_a_thread_that_does_not_end_is_not_killed_by_the_interpreter(left_behind: bool) -> None:
    """C++ libraries answer that with abort(), and the process seems to have crashed."""
    code = f"""
import atexit, sys, threading, time
import nonrt_process.process
from nonrt_process.main import main

def run(arguments, heart_beats):
    if {left_behind}:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return 7

atexit.register(lambda: print("interpreter ended"))
nonrt_process.process.run = run
sys.exit(main([]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 7, done.stderr
    assert ("interpreter ended" in done.stdout) == (not left_behind)
