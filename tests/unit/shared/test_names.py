from __future__ import annotations

import pytest

from shared.enums import NameKind
from shared.names import NAME_BYTES, Names, NamesFull
from shared.segment import Segment


def test_one_id_per_kind_and_text(nonrt: Segment, reader: Segment) -> None:
    names = Names(nonrt)
    task = names.intern(NameKind.TASK, "pick")
    assert names.intern(NameKind.TASK, "pick") == task
    assert Names(nonrt).intern(NameKind.TASK, "pick") == task
    assert names.intern(NameKind.ACTION, "pick") != task
    assert Names(reader).resolve(task) == "pick"


def test_names_of_rt_and_of_nonrt_do_not_collide(rt: Segment, nonrt: Segment) -> None:
    first = Names(nonrt).intern(NameKind.TASK, "pick")
    names = Names(rt)
    assert names.resolve(first) == "pick"
    assert names.resolve(0x80000001) == "base"


def test_unknown_ids_are_shown_and_looked_up_again(nonrt: Segment) -> None:
    names = Names(nonrt)
    assert names.resolve(0) == ""
    assert names.resolve(1) == "#1"
    names.intern(NameKind.TASK, "later")
    assert names.resolve(1) == "later"


def test_long_names_are_cut_between_characters(nonrt: Segment) -> None:
    names = Names(nonrt)
    found = names.intern(NameKind.ACTION, "ä" * NAME_BYTES)
    assert Names(nonrt).resolve(found) == "ä" * ((NAME_BYTES - 1) // 2)


def test_full_is_said(nonrt: Segment) -> None:
    names = Names(nonrt)
    for index in range(256):
        names.intern(NameKind.TASK, f"task{index}")
    with pytest.raises(NamesFull, match="256 names"):
        names.intern(NameKind.TASK, "one more")
    assert names.intern(NameKind.TASK, "task255")


def test_a_reader_cannot_intern(reader: Segment) -> None:
    with pytest.raises(PermissionError):
        Names(reader).intern(NameKind.TASK, "new")
