"""Log levels and sampling: from configuration and HTTP into the control region."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nonrt_process.changes import Changes
from nonrt_process.interfaces import InvalidSetting, NotKept, RtAbsent, RuntimePlacement
from nonrt_process.pump import Pump
from nonrt_process.settings import ControlSettings
from shared.config import Config, ConfigError, Problem
from shared.config.changes import content_of, with_settings
from shared.config.models.logging import LoggingConfig
from shared.config.overrides import overrides_path, read_overrides, write_overrides
from shared.config.store import config_changes
from shared.control import level_of
from shared.enums import Level
from shared.events import loggers
from shared.segment import Segment
from tests.unit.nonrt_process.fakes import FakeContext, fake_context, real_segment


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Segment, FakeContext]]:
    with real_segment(tmp_path) as (rt, nonrt):
        yield rt, fake_context(tmp_path, segment=nonrt)


def levels(segment: Segment) -> dict[str, Level]:
    control = segment.control
    return {name: Level(control.log_level[index]) for index, name in enumerate(loggers())}


def test_a_logger_follows_the_nearest_entry_above_it() -> None:
    config = LoggingConfig(level="warn", loggers={"rt": "error", "rt.state": "trace"})
    assert level_of(config, "rt.state") == Level.TRACE
    assert level_of(config, "rt.cycle") == Level.ERROR
    assert level_of(config, "nonrt.api") == Level.WARN


def test_each_generation_gets_what_is_configured(both: tuple[Segment, FakeContext]) -> None:
    rt, context = both
    Pump(context, ControlSettings(context)).turn()
    assert set(levels(rt).values()) == {Level.INFO}
    control = rt.control
    assert control.version == 1
    assert control.sample_all == 1  # tasks: rate 1; cycles: 0.01
    assert control.cycle_sampling == round(0.01 * 2**64)
    assert control.instrumentation == 7


def test_a_change_is_in_force_at_once_and_leaves_the_rest(
    both: tuple[Segment, FakeContext],
) -> None:
    rt, context = both
    settings = ControlSettings(context)
    settings.set_log_levels(None, {"rt.cycle": "critical"})
    assert levels(rt)["rt.cycle"] == Level.CRITICAL
    assert levels(rt)["rt.state"] == Level.INFO
    settings.set_log_levels("debug", {"rt.cycle": None})
    assert set(levels(rt).values()) == {Level.DEBUG}
    assert settings.log_levels().items() >= {"level": "debug", "loggers": {}}.items()
    settings.set_sampling({"rt_cycle_sampling_rate": 1.0, "task_sampling_rate": 0.5})
    assert rt.control.sample_all == 2
    assert rt.control.task_sampling == 2**63
    assert (
        settings.sampling()["sampling_rate"] == context.config.current.tracing_config.sampling_rate
    )


def test_what_is_refused_changes_nothing(both: tuple[Segment, FakeContext]) -> None:
    rt, context = both
    settings = ControlSettings(context)
    settings.apply()
    before = levels(rt)
    with pytest.raises(InvalidSetting):
        settings.set_log_levels("loud", {})
    with pytest.raises(InvalidSetting):
        settings.set_sampling({"sampling_rate": 1.5})
    assert levels(rt) == before
    assert settings.log_levels()["level"] == "info"


def test_a_reload_goes_the_same_way(both: tuple[Segment, FakeContext]) -> None:
    rt, context = both
    ControlSettings(context)
    current = context.config.current
    logging = current.logging.model_copy(update={"level": "error"})
    context.config.propose(replace(current, logging=logging))
    assert set(levels(rt).values()) == {Level.ERROR}


def test_without_a_segment_nothing_is_written(tmp_path: Path) -> None:
    context = fake_context(tmp_path)
    settings = ControlSettings(context)
    settings.set_log_levels("debug", {})
    assert settings.log_levels()["level"] == "debug"


def test_level_for_some_minutes_goes_back(tmp_path: Path) -> None:
    context = fake_context(tmp_path)
    levels = ControlSettings(context)
    levels.set_log_levels("debug", {"rt.task": "trace"}, minutes=5)
    levels.set_log_levels(None, {"rt.task": "debug"}, minutes=10)  # longer; still back to nothing
    context.clock.advance(6 * 60 * 10**9)
    levels.on_tick(context.clock.monotonic_ns())
    found = levels.log_levels()
    assert (found["level"], found["loggers"]) == ("info", {"rt.task": "debug"})
    assert found["temporary"] == {"rt.task": {"seconds_left": 240, "then": None}}
    context.clock.advance(5 * 60 * 10**9)
    levels.on_tick(context.clock.monotonic_ns())
    assert levels.log_levels()["loggers"] == {}
    assert levels.log_levels()["temporary"] == {}


def test_lasting_change_is_not_undone_by_an_earlier_one(tmp_path: Path) -> None:
    context = fake_context(tmp_path)
    levels = ControlSettings(context)
    levels.set_log_levels("debug", {}, minutes=5)
    levels.set_log_levels("warn", {})
    context.clock.advance(6 * 60 * 10**9)
    levels.on_tick(context.clock.monotonic_ns())
    assert levels.log_levels()["level"] == "warn"


def kept(context: FakeContext) -> object:
    config = context.config.current
    return read_overrides(overrides_path(config.paths.data_dir, config.instance_name))


def test_lasting_levels_are_kept_for_the_next_start_and_passing_ones_are_not(
    tmp_path: Path,
) -> None:
    context = fake_context(tmp_path)
    context.provide(RuntimePlacement, Changes(context))
    levels = ControlSettings(context)
    levels.set_log_levels("warn", {"rt.task": "debug"})
    levels.set_log_levels("trace", {"rt.law": "trace"}, minutes=1)
    assert kept(context) == {"logging": {"level": "warn", "loggers": {"rt.task": "debug"}}}
    levels.set_log_levels(None, {"rt.task": None})  # also when logging.json gives it a level
    assert kept(context) == {"logging": {"level": "warn", "loggers": {"rt.task": None}}}
    levels.set_log_levels(None, {})
    assert kept(context) == {"logging": {"level": "warn", "loggers": {"rt.task": None}}}
    with pytest.raises(InvalidSetting, match="minutes"):
        levels.set_log_levels(None, {"rt.law": None}, minutes=1)


def test_a_level_that_a_variable_sets_is_in_force_and_said_not_to_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = fake_context(tmp_path)
    context.provide(RuntimePlacement, Changes(context))
    monkeypatch.setenv("MXRC_LOGGING__LEVEL", "info")
    levels = ControlSettings(context)
    with pytest.raises(NotKept, match="MXRC_LOGGING__LEVEL"):
        levels.set_log_levels("warn", {})
    assert levels.log_levels()["level"] == "warn"
    assert kept(context) == {}
    levels.set_log_levels(None, {"rt.task": "debug"})
    assert kept(context) == {"logging": {"loggers": {"rt.task": "debug"}}}


def with_files(context: FakeContext) -> Changes:
    files = context.config.current
    changes = Changes(context, lambda: files)
    context.provide(RuntimePlacement, changes)
    return changes


def test_reset_takes_levels_back_to_the_file(tmp_path: Path) -> None:
    context = fake_context(tmp_path)
    changes = with_files(context)
    before = context.config.current
    levels = ControlSettings(context)
    levels.set_log_levels("warn", {"rt.task": "debug"})
    levels.set_sampling({"sampling_rate": 0.5})
    levels.set_log_levels("trace", {}, minutes=5)
    changes.reset("logging")
    assert list(config_changes(before, context.config.current)) != []
    assert content_of(context.config.current, "logging") == content_of(before, "logging")
    assert levels.log_levels()["temporary"] == {}
    assert kept(context) == {"tracing_config": {"sampling_rate": 0.5}}
    context.clock.advance(6 * 60 * 10**9)
    levels.on_tick(context.clock.monotonic_ns())
    assert content_of(context.config.current, "logging") == content_of(before, "logging")
    changes.reset("tracing_config")
    assert list(config_changes(before, context.config.current)) == []
    assert kept(context) == {}
    changes.reset("tracing_config")  # nothing to take back
    assert kept(context) == {}


def test_reset_of_what_rt_holds_needs_rt(tmp_path: Path) -> None:
    context = fake_context(tmp_path)
    changes = with_files(context)
    config = context.config.current
    path = overrides_path(config.paths.data_dir, config.instance_name)
    write_overrides(path, {"cpu_affinity": {"rt_process": {"priority": 70}}})
    context.config.propose(
        with_settings(config, {"cpu_affinity": {"rt_process": {"priority": 70}}}, "test")
    )
    with pytest.raises(RtAbsent):
        changes.reset("cpu_affinity")
    assert kept(context) == {"cpu_affinity": {"rt_process": {"priority": 70}}}


def test_reset_with_files_that_are_wrong_changes_nothing(tmp_path: Path) -> None:
    context = fake_context(tmp_path)

    def wrong() -> Config:
        raise ConfigError([Problem("logging.json", "$.level", "loud", "must be a level")])

    changes = Changes(context, wrong)
    context.provide(RuntimePlacement, changes)
    ControlSettings(context).set_log_levels("warn", {})
    with pytest.raises(InvalidSetting, match=r"logging\.json"):
        changes.reset("logging")
    assert context.config.current.logging.level == "warn"
    assert kept(context) == {"logging": {"level": "warn"}}


def test_what_this_process_refuses_rt_takes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = fake_context(tmp_path)
    changes = Changes(context)
    asked: list[object] = []
    monkeypatch.setattr(changes, "_ask_rt", asked.append)

    def refuse(_old: object, _new: object) -> None:
        raise ConfigError([Problem("numa_binding.json", "$", "BIND", "cannot be had")])

    context.config.subscribe("numa_binding", prepare=refuse)
    settings = {
        "numa_binding": {
            "rt_process": {"migrate_pages": True},
            "non_rt_process": {"memory_policy": "BIND"},
        }
    }
    with pytest.raises(InvalidSetting, match="cannot be had"):
        changes.change(settings)
    assert asked == [
        settings,
        {
            "numa_binding": {
                "rt_process": {"migrate_pages": False},
                "non_rt_process": {"memory_policy": "LOCAL"},
            }
        },
    ]
    assert kept(context) == {}
