from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from nonrt_process.interfaces import HealthStatus
from nonrt_process.logs import ecs
from nonrt_process.logs.file_health import FileHealth
from nonrt_process.logs.first_line import first_line
from nonrt_process.logs.log_file import LogFile
from nonrt_process.logs.plugin import LogsPlugin, create
from nonrt_process.logs.process_log import ProcessLog, level_name
from nonrt_process.logs.statistics import Statistics
from shared.clock import FakeClock
from tests.unit.nonrt_process.fakes import fake_context
from tests.unit.nonrt_process.logs.test_ecs import HOSTILE, Broken


class Setup:
    """A process log on a logger of its own, written when the test says so."""

    def __init__(self, folder: Path, backlog: int = 1000) -> None:
        self.said: list[str] = []
        clock = FakeClock()
        self.file = LogFile(
            folder / "non_rt_process.log",
            clock,
            lambda: first_line("non_rt_process", "test", clock),
            max_bytes=1 << 20,
            max_age_hours=24,
            total_quota_bytes=1 << 30,
        )
        self.health = FileHealth("non_rt_log_file", self.file.path, self.said.append)
        self.statistics = Statistics()
        self.log = ProcessLog(self.file, self.health, self.statistics, clock, "test", backlog)
        self.logger = logging.Logger("nonrt.test", 1)  # noqa: LOG001 - of this test alone
        self.logger.addHandler(self.log.handler)

    def documents(self) -> list[dict[str, Any]]:
        assert self.log.write_waiting()
        lines = self.file.path.read_text().splitlines()
        return [json.loads(line) for line in lines][1:]


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def test_document_of_a_record(setup: Setup) -> None:
    setup.logger.warning(
        "disk %s is %d %% full", "sda", 93, extra={"mxrc.task_id": "t1", "disk": 3}
    )
    (document,) = setup.documents()
    assert list(document)[:3] == [ecs.TIMESTAMP, ecs.LEVEL, ecs.MESSAGE]
    assert (
        document.items()
        >= {
            "log.level": "warn",
            "message": "disk sda is 93 % full",
            "log.logger": "nonrt.test",
            "process.name": "non_rt_process",
            "process.thread.id": threading.get_native_id(),
            "process.thread.name": threading.current_thread().name,
            "ecs.version": ecs.ECS_VERSION,
            "mxrc.task_id": "t1",
            "labels": {"instance": "test", "disk": "3"},
        }.items()
    )
    assert set(document) <= set(ecs.FIELDS)


def test_levels() -> None:
    numbers = [1, 5, 10, 19, 20, 30, 40, 49, 50, 99]
    names = ["trace", "trace", "debug", "debug", "info", "warn", "error", "error"]
    assert [level_name(number) for number in numbers] == [*names, "critical", "critical"]


def test_exception_fields(setup: Setup) -> None:
    try:
        raise ValueError("bad\nvalue")
    except ValueError:
        setup.logger.exception("it failed")
    (document,) = setup.documents()
    assert document["error.type"] == "builtins.ValueError"
    assert document["error.message"] == "bad\nvalue"
    assert "test_exception_fields" in document["error.stack_trace"]
    assert document["message"] == "it failed"


def test_trace_context_of_the_thread_that_logs(setup: Setup) -> None:
    span = NonRecordingSpan(SpanContext(0xABC, 0xDEF, False, TraceFlags(1)))
    token = otel_context.attach(trace.set_span_in_context(span))
    setup.logger.info("in a span")
    otel_context.detach(token)
    setup.logger.info("outside")
    inside, outside = setup.documents()
    assert inside["trace.id"] == f"{0xABC:032x}"
    assert inside["span.id"] == f"{0xDEF:016x}"
    assert "trace.id" not in outside


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_records_make_one_line_each(setup: Setup, text: str) -> None:
    setup.logger.info(text)
    setup.logger.info("%s", text, extra={"key": text})
    setup.logger.info("%d", text)
    setup.logger.info("%s", Broken())
    setup.logger.info({"text": text})
    assert len(setup.documents()) == 5


