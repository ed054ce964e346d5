from __future__ import annotations

from enum import IntEnum, IntFlag

import pytest

from shared.core import ffi
from shared.enums import C_NAMES, RtState, name_of


@pytest.mark.parametrize("enumeration", C_NAMES, ids=lambda one: one.__name__)
def test_members_and_values_are_those_of_c(enumeration: type[IntEnum] | type[IntFlag]) -> None:
    c_name, prefix = C_NAMES[enumeration]
    in_c = {
        name.removeprefix(prefix): value
        for name, value in ffi.typeof(f"enum {c_name}").relements.items()
    }
    assert {member.name: int(member) for member in enumeration} == in_c


def test_every_enumeration_of_the_layout_is_there() -> None:
    known = {name for name, _ in C_NAMES.values()}
    _, _, others = ffi.list_types()
    assert others == []
    enums = {name.removeprefix("enum ") for name in _enum_names()}
    assert enums == known


def _enum_names() -> list[str]:
    import re

    from tests.helpers import ROOT

    names = ("layout.h", "law.h", "process_image.h", "api.h")
    folder = ROOT / "cffi_build/include/mxrc"
    text = "".join((folder / name).read_text() for name in names)
    return re.findall(r"^(enum \w+) \{", text, re.MULTILINE)


def test_name_of_an_unknown_value_shows_it() -> None:
    assert name_of(RtState, 2) == "RUNNING"
    assert name_of(RtState, 17) == "RtState(17)"
