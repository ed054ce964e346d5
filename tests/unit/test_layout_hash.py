"""The layout hash changes with the meaning of the layout and with nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cffi_build.layout_hash import (
    HASHED_FILES,
    INCLUDE_DIR,
    as_c_literal,
    layout_hash,
    tokens,
    write_header,
)


@pytest.fixture
def include(tmp_path: Path) -> Path:
    for name in HASHED_FILES:
        shutil.copy(INCLUDE_DIR / name, tmp_path / name)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_comments_and_white_space_do_not_count(include: Path) -> None:
    before = layout_hash(include)
    layout = include / "layout.h"
    text = layout.read_text()
    layout.write_text("/* a; { comment */\n// more\n" + text.replace("    ", "\t") + "\n\n")
    assert layout_hash(include) == before


@pytest.mark.parametrize("name", HASHED_FILES)
def test_each_file_counts(include: Path, name: str) -> None:
    before = layout_hash(include)
    path = include / name
    path.write_text(path.read_text() + "\nstruct added { int x; };\n")
    assert layout_hash(include) != before


def test_a_changed_type_or_number_counts(include: Path) -> None:
    before = layout_hash(include)
    edit(include / "layout.h", "uint32_t", "uint64_t")
    changed = layout_hash(include)
    edit(include / "layout.h", "#define MXRC_AXES 8", "#define MXRC_AXES 9")
    assert len({before, changed, layout_hash(include)}) == 3


def test_text_in_strings_counts_even_when_it_looks_like_a_comment() -> None:
    assert tokens('E(1, "a  b // c") // d') == ["E", "(", "1", ",", '"a  b // c"', ")"]
    assert tokens('"a  b"') != tokens('"a b"')
    assert tokens(r'"say \"x\" /* y */" /* z */') == [r'"say \"x\" /* y */"']


def test_a_missing_file_is_an_error(include: Path) -> None:
    (include / "events.def").unlink()
    with pytest.raises(FileNotFoundError, match=r"events\.def"):
        layout_hash(include)


def test_an_unchanged_header_keeps_its_time(tmp_path: Path) -> None:
    header = tmp_path / "sub" / "hash.h"
    write_header(header, 0x1F)
    assert "#define MXRC_LAYOUT_HASH 0x000000000000001FULL" in header.read_text()
    first = header.stat().st_mtime_ns
    write_header(header, 0x1F)
    assert header.stat().st_mtime_ns == first
    write_header(header, 0x20)
    assert as_c_literal(0x20) in header.read_text()
