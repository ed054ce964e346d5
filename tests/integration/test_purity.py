"""What the real-time thread asks of kernel and heap in 1,000 cycles: the sleep, and no more."""

from __future__ import annotations

import json
import re
import signal
import struct
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.core import now_ns
from shared.datastore import DataStore
from shared.enums import EventKind, RegionId, RtState
from shared.ring import RingReader
from shared.segment import Segment
from tests.helpers import require_tool
from tests.integration.test_control_laws import COMPILE_S, EXAMPLES, PID, build, running, set_law
from tests.integration.test_failover import Arm
from tests.integration.test_nonrt_process import (
    ANY_TIMING,
    SERVING,
    NonRt,
    started_nonrt,
)
from tests.integration.test_schedule import build as build_entry
from tests.integration.test_schedule import burner, set_schedule
from tests.processes import Beside, Place, Running, started_rt, wait_for
from tests.unit.shared.test_task_blocks import if_, log, move, parallel, repeat, wait

CYCLES = 1_000
KEY = "parts.placed"
HERE = Path(__file__).resolve().parent

IMPURE = """
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "mxrc/law.h"
static int init(void *s, const double *p, uint32_t axes, double dt) { return 0; }
static int step(void *s, const double *p, const struct mxrc_law_input *in, double *command)
{
    volatile double *copy = malloc(in->axes * sizeof *copy);
    for (uint32_t i = 0; i < in->axes; i++)
        command[i] = copy[i] = in->setpoint[i];
    free((void *)copy);
    return write(-1, command, 1) == 1;
}
static void reset(void *s, const double *p, const struct mxrc_law_input *in) {}
const struct mxrc_law impure = { MXRC_LAW_ABI, sizeof(struct mxrc_law), "impure",
                                 MXRC_LAW_POSITION, 0, 1, 0, init, step, reset };
"""


@dataclass
class Seen:
    """calls: system calls by name. heap: calls of malloc and the like. major_faults.

    cycles: at least as many as were traced.
    """

    calls: Counter[str]
    heap: int
    major_faults: int
    cycles: int

    def impurities(self, *allowed: str) -> list[str]:
        """What is not pure; the sleep and `allowed` are."""
        found = sorted(name for name in self.calls if name not in ("clock_nanosleep", *allowed))
        found += [f"{self.heap} calls of the heap"] if self.heap else []
        return found + ([f"{self.major_faults} major faults"] if self.major_faults else [])


@pytest.fixture
def counted(place: Place) -> Place:
    """A place whose processes count their calls of the heap."""
    compiler = require_tool("cc", "gcc")
    library = place.folder / "count_malloc.so"
    source = HERE / "count_malloc.c"
    command = [compiler, "-O2", "-fPIC", "-shared", "-fno-builtin", str(source), "-o", str(library)]
    subprocess.run(command, check=True, timeout=60)
    place.environ |= {
        "LD_PRELOAD": str(library),
        "MXRC_TEST_COUNTS": str(place.folder / "counts"),
    }
    return place


def heap_calls(place: Place, thread: int) -> int:
    raw = (place.folder / "counts").read_bytes()
    calls = dict(struct.iter_unpack("QQ", raw))
    return int(calls.get(thread, 0))


