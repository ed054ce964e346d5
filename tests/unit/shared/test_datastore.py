from __future__ import annotations

import pytest

from shared.config import Config
from shared.datastore import DataStore, NotWriter, UnknownKey, ValueRefused
from shared.segment import Segment


def test_defaults_and_directory(reader: Segment, config: Config) -> None:
    store = DataStore(reader)
    assert list(store.keys) == [key.name for key in config.datastore.keys]
    for key in config.datastore.keys:
        assert store.read(key.name).value == key.initial
        described = store.key(key.name).definition
        assert (described.type, described.unit, described.writer, described.critical) == (
            key.type,
            key.unit,
            key.writer,
            key.critical,
        )
        assert (described.min, described.max) == (key.min, key.max)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cell.part_ready", True),
        ("cell.temperature", -12.25),
        ("tool.offset", (0.5, -0.25, 1.0)),
        ("program.name", "Größe " + "x" * 50),
        ("program.name", ""),
    ],
)
def test_what_is_written_is_read(nonrt: Segment, reader: Segment, name: str, value: object) -> None:
    DataStore(nonrt).write(name, value)
    stored = DataStore(reader).read(name)
    assert stored.value == value
    assert stored.time_ns > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cell.part_ready", 1),
        ("cell.temperature", "warm"),
        ("cell.temperature", 200.0),
        ("cell.temperature", float("nan")),
        ("tool.offset", [0.0, 0.0]),
        ("tool.offset", [0.0, 0.0, 2.0]),
        ("program.name", "x" * 64),
    ],
)
def test_what_is_not_allowed_is_refused_and_changes_nothing(
    nonrt: Segment, name: str, value: object
) -> None:
    store = DataStore(nonrt)
    before = store.read(name)
    with pytest.raises(ValueRefused, match=f"{name}: found .*must be"):
        store.write(name, value)
    assert store.read(name) == before


def test_each_side_writes_its_own_keys(rt: Segment, nonrt: Segment, reader: Segment) -> None:
    DataStore(rt).write("parts.placed", 12)
    assert DataStore(reader).read("parts.placed").value == 12
    with pytest.raises(NotWriter, match="RT process"):
        DataStore(nonrt).write("parts.placed", 1)
    with pytest.raises(NotWriter):
        DataStore(rt).write("cell.temperature", 1.0)
    with pytest.raises(NotWriter):
        DataStore(reader).write("cell.temperature", 1.0)


def test_large_integers_keep_every_digit(rt: Segment) -> None:
    store = DataStore(rt)
    store.write("parts.placed", (1 << 62) + 1)
    assert store.read("parts.placed").value == (1 << 62) + 1


def test_unknown_key(reader: Segment) -> None:
    with pytest.raises(UnknownKey, match=r"datastore\.json"):
        DataStore(reader).read("no.such")


def test_snapshot(nonrt: Segment) -> None:
    store = DataStore(nonrt)
    store.write("program.name", "p1")
    assert store.snapshot()["program.name"] == "p1"
    assert set(store.snapshot(critical_only=True)) == {
        "gripper.closed",
        "parts.placed",
        "tool.offset",
        "program.name",
    }
