"""Files are rotated between records, appended to whole, and what is lost is said."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsim.labels import Labels
from logsim.output import ClosedPipe, FileOutput, OutputError, StreamOutput
from logsim.runner import Tally, run
from logsim.settings import SEEDED_START_MS, Settings
from logsim.stop import Stop
from tests.unit.logsim.produce import Memory, produce


def parts(path: Path) -> list[Path]:
    """The rotated files, oldest first, and the current one."""
    rotated = sorted(path.parent.glob(path.name + ".*"), key=lambda p: -int(p.suffix[1:]))
    return [*rotated, path]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=60), st.integers(1, 200), st.integers(0, 4)
)
def test_rotation_keeps_records_whole_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], limit: int, keep: int
) -> None:
    path = tmp_path_factory.mktemp("rotation") / "app.log"
    records = [f"{number:03d}".ljust(size, ".") + "\n" for number, size in enumerate(sizes)]
    output = FileOutput(path, rotate_bytes=limit, keep=keep)
    for record in records:
        output.write(record)
    output.close()
    files = parts(path)
    written = "".join(file.read_text() for file in files)
    everything = "".join(records)
    assert everything.endswith(written)
    assert output.part + 1 == len(files) or (keep and len(files) == keep + 1)
    if not keep:
        assert written == everything
    for file in files:
        text = file.read_text()
        assert text.endswith("\n")
        assert len(text) <= limit or text.count("\n") == 1


def test_rotated_parts_hold_what_the_labels_say(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    output, truth = FileOutput(path, rotate_bytes=20_000, keep=0), Memory()
    labels = Labels(truth)
    run(
        Settings(interval_s=0.0, count=300, seed=1, start_ms=SEEDED_START_MS),
        output,
        labels,
        Stop(),
        Tally(),
    )
    output.close()
    labels.close()
    files = [file.read_text().splitlines() for file in parts(path)]
    assert len(files) > 5
    assert "".join(file.read_text() for file in parts(path)) == "".join(produce(300)[0])
    import json

    for label in map(json.loads, truth.texts):
        size = label["last_line"] - label["first_line"] + 1
        block = files[label["part"]][label["part_line"] - 1 :][:size]
        assert block[0].startswith("[ERROR]")
        assert block[-1].startswith("--- end of ")


def test_the_file_is_appended_to_and_private(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("already here\n")
    output = FileOutput(path)
    output.write("more\n")
    output.close()
    assert path.read_text() == "already here\nmore\n"
    fresh = FileOutput(tmp_path / "fresh.log")
    fresh.close()
    assert stat.S_IMODE((tmp_path / "fresh.log").stat().st_mode) & ~0o640 == 0


def test_a_torn_last_line_is_ended_first(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("torn by a kil")
    output = FileOutput(path)
    output.write("whole\n")
    output.close()
    assert path.read_text() == "torn by a kil\nwhole\n"


def test_overwrite_empties_the_file(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("old\n")
    FileOutput(path, overwrite=True).close()
    assert path.read_text() == ""


def test_a_moved_file_is_opened_anew_without_losing_a_record(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    output = FileOutput(path)
    output.write("one\n")
    path.replace(tmp_path / "moved.log")
    output.request_reopen()
    output.write("two\n")
    output.flush()
    output.write("three\n")
    output.close()
    assert (tmp_path / "moved.log").read_text() == "one\ntwo\n"
    assert path.read_text() == "three\n"


def test_a_full_device_is_an_error_that_counts_what_is_lost() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        output = StreamOutput(fd, "/dev/full")
        output.write("one\ntwo\n")
        output.write("three\n")
        with pytest.raises(OutputError, match=r"/dev/full: No space left.*3 lines"):
            output.flush()
    finally:
        os.close(fd)


def test_a_reader_that_left_is_told_apart_from_an_error() -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    try:
        output = StreamOutput(write_fd, "standard output")
        output.write("one\n")
        with pytest.raises(ClosedPipe):
            output.flush()
    finally:
        os.close(write_fd)


def test_only_a_regular_file_is_rotated() -> None:
    """Otherwise a run as root would rename the device."""
    with pytest.raises(OutputError, match="cannot rotate /dev/null: it is not a regular file"):
        FileOutput(Path("/dev/null"), rotate_bytes=1000)


@pytest.mark.parametrize("name", ["missing/app.log", "."])
def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        FileOutput(tmp_path / name)