def test_overflow_drops_the_oldest_and_says_so(tmp_path: Path) -> None:
    setup = Setup(tmp_path, backlog=10)
    for n in range(25):
        setup.logger.info("line %d", n)
    lost, *rest = setup.documents()
    assert lost["mxrc.lost"] == 15
    assert lost["log.level"] == "error"
    assert [one["message"] for one in rest] == [f"line {n}" for n in range(15, 25)]
    assert setup.statistics.dropped()["non_rt_process"] == 15
    assert setup.statistics.events_by_level()["info"] == 10


def test_memory_is_bounded_while_the_disk_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = 100
    setup = Setup(tmp_path, backlog=bound)

    def refuse(self: LogFile, lines: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LogFile, "append", refuse)
    for round_ in range(20):
        for n in range(70):
            setup.logger.info("line %d of round %d", n, round_)
        assert not setup.log.write_waiting()
        assert len(setup.log._waiting) <= bound
    assert setup.statistics.dropped()["non_rt_process"] == 20 * 70 - bound
    assert len(setup.said) == 1


def test_disk_that_fails_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(tmp_path, backlog=10)

    def refuse(self: LogFile, lines: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(LogFile, "append", refuse)
        for n in range(8):
            setup.logger.info("line %d", n)
        assert not setup.log.write_waiting()
        for n in range(8, 14):
            setup.logger.info("line %d", n)
        assert not setup.log.write_waiting()
    assert setup.health.check(0).status == HealthStatus.DEGRADED
    assert len(setup.said) == 1
    lost, *rest = setup.documents()
    assert lost["mxrc.lost"] == 4
    assert [one["message"] for one in rest] == [f"line {n}" for n in range(4, 14)]
    assert setup.health.check(0).status == HealthStatus.HEALTHY


def test_thread_writes_and_stop_flushes(setup: Setup) -> None:
    setup.logger.info("before start")
    setup.log.start()
    for n in range(3000):
        setup.logger.info("line %d", n)
    setup.log.stop()
    lines = setup.file.path.read_text().splitlines()[1:]
    messages = [json.loads(line)["message"] for line in lines]
    kept = [message for message in messages if message.startswith("line")]
    dropped = setup.statistics.dropped()["non_rt_process"]
    assert len(kept) + dropped >= 3000
    assert messages[-1] == "line 2999"


@pytest.fixture
def clean_root() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield root
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.getLogger("nonrt.special").setLevel(logging.NOTSET)


def test_plugin_puts_levels_in_force_and_takes_them_back(
    tmp_path: Path, clean_root: logging.Logger
) -> None:
    context = fake_context(tmp_path)
    plugin = create(context)
    assert isinstance(plugin, LogsPlugin)
    plugin.start()
    special = logging.getLogger("nonrt.special")
    special.debug("not this one")
    config = context.config.current
    chosen = config.logging.model_copy(update={"loggers": {"nonrt.special": "trace"}})
    context.config.propose(replace(config, logging=chosen))
    special.debug("this one")
    context.config.propose(config)
    special.debug("nor this one")
    plugin.stop()
    path = config.paths.log_dir / "non_rt_process.log"
    messages = [json.loads(line)["message"] for line in path.read_text().splitlines()]
    assert [message for message in messages if message.endswith("one")] == ["this one"]


def test_plugin_starts_without_its_folder_and_says_so(
    tmp_path: Path, clean_root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    context = fake_context(tmp_path)
    folder = context.config.current.paths.log_dir
    folder.rmdir()
    folder.write_text("a file where the folder should be")
    plugin = create(context)
    plugin.start()
    logging.getLogger("nonrt.special").error("lost?")
    plugin.stop()
    findings = [check.check(0) for check in plugin.health_checks]
    assert HealthStatus.DEGRADED in [finding.status for finding in findings]
    said = capsys.readouterr().err
    assert said.count("cannot be written") == 1
    assert str(folder) in said
    assert "Traceback" not in said
