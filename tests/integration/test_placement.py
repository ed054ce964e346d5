"""Placement of real processes: measured memory, changes over HTTP that last, mxrc doctor."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from shared.documents import read_member_document
from shared.segment import Segment
from tests.integration.test_nonrt_process import ANY_TIMING, NonRt
from tests.processes import BIN, Place, run_to_end, started_rt, wait_for, wait_for_state


def real_time_allowed() -> bool:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        return False
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return True


needs_real_time = pytest.mark.skipif(not real_time_allowed(), reason="needs CAP_SYS_NICE")


def in_force(segment: Segment) -> dict[str, object]:
    found = read_member_document(segment, 0).get("placement", {}).get("in_force", {})
    assert isinstance(found, dict)
    return found


def thread_of(segment: Segment) -> int:
    return int(segment.member_struct(0).tid)


@pytest.mark.skipif(not Path("/proc/self/numa_maps").exists(), reason="kernel without NUMA")
def test_the_local_share_is_counted_page_by_page(place: Place) -> None:
    with started_rt(place) as running:
        segment = wait_for_state(place, running)
        wait_for(lambda: in_force(segment).get("local_memory_percent"), "the first look")
        pages = in_force(segment)["pages"]
        assert isinstance(pages, dict)
        assert sum(pages["segment_kb"].values()) > 1024, "the mapped segment is in it"
        assert sum(pages["anonymous_kb"].values()) > 1024
        assert sum(pages["file_kb"].values()) > 1024
        segment.detach()


def policies_of_threads(pid: int) -> set[str]:
    """Of the first area of each thread: an area without a policy of its own shows the thread's."""
    return {
        path.read_text().split(maxsplit=2)[1]
        for path in Path(f"/proc/{pid}/task").glob("*/numa_maps")
    }


@needs_real_time
def test_a_change_over_http_is_in_force_and_lasts(place: Place) -> None:
    place.environ.update(ANY_TIMING)
    with started_rt(place) as running:
        segment = wait_for_state(place, running)
        nonrt = NonRt(place)
        try:
            answer = nonrt.request("PUT", "/api/v1/affinity", json={"rt_process": {"priority": 55}})
            assert answer.status_code == 200, answer.text
            assert os.sched_getparam(thread_of(segment)).sched_priority == 55
            assert answer.json()["rt_process"]["in_force"]["priority"] == 55
            refused = nonrt.request(
                "PUT", "/api/v1/affinity", json={"rt_process": {"priority": 60, "cpu_cores": [999]}}
            )
            assert refused.status_code == 422
            assert "cpu_cores" in refused.json()["detail"]
            assert os.sched_getparam(thread_of(segment)).sched_priority == 55, "refused as a whole"
            wrong = nonrt.request("PUT", "/api/v1/numa", json={"rt_process": {"numa_node": 900}})
            assert wrong.status_code == 422
            numa = nonrt.request(
                "PUT", "/api/v1/numa", json={"rt_process": {"memory_policy": "BIND"}}
            )
            assert numa.json()["rt_process"]["in_force"]["memory_policy"] == "BIND"
            numa = nonrt.request(
                "PUT", "/api/v1/numa", json={"non_rt_process": {"memory_policy": "BIND"}}
            )
            assert numa.json()["non_rt_process"]["in_force"]["threads_without"] == 0
            assert policies_of_threads(nonrt.pid) == {"bind:0"}, "in every thread, at once"
            assert nonrt.wait_for_status("HEALTHY", "DEGRADED", process="non_rt_process")
            rate = {"sampling_rate": 0.25}
            assert nonrt.request("PUT", "/api/v1/tracing/sampling", json=rate).status_code == 200
        finally:
            nonrt.end()
        segment.detach()
    kept = json.loads((place.folder / f"data/{place.instance}.overrides.json").read_text())
    assert kept == {
        "cpu_affinity": {"rt_process": {"priority": 55}},
        "numa_binding": {
            "rt_process": {"memory_policy": "BIND"},
            "non_rt_process": {"memory_policy": "BIND"},
        },
        "tracing_config": {"sampling_rate": 0.25},
    }
    with started_rt(place, name="again") as running:
        segment = wait_for_state(place, running)
        assert os.sched_getparam(thread_of(segment)).sched_priority == 55
        segment.detach()


