"""Plugins of the user's: which files are taken, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nonrt_process.event_bus.routes import subscribe_route
from nonrt_process.interfaces import BusEvent
from nonrt_process.plugins import EARLY, LATER, MODULES, create_plugins, later_modules
from shared.config.models.event_bus import EventBusConfig, EventRoute
from shared.startup import EX_CONFIG, Refused
from tests.helpers import ROOT
from tests.unit.nonrt_process.fakes import fake_context

GOOD = """
from dataclasses import dataclass

from nonrt_process.plugins import Plugin


@dataclass
class Note:
    text: str


def create(context):
    return Plugin(Note("mine").text)
"""


def written(folder: Path, source: str, mode: int = 0o640) -> str:
    path = folder / "mine.py"
    path.write_text(source)
    path.chmod(mode)
    return str(path)


def test_a_file_is_a_plugin_like_any_other(tmp_path: Path) -> None:
    (plugin,) = create_plugins(fake_context(tmp_path), [written(tmp_path, GOOD)])
    assert plugin.name == "mine"


def test_files_come_before_those_that_serve_what_they_contribute(tmp_path: Path) -> None:
    config = fake_context(tmp_path).config.current
    assert (*EARLY, *later_modules(config)) == MODULES
    bus = EventBusConfig(plugins=("mine.py", "/opt/theirs.py"))
    modules = later_modules(replace(config, event_bus=bus))
    assert modules[:-4] == LATER[:-2]
    assert modules[-4:-2] == (str(config.directory / "mine.py"), "/opt/theirs.py")
    assert modules[-1] == "nonrt_process.api.plugin", "it collects the routers of all"


def refusal(tmp_path: Path, path: str) -> str:
    with pytest.raises(Refused) as refused:
        create_plugins(fake_context(tmp_path), [path])
    assert refused.value.status == EX_CONFIG
    text = str(refused.value)
    assert text.startswith("event_bus.json: $.plugins: ")
    assert "\n" not in text.strip()
    return text


def test_what_others_may_write_is_refused(tmp_path: Path) -> None:
    assert "mode 0660" in refusal(tmp_path, written(tmp_path, GOOD, 0o660))


def test_what_belongs_to_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, GOOD)
    stranger = SimpleNamespace(st_uid=4711)
    monkeypatch.setattr(Path, "stat", lambda _self: stranger)
    assert "belongs to user 4711" in refusal(tmp_path, path)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def create(context)\n", "mine.py, line 1: SyntaxError"),
        ("import nothing_of_the_kind\n", "mine.py, line 1: ModuleNotFoundError"),
        ("def create(context):\n    return context.none\n", "line 2: AttributeError"),
        ("def create(context):\n    return 5\n", "create(context) must return a Plugin, not 5"),
        ("x = 1\n", "AttributeError: module 'mxrc_plugin_mine' has no attribute 'create'"),
        ("def create(context):\n    raise ValueError('a\\nb')\n", "line 2: ValueError: a b"),
    ],
)
def test_a_file_that_fails_is_named_with_its_line(tmp_path: Path, source: str, words: str) -> None:
    assert words in refusal(tmp_path, written(tmp_path, source))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path, str(tmp_path / "none.py"))


def test_the_example_of_the_docs_is_the_file() -> None:
    example = (ROOT / "examples" / "plugins" / "part_vision.py").read_text()
    assert example in (ROOT / "docs" / "events.md").read_text()


@pytest.mark.parametrize(("value", "sent"), [(None, 2.5), (7.0, 7.0)])
def test_a_route_answers(value: float | None, sent: float) -> None:
    subscribed: list[Any] = []
    answers: list[Any] = []
    bus = SimpleNamespace(
        subscribe=lambda *args, **options: subscribed.append((args, options)),
        send_to_rt=lambda *args, **options: answers.append((args, options)),
    )
    subscribe_route(bus, EventRoute(name="gate", on="gate.*", send="gate.open", value=value))
    ((name, pattern, observer), options) = subscribed[0]
    assert (name, pattern, options) == ("route.gate", "gate.*", {"source": "rt"})
    event = BusEvent("gate.asked", (2.5, 9.0))
    observer(event)
    assert answers == [(("gate.open", sent), {"cause": event})]
