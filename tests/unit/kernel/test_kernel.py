from __future__ import annotations

from pathlib import Path

import pytest

from shared.kernel.cpuset_admin import CpusetError, create_cpuset, enter_cpuset
from shared.kernel.cpusets import own_cpuset
from shared.kernel.files import KernelFiles
from shared.kernel.interrupts import interrupts_on
from shared.kernel.isolation import isolation_document, read_isolation
from shared.kernel.throttling import read_throttling

V2 = "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
V1 = "31 1 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset"


def tree(root: Path, files: dict[str, str]) -> KernelFiles:
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return KernelFiles(root)


def v2(group: str, partition: str, cpus: str = "2-3") -> dict[str, str]:
    folder = f"/sys/fs/cgroup{group}"
    return {
        "/proc/self/mountinfo": V2,
        "/proc/self/cgroup": f"0::{group}",
        "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu",
        f"{folder}/cpuset.cpus.partition": partition,
        f"{folder}/cpuset.cpus.effective": cpus,
    }


def v1(exclusive: int, balance_above: int) -> dict[str, str]:
    return {
        "/proc/self/mountinfo": V1,
        "/proc/self/cgroup": "3:cpuset:/rt\n0::/",
        "/sys/fs/cgroup/cpuset/cpuset.sched_load_balance": str(balance_above),
        "/sys/fs/cgroup/cpuset/rt/cpuset.cpu_exclusive": str(exclusive),
        "/sys/fs/cgroup/cpuset/rt/cpuset.cpus": "3",
        "/sys/fs/cgroup/cpuset/rt/cpuset.effective_cpus": "3",
    }


@pytest.mark.parametrize(
    ("files", "isolates", "why"),
    [
        (v2("/rt", "isolated"), True, ""),
        (v2("/rt", "root"), True, ""),
        (v2("/rt", "member"), False, "no cpuset partition"),
        (v2("/rt", "isolated invalid (Cpu list in cpuset.cpus not exclusive)"), False, "not valid"),
        (v1(1, 0), True, ""),
        (v1(1, 1), False, "sched_load_balance is on"),
        (v1(0, 0), False, "no exclusive cpuset"),
    ],
)
def test_a_cpuset_isolates_only_when_the_kernel_says_so(
    tmp_path: Path, files: dict[str, str], isolates: bool, why: str
) -> None:
    cpuset = own_cpuset(tree(tmp_path, files))
    assert cpuset is not None
    assert cpuset.isolates is isolates
    assert why in cpuset.why_not
    assert 3 in cpuset.cpus


def test_a_group_below_a_partition_is_in_it(tmp_path: Path) -> None:
    files = v2("/rt", "isolated") | {
        "/proc/self/cgroup": "0::/rt/below",
        "/sys/fs/cgroup/rt/below/cpuset.cpus.partition": "member",
    }
    cpuset = own_cpuset(tree(tmp_path, files))
    assert cpuset is not None
    assert (cpuset.name, cpuset.isolates) == ("/rt", True)


def test_without_cpusets(tmp_path: Path) -> None:
    assert own_cpuset(tree(tmp_path, {"/proc/self/mountinfo": ""})) is None


def test_modes_and_what_is_told_of_them(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        v2("/rt", "isolated", "3")
        | {
            "/sys/devices/system/cpu/isolated": "2-3",
            "/sys/devices/system/cpu/nohz_full": "(null)",
            "/proc/cmdline": "quiet rcu_nocbs=2,3 isolcpus=2,3",
        },
    )
    isolation = read_isolation(files)
    assert isolation.mode([2]) == "ISOLCPUS"
    assert isolation.mode([3]) == "HYBRID"
    assert isolation.mode([1]) == "NONE"
    document = isolation_document(isolation, [3], ())
    assert (document["nohz_full"], document["rcu_nocbs"]) == (False, True)


RELEASE = "/proc/sys/kernel/osrelease"
GROUPS = "CONFIG_RT_GROUP_SCHED=y"
LIMIT = {
    "/proc/sys/kernel/sched_rt_runtime_us": "950000",
    "/proc/sys/kernel/sched_rt_period_us": "1000000",
}


@pytest.mark.parametrize(
    ("files", "in_force", "fair"),
    [
        (LIMIT | {RELEASE: "6.1.0-56-rt-amd64"}, True, False),
        (LIMIT | {RELEASE: "6.12.3", "/boot/config-6.12.3": "CONFIG_SMP=y"}, False, True),
        (
            LIMIT | {RELEASE: "6.18.1", "/boot/config-6.18.1": "CONFIG_RT_GROUP_SCHED=y"},
            True,
            False,
        ),
        (LIMIT | {RELEASE: "6.18.1"}, True, False),
        (LIMIT | {RELEASE: "6.18.1", "/sys/kernel/realtime": "1"}, False, True),
        ({RELEASE: "6.1.0", "/proc/sys/kernel/sched_rt_runtime_us": "-1"}, False, False),
    ],
)
def test_throttling_is_what_this_kernel_still_does(
    tmp_path: Path, files: dict[str, str], in_force: bool, fair: bool
) -> None:
    state = read_throttling(tree(tmp_path, files))
    assert (state.in_force, state.fair_server) == (in_force, fair)


def test_only_interrupts_with_a_handler_on_the_cpu_count(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {
            "/proc/irq/9/acpi/spurious": "0",
            "/proc/irq/9/effective_affinity_list": "3",
            "/proc/irq/10/effective_affinity_list": "3",
            "/proc/irq/11/eth0/spurious": "0",
            "/proc/irq/11/effective_affinity_list": "0",
            "/proc/irq/12/nvme/spurious": "0",
            "/proc/irq/12/smp_affinity_list": "0-3",
        },
    )
    found = interrupts_on(files, [3])
    assert [(one.number, one.name) for one in found] == [(9, "acpi"), (12, "nvme")]


def test_a_cpuset_is_not_made_twice_nor_entered_when_it_is_not_there(tmp_path: Path) -> None:
    files = tree(tmp_path, v2("/other", "member"))
    with pytest.raises(CpusetError, match="mxrc cpuset create"):
        enter_cpuset(files, 1)
    (tmp_path / "sys/fs/cgroup/mxrc-rt").mkdir()
    with pytest.raises(CpusetError, match="remove"):
        create_cpuset(files, frozenset({1}))
