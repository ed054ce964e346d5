from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rt_process.cpu_watch import is_cpu_event
from rt_process.numa_policy import MemoryPolicyInForce
from rt_process.upkeep import Upkeep
from shared.numa.maps import count_pages, counts_from_document
from shared.numa.pages import BATCH, Migration, PageFiles
from tests.unit.rt_process.fakes import FakeNuma

NUMA_MAPS = """\
10000 default heap anon=30 dirty=30 N0=10 N1=20 kernelpagesize_kB=4
40000 default file=/usr/lib/libc.so.6 mapped=50 N0=50 kernelpagesize_kB=4
80000 bind:1 file=/dev/shm/mxrc-x dirty=70 N1=70 kernelpagesize_kB=4
f0000 default stack
"""
MAPS = "10000-2e000 rw-p 0 0:0 0 [heap]\n80000-c6000 rw-s 0 0:1 7 /dev/shm/mxrc-x\n"


def test_what_counts_and_what_is_apart() -> None:
    counts = count_pages(NUMA_MAPS, "/mxrc-x")
    assert counts.anonymous == {0: 40, 1: 80}
    assert counts.segment == {1: 280}
    assert counts.file == {0: 200}
    assert counts.local_percent([1]) == 90
    assert counts_from_document(counts.document()) == counts
    assert count_pages(NUMA_MAPS).segment == {}, "the segment counts for RT only"
    assert count_pages("").local_percent([0]) is None
    assert counts_from_document({"anonymous_kb": 3}) is None


def files(folder: Path) -> PageFiles:
    (folder / "numa_maps").write_text(NUMA_MAPS)
    (folder / "maps").write_text(MAPS)
    return PageFiles("mxrc-x", folder)


def held(numa: FakeNuma) -> MemoryPolicyInForce:
    return MemoryPolicyInForce("BIND", 1, frozenset({1}), True, numa)


def test_migration_moves_only_what_is_elsewhere(tmp_path: Path) -> None:
    numa = FakeNuma(pages={0x10000 + 4096 * page: page % 2 for page in range(30)})
    migration = Migration(files(tmp_path), numa, 1)
    steps = 0
    while not migration.done:
        migration.step()
        steps += 1
    assert migration.moved == 15
    assert set(numa.pages.values()) == {1}
    assert steps == 2, f"one batch of at most {BATCH} pages, and the one that finds nothing"


class Kept:
    placement = None
    memory = held(FakeNuma())


def upkeep(
    folder: Path,
    logged: list[object],
    running: bool,
    cpu_node: int,
    primary: Callable[[], bool] = lambda: True,
) -> Upkeep:
    class Quiet:
        def seen(self) -> bool:
            return False

    return Upkeep(
        Kept(),  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        files(folder),
        Quiet(),
        thread=lambda: 0,
        cpu=lambda: 2,
        primary=primary,
        running=lambda: running,
        online=lambda: frozenset({0, 1, 2, 3}),
        node_of=lambda _cpu: cpu_node,
        log=lambda *event: logged.append(event[0]),
        say=lambda _line: None,
    )


def test_the_alarm_of_remote_memory_is_raised_once_and_says_what_to_do(tmp_path: Path) -> None:
    logged: list[object] = []
    keeper = upkeep(tmp_path, logged, running=True, cpu_node=1)
    assert keeper.turn(2_000_000_000)
    assert keeper.turn(4_000_000_000)
    assert logged == ["MEMORY_REMOTE"]
    (reason,) = keeper.reasons
    assert "10.0 %" in reason.what
    assert "migrate_pages" in reason.fix
    assert keeper.document()["local_memory_percent"] == 90
    (tmp_path / "numa_maps").write_text(NUMA_MAPS.replace("N0=10 N1=20", "N1=30"))
    keeper.turn(6_000_000_000)
    assert logged == ["MEMORY_REMOTE", "MEMORY_LOCAL"]
    assert keeper.reasons == []


def test_between_looks_nothing_is_read(tmp_path: Path) -> None:
    keeper = upkeep(tmp_path, [], running=True, cpu_node=1)
    assert keeper.turn(2_000_000_000)
    assert not keeper.turn(2_500_000_000)


def test_pages_move_only_outside_of_running(tmp_path: Path) -> None:
    for running in (True, False):
        keeper = upkeep(tmp_path, [], running=running, cpu_node=1)
        Kept.memory = held(FakeNuma(pages={0x10000: 0}))
        keeper.migrate()
        for turn in range(5):
            keeper.turn(turn * 50_000_000)
        assert keeper.document()["migration"]["done"] is not running


def test_what_waits_to_be_moved_stays_once_migrate_pages_is_false(tmp_path: Path) -> None:
    keeper = upkeep(tmp_path, [], running=True, cpu_node=1)
    Kept.memory = held(FakeNuma(pages={0x10000: 0}))
    keeper.migrate()
    assert not keeper.document()["migration"]["done"]
    Kept.memory = replace(Kept.memory, migrate=False)
    keeper.migrate()
    assert "migration" not in keeper.document()


def test_a_standby_moves_its_own_pages_and_none_of_the_segment(tmp_path: Path) -> None:
    numa = FakeNuma(pages={0x10000: 0, 0x80000: 0})
    keeper = upkeep(tmp_path, [], running=False, cpu_node=1, primary=lambda: False)
    (tmp_path / "numa_maps").write_text(NUMA_MAPS.replace("N1=70", "N0=70"))
    Kept.memory = held(numa)
    keeper.migrate()
    keeper.turn(1)
    keeper.turn(2)
    assert numa.pages == {0x10000: 1, 0x80000: 0}
    assert keeper.document()["migration"]["done"]


def test_who_hands_over_while_pages_move_leaves_the_segment_to_the_successor(
    tmp_path: Path,
) -> None:
    roles = [True, False]
    keeper = upkeep(tmp_path, [], running=False, cpu_node=1, primary=lambda: roles[0])
    numa = FakeNuma(pages={0x10000: 0, 0x80000: 0})
    (tmp_path / "numa_maps").write_text(NUMA_MAPS.replace("N1=70", "N0=70"))
    Kept.memory = held(numa)
    keeper.migrate()
    roles.pop(0)
    for turn in range(4):
        keeper.turn(turn)
    assert numa.pages == {0x10000: 1, 0x80000: 0}


def test_uevents_of_cpus() -> None:
    assert is_cpu_event(b"online@/devices/system/cpu/cpu3\0ACTION=online\0")
    assert is_cpu_event(b"offline@/devices/system/cpu/cpu12\0")
    assert not is_cpu_event(b"add@/devices/system/cpu/cpu3\0")
    assert not is_cpu_event(b"online@/devices/system/cpu/cpu3/cache\0")
