"""The search index over real files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonrt_process.interfaces import InvalidSetting
from nonrt_process.logs import ecs
from nonrt_process.logs import index as log_index
from nonrt_process.logs.index import LogIndex, Query, match_expression
from nonrt_process.logs.router import make_router
from shared.clock import FakeClock
from shared.sqlite_store import StoreError

if TYPE_CHECKING:
    from fastapi.routing import APIRoute

NOW_NS = 1_700_000_000 * 10**9


class Place:
    """Log files and an index that is driven by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "log"
        self.folder.mkdir()
        self.path = folder / "data" / "logs.sqlite3"
        self.clock = FakeClock(realtime_ns=NOW_NS)
        self.index = LogIndex(self.path, self.folder, self.clock)
        self.index.open()

    def write(
        self, *rows: dict[str, Any], name: str = "rt_process.log", end: str = "\n", age_s: float = 0
    ) -> None:
        path = self.folder / name
        begun = path.exists()
        with path.open("a") as file:
            if not begun:
                file.write(json.dumps({ecs.FILE_ID: f"{name}{NOW_NS}"}) + "\n")
            for number, row in enumerate(rows):
                stamp = {ecs.TIMESTAMP: stamp_of(NOW_NS / 1e9 - age_s), ecs.LEVEL: "info"}
                last = end if number == len(rows) - 1 else "\n"
                file.write(json.dumps({**stamp, **row}) + last)

    def found(self, **query: Any) -> list[str]:
        return [one["message"] for one in self.index.search(Query(**query))]


def stamp_of(seconds: float) -> str:
    from datetime import datetime, timezone

    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.index.close()


def test_search_by_words_level_task_trace_process_and_time(place: Place) -> None:
    place.write({"message": "old deadline miss", ecs.LEVEL: "error"}, age_s=7200)
    place.write(
        {"message": "deadline miss one", ecs.LEVEL: "error", ecs.TASK_ID: "täsk 500"},
        {"message": "deadline met", ecs.TRACE_ID: "ab" * 16},
        {"message": "a miss, not of a deadline", ecs.LEVEL: "critical"},
    )
    place.write({"message": "own deadline miss"}, name="non_rt_process.log")
    assert place.index.catch_up() == 5
    assert place.index.catch_up() == 0
    assert place.found(text='"deadline miss"', process="rt_process") == [
        "deadline miss one",
        "old deadline miss",
    ]
    assert place.found(text="deadline mis*", level="error", since_ns=NOW_NS - 10**9) == [
        "a miss, not of a deadline",
        "deadline miss one",
    ]
    assert place.found(task="täsk 500") == ["deadline miss one"]
    assert place.found(trace="AB" * 16) == ["deadline met"]
    assert place.found(process="non_rt_process") == ["own deadline miss"]
    assert place.found(until_ns=NOW_NS - 10**9) == ["old deadline miss"]
    assert len(place.found(limit=2)) == 2
    assert place.found(task="task_501") == []


def test_lines_of_both_files_come_in_the_order_of_time(place: Place) -> None:
    place.write({"message": "first"}, age_s=30)
    place.write({"message": "third"}, age_s=10)
    place.write({"message": "second"}, name="non_rt_process.log", age_s=20)
    place.index.catch_up()
    assert place.found() == ["third", "second", "first"]


def test_a_torn_line_waits_and_rotation_is_followed(place: Place) -> None:
    place.write({"message": "whole"}, {"message": "torn"}, end="")
    assert place.index.catch_up() == 1
    with (place.folder / "rt_process.log").open("a") as file:
        file.write("\n")
    (place.folder / "rt_process.log").rename(place.folder / "rt_process.log.20231114T221320-0000")
    place.write({"message": "after"})
    assert place.index.catch_up() == 2
    assert place.found() == ["after", "torn", "whole"]


def test_a_file_that_others_rotated_is_searched_while_it_is_plain(place: Place) -> None:
    place.write({"message": "before"})
    path = place.folder / "rt_process.log"
    path.rename(place.folder / "rt_process.log.1")  # before it was read, even
    place.write({"message": "after"})
    place.index.catch_up()
    assert place.found() == ["after", "before"]
    (place.folder / "rt_process.log.1").rename(place.folder / "rt_process.log.1.gz")
    assert place.found() == ["after"]