@needs_real_time
def test_a_refused_change_leaves_every_thread_where_it_was(place: Place) -> None:
    place.environ.update(ANY_TIMING)
    with started_rt(place) as running:
        segment = wait_for_state(place, running)
        nonrt = NonRt(place)
        try:
            nonrt.urls()
            threads = [int(path.name) for path in Path(f"/proc/{running.pid}/task").iterdir()]

            def placed() -> list[tuple[set[int], int, int]]:
                return [
                    (
                        os.sched_getaffinity(thread),
                        os.sched_getscheduler(thread) & 0xFF,
                        os.sched_getparam(thread).sched_priority,
                    )
                    for thread in threads
                ]

            before = placed()
            for process in ("rt_process", "non_rt_process"):
                change = {process: {"isolation_mode": "HYBRID", "is_exclusive": True}}
                refused = nonrt.request("PUT", "/api/v1/affinity", json=change)
                assert refused.status_code == 422, refused.text
                assert f"$.{process}: is_exclusive is true, and" in refused.json()["detail"]
                assert placed() == before
            answer = nonrt.request("PUT", "/api/v1/affinity", json={"rt_process": {"priority": 33}})
            assert answer.status_code == 200, answer.text
            assert os.sched_getparam(thread_of(segment)).sched_priority == 33
            assert placed()[threads.index(running.pid)] == before[threads.index(running.pid)]
            left = {int(path.name) for path in Path(f"/proc/{running.pid}/task").iterdir()}
            assert left == set(threads), "what it was tried on is gone"
        finally:
            nonrt.end()
        segment.detach()


def test_an_exclusive_non_rt_process_needs_its_isolation(place: Place) -> None:
    path = place.config_dir / "cpu_affinity.json"
    document = json.loads(path.read_text())
    document["non_rt_process"] |= {"isolation_mode": "CGROUPS", "is_exclusive": True}
    path.write_text(json.dumps(document))
    done = run_to_end(place, "mxrc-nonrt")
    assert done.returncode == 78, done.stderr
    assert "cpu_affinity.json: $.non_rt_process: is_exclusive is true, and CPU" in done.stderr
    assert "mxrc cpuset create" in done.stderr
    assert "Traceback" not in done.stderr
    document["non_rt_process"] |= {
        "is_exclusive": False,
        "threads": [
            {"thread_name": "heart", "policy": "SCHED_OTHER"},
            {"thread_name": "nobody", "policy": "SCHED_OTHER"},
        ],
    }
    path.write_text(json.dumps(document))
    place.environ.update(ANY_TIMING)
    nonrt = NonRt(place)
    try:
        health = nonrt.wait_for_status("DEGRADED", process="non_rt_process")
        assert "not in a cpuset of this process" in str(health)
        assert "no thread named nobody" in str(health)
        assert "no thread named heart" not in str(health)
        details = nonrt.request("GET", "/health/details?process=non_rt_process").json()
        assert details["cpu_affinity"]["isolation_mode"] == "NONE"
        metrics = nonrt.client.get(nonrt.urls()["metrics"] + "/metrics").text
        (line,) = [
            line
            for line in metrics.splitlines()
            if line.startswith("mxrc_cpu_affinity_info{") and '"non_rt_process"' in line
        ]
        assert 'isolation_mode="NONE"' in line
    finally:
        nonrt.end()


def test_what_a_variable_sets_cannot_be_changed_over_http(place: Place) -> None:
    place.environ.update(ANY_TIMING)
    place.environ["MXRC_CPU_AFFINITY__RT_PROCESS__PRIORITY"] = "44"
    with started_rt(place) as running:
        wait_for_state(place, running)
        nonrt = NonRt(place)
        try:
            answer = nonrt.request("PUT", "/api/v1/affinity", json={"rt_process": {"priority": 55}})
            assert answer.status_code == 422
            assert "MXRC_CPU_AFFINITY__RT_PROCESS__PRIORITY" in answer.json()["detail"]
        finally:
            nonrt.end()


def test_doctor_measures_and_judges(place: Place) -> None:
    done = subprocess.run(
        [str(BIN / "mxrc"), "doctor", "--json", "--fix-hints", "--measure", "500ms"],
        env=place.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    answer = json.loads(done.stdout)
    worst = max(("OK", "WARNING", "BAD").index(one["verdict"]) for one in answer["findings"])
    assert done.returncode == worst
    assert all(one["fix"] for one in answer["findings"] if one["verdict"] != "OK")
    groups = {one["group"] for one in answer["findings"]}
    assert groups >= {"kernel", "isolation", "scheduling", "power", "memory", "measured"}
    assert "isolcpus=" in answer["fix_hints"]
    wake = next(one for one in answer["findings"] if one["check"] == "wake-up")
    assert "500 wake-ups" in wake["what"]