def major_faults(process: int, thread: int) -> int:
    stat = Path(f"/proc/{process}/task/{thread}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[9])  # majflt: proc(5)


def traced(place: Place, rt: Running, segment: Segment) -> Seen:
    """What the real-time thread does in CYCLES cycles after the warm-up, under strace."""
    thread = int(segment.rt_status.tid)
    wait_for(lambda: segment.rt_status.cycles_run > 200, "the warm-up")
    log = place.folder / "strace"
    heap, faults = heap_calls(place, thread), major_faults(rt.pid, thread)
    before = int(segment.rt_status.cycles_run)
    strace = subprocess.Popen(
        [require_tool("strace"), "-p", str(thread), "-o", str(log)], stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: log.exists() and log.stat().st_size > 0, "strace")
        first = int(segment.rt_status.cycles_run)
        wait_for(lambda: segment.rt_status.cycles_run > first + CYCLES, "cycles")
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait(30)
    cycles = int(segment.rt_status.cycles_run) - before
    # The call that the thread was in when strace came is shown as resumed or restarted.
    names = re.findall(r"^(?:<\.\.\. )?(\w+)[ (]", log.read_text(), re.MULTILINE)
    calls = Counter(name for name in names if name != "restart_syscall")
    assert calls["clock_nanosleep"] >= CYCLES
    assert Path(f"/proc/{rt.pid}/task/{thread}").exists()
    return Seen(
        calls, heap_calls(place, thread) - heap, major_faults(rt.pid, thread) - faults, cycles
    )


def law(kind: str, place: Place) -> dict[str, Any]:
    if kind == "builtin":
        return {"type": "builtin"}
    if kind == "impure":
        source = place.folder / "impure.c"
        source.write_text(IMPURE)
        path = build(source, place.folder / "impure.so")
        return {"type": "c", "path": str(path), "symbol": "impure"}
    if kind == "numba":
        pytest.importorskip("numba")
        path = EXAMPLES / "joint_pid.py"
    else:
        path = build(EXAMPLES / "joint_pid.c", place.folder / "joint_pid.so")
    return {"type": kind, "path": str(path), "symbol": "joint_pid", "parameters": PID}


@pytest.mark.parametrize(
    ("kind", "wait"), [("builtin", "sleep"), ("c", "hybrid"), ("numba", "sleep")]
)
def test_a_cycle_is_the_sleep_and_nothing_else(counted: Place, kind: str, wait: str) -> None:
    set_law(counted, **law(kind, counted))
    counted.environ["MXRC_RT_SCHEDULE__WAIT__MODE"] = wait
    counted.environ["MXRC_RT_SCHEDULE__WAIT__SPIN_MARGIN_US"] = "auto"
    with started_rt(counted) as rt:
        segment = running(counted, rt)
        seen = traced(counted, rt, segment)
        assert seen.impurities() == []
        assert seen.calls["clock_nanosleep"] <= seen.cycles + 1
        assert (segment.rt_status.spin_margin_ns > 0) is (wait == "hybrid")
        assert segment.rt_status.state == RtState.RUNNING


WORK: dict[str, Any] = {
    "id": "work",
    "sequence": {
        "name": "s",
        "actions": [
            repeat(
                "rounds",
                {"name": "set", "type": "set_value", "parameters": {"key": KEY, "value": 1}},
                {"name": "emit", "type": "emit_event", "parameters": {"topic": "test.round"}},
                if_("check", [log("line")], condition={"key": KEY, "value": 1}),
                parallel(
                    "both",
                    [move("there", "base", 0.01), move("back", "base", 0.0)],
                    [wait("pause", 0.01), log("second")],
                ),
                count=100_000,
            )
        ],
    },
}


def test_a_cycle_with_everything_in_it(counted: Place) -> None:
    """Tasks with blocks, data store, events, logs, spans, a schedule entry, commands, a plant."""
    place = counted
    place.environ |= ANY_TIMING
    set_schedule(place, burner(build_entry(place.folder), parameters=[20]))
    path = place.config_dir / "robot.json"
    image = {"type": "process_image", "name": place.instance, "input_timeout_ms": 10000}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"driver": image}))
    task = place.config_dir / "tasks" / "work.json"
    task.write_text(json.dumps(WORK))
    task.chmod(0o640)
    with Arm(place.instance), started_rt(place) as rt, started_nonrt(place) as nonrt:
        segment = running(place, rt)
        nonrt.wait_for_status(*SERVING)
        answer = nonrt.request(
            "POST", "/api/v1/task/start", json={"task_id": "work", "mode": "once"}
        )
        assert answer.status_code == 202, answer.text
        commander = Commander(nonrt)
        lane = RegionId.LANE + 2 * (segment.primary() or 0)
        with commander:
            wait_for(lambda: commander.answered > 2, "answers to commands")
            head, answered = RingReader(segment, lane).head, commander.answered
            seen = traced(place, rt, segment)
        assert seen.impurities() == []
        records = RingReader(segment, lane).latest(1000).records
        assert RingReader(segment, lane).head - head > 50
        assert commander.answered > answered
        kinds = set(records["kind"].tolist())
        assert {EventKind.LOG, EventKind.SPAN, EventKind.BUS} <= kinds
        burnt_at = DataStore(segment).read("burnt_at").value
        assert isinstance(burnt_at, float)
        assert burnt_at > 1000
        assert segment.rt_status.state == RtState.RUNNING