def test_times_are_found_across_the_tables_of_words(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_index, "PART_BITS", 2)
    for minute in range(40):
        place.write({"message": f"word{minute}"}, age_s=60.0 * (40 - minute))
    place.index.catch_up()
    since = NOW_NS - 30 * 60 * 10**9
    until = NOW_NS - 25 * 60 * 10**9
    wanted = [f"word{minute}" for minute in (14, 13, 12, 11, 10)]
    assert place.found(since_ns=since, until_ns=until) == wanted
    assert place.found(text="word*", since_ns=since, until_ns=until) == wanted
    assert place.found(text="word*", since_ns=NOW_NS) == []
    assert place.found(text="word*", until_ns=NOW_NS - 41 * 60 * 10**9) == []
    assert len(place.found(since_ns=0, until_ns=NOW_NS)) == 40


def test_old_lines_go_and_their_words_with_them(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_index, "PART_BITS", 3)
    place.write(*({"message": f"word{number}"} for number in range(40)))
    place.index.catch_up()
    assert len(place.found(text="word*")) == 40
    place.clock.advance(23 * 3600 * 10**9)
    place.write({"message": "later word"}, age_s=-23 * 3600)
    place.index.catch_up()
    place.clock.advance(2 * 3600 * 10**9)
    place.index._store.write(lambda connection: place.index._retain(connection, False))
    assert place.found() == ["later word"]
    with place.index._store.read() as connection:
        assert len(log_index._parts(connection)) == 1
    place.write({"message": "newest"}, age_s=-25 * 3600)
    place.index.catch_up()
    assert place.found() == ["newest", "later word"]


@pytest.mark.parametrize("damage", ["missing", "garbage", "torn"])
def test_a_damaged_index_is_filled_anew_from_the_files(tmp_path: Path, damage: str) -> None:
    place = Place(tmp_path)
    place.write(*({"message": f"line {number}"} for number in range(500)))
    place.index.catch_up()
    place.index.close()
    before = [path.read_bytes() for path in sorted(place.folder.iterdir())]
    if damage == "missing":
        place.path.unlink()
    elif damage == "garbage":
        place.path.write_bytes(b"\x00garbage" * 5000)
    else:
        raw = place.path.read_bytes()
        place.path.write_bytes(raw[:4096] + b"\xff" * 8192 + raw[12288:])
    again = LogIndex(place.path, place.folder, place.clock)
    again._thread.start()
    try:
        import time

        for _ in range(200):
            try:
                found = again.search(Query(limit=1000))
            except StoreError:
                found = []
            if len(found) == 500:
                break
            time.sleep(0.05)
        assert len(found) == 500
    finally:
        again.stop()
    assert before == [path.read_bytes() for path in sorted(place.folder.iterdir())]


@given(text=st.text())
def test_nothing_that_is_typed_is_a_syntax_error(text: str) -> None:
    import sqlite3

    expression = match_expression(text.replace("\0", " ").encode("utf-8", "ignore").decode())
    if expression:
        connection = sqlite3.connect(":memory:")
        connection.execute("CREATE VIRTUAL TABLE words USING fts5 (text)")
        connection.execute("SELECT * FROM words WHERE words MATCH ?", (expression,)).fetchall()
        connection.close()


def test_words_without_a_letter_are_refused(place: Place) -> None:
    with pytest.raises(InvalidSetting, match="at least one word"):
        place.index.search(Query(text='"" *'))


@given(st.integers(NOW_NS // 1000, NOW_NS // 1000 + 2 * 10**14))
def test_the_time_of_a_line_in_seconds_finds_it(microseconds: int) -> None:
    """What JSON carries as a float is the microsecond of the line again."""
    asked: list[Query] = []

    class Index:
        def search(self, query: Query) -> list[dict[str, Any]]:
            asked.append(query)
            return []

    (route,) = make_router(cast("LogIndex", Index())).routes
    seconds = json.loads(json.dumps(microseconds / 1e6))
    cast("APIRoute", route).endpoint(since=seconds, until=seconds)
    assert (asked[0].since_ns, asked[0].until_ns) == (microseconds * 1000, microseconds * 1000)