class Commander(Beside):
    """Holds the task and lets it go on, again and again."""

    def __init__(self, nonrt: NonRt) -> None:
        super().__init__()
        self._nonrt = nonrt
        self.answered = 0

    def run(self) -> None:
        while not self.ending.wait(0.1):
            for operation in ("pause", "resume"):
                answer = self._nonrt.request("POST", f"/api/v1/tasks/work/{operation}")
                self.answered += answer.status_code < 300


def test_getrusage_is_called_once_a_cycle_when_configured(counted: Place) -> None:
    counted.environ["MXRC_RT_SCHEDULE__RUSAGE"] = "true"
    with started_rt(counted) as rt:
        seen = traced(counted, rt, running(counted, rt))
        assert seen.impurities("getrusage") == []
        assert abs(seen.calls["getrusage"] - seen.calls["clock_nanosleep"]) <= 2


def test_an_impure_law_is_found_out(counted: Place) -> None:
    """The wrong variant: the same measurement sees a law that writes and allocates."""
    set_law(counted, **law("impure", counted))
    with started_rt(counted) as rt:
        seen = traced(counted, rt, running(counted, rt))
        assert seen.calls["write"] >= CYCLES
        assert seen.heap >= 2 * CYCLES
        assert seen.impurities()[0] == "write"


HOLDER = """
import ctypes, threading, time
from shared.law import control_law

def lib_started():  # the real-time thread has its name once it runs
    import glob
    return any(open(name).read() == "rt-main\\n" for name in glob.glob("/proc/self/task/*/comm"))

def hold():
    while not lib_started():
        time.sleep(0.5)
    held = ctypes.PyDLL(None)  # unlike CDLL keeps the interpreter lock during the call
    while True:
        held.usleep(4_000_000)
        time.sleep(0.5)

@control_law(command="position", state=2)
def divides(state, parameters, inputs, command):
    nothing = inputs.position[0] - inputs.position[0]
    state[0] = 1.0 / nothing
    state[1] = inputs.velocity[0] % nothing
    for i in range(inputs.axes):
        command[i] = inputs.setpoint[i]
    return 0

threading.Thread(target=hold, daemon=True).start()
"""


def test_a_division_by_zero_does_not_wait_for_the_interpreter_lock(place: Place) -> None:
    pytest.importorskip("numba")
    path = place.folder / "divides.py"
    path.write_text(HOLDER)
    set_law(place, type="numba", path=str(path), symbol="divides")
    with started_rt(place) as rt:
        segment = running(place, rt)
        member = segment.member_struct(segment.primary() or 0)

        def silent() -> bool:
            return bool(now_ns() - member.main_heartbeat_ns > 2_000_000_000)

        def ran_while_held() -> bool:
            wait_for(silent, "the interpreter lock to be held", COMPILE_S)
            before = int(segment.rt_status.cycles_run)
            wait_for(lambda: segment.rt_status.cycles_run > before + 100, "cycles")
            return silent()  # it is still held

        for _ in range(2):
            wait_for(ran_while_held, "cycles while another thread holds the lock", COMPILE_S)
            wait_for(lambda: not silent(), "the interpreter lock to be let go")
        assert segment.rt_status.state == RtState.RUNNING
        rt.process.kill()
        rt.wait()
    for name in place.shm_files():
        (Path("/dev/shm") / name).unlink()
