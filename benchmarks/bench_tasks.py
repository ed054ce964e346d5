"""Accepting tasks over HTTP, and what an active one costs RT.

    python benchmarks/bench_tasks.py [--rounds N] [--count N] [--finished N] [--json FILE]

In turns, in one run: starts of a short task over HTTP by a client process of its own (32 kept
connections), the same client on a server of the same kind that answers at once (what HTTP costs),
and rows of the same journal written by 32 threads through the same store (what the disk costs).
/health is asked for all the while. Then the way of single starts into RT, the same load on a
journal with many finished tasks, and the cost of an active task in a cycle (cffi_build/bench).
"""

from __future__ import annotations

import argparse
import http.client
import json
import logging
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nonrt_process.http_server import HttpServer, bind
from nonrt_process.tasks.execution import Execution
from nonrt_process.tasks.journal import Journal
from shared.bench.figures import machine
from shared.clock import SystemClock
from shared.trace_context import TraceContext
from tests.helpers import ROOT, unique_instance
from tests.http_load import start
from tests.integration.test_nonrt_process import ANY_TIMING, SERVING, NonRt, started_nonrt
from tests.processes import Place, started_rt, wait_for

PATTERN = "bench_*"
GOALS = {"starts_per_s": 2000, "health_p99_ms": 50, "first_cycle_p50_ms": 5, "rt_ns_per_task": 200}


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


# ---- what is compared with -------------------------------------------------------------------


async def answer_at_once(_scope: Any, receive: Any, send: Any) -> None:
    """The bare endpoint: reads the body, answers with as many bytes as a start does."""
    while (await receive()).get("more_body"):
        pass
    body = b'{"task_id":"bench_000000","execution_id":1795253302901280,"trace_id":"%032d"}' % 0
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve_bare() -> None:
    listener = bind("127.0.0.1", 0, fallback=True, what="bench", log=logging.getLogger("bench"))
    server = HttpServer(answer_at_once, listener, "bare")
    server.start()
    print(server.address[1], flush=True)
    sys.stdin.read()
    server.stop()


@contextmanager
def bare_server() -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, __file__, "--bare"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.communicate()


def rows_per_s(folder: Path, count: int, writers: int) -> float:
    """Executions a second into a journal of its own, from as many threads as there are clients."""
    path = folder / f"yardstick-{time.monotonic_ns()}.sqlite3"
    journal = Journal(path, SystemClock(), lambda _: None)
    journal.store.open()

    def write(number: int) -> None:
        execution = Execution(
            execution_id=number,
            task_id=f"bench_{number}",
            definition=PATTERN,
            digest="d",
            mode="once",
            parameters={},
            priority=50,
            axes=0,
            on_restart="restart",
            trace=TraceContext(b"\1" * 16, b"\1" * 8, 1),
            accepted_ns=time.time_ns(),
        )
        journal.accept(execution, "{}").result()

    began = time.perf_counter()
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(1, count + 1)))
    rate = count / (time.perf_counter() - began)
    journal.store.close()
    path.unlink()
    return rate


# ---- load ------------------------------------------------------------------------------------


def load(port: int, clients: int, count: int, prefix: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.http_load", "127.0.0.1", str(port)]
    options = ["--clients", str(clients), "--count", str(count), "--prefix", prefix]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    accepted = len(found["accepted"])
    assert found["no_answer"] == []
    return {
        "rate": accepted / found["seconds"],
        "refused": count - accepted,
        "p50_ms": found["p50_ms"],
        "p99_ms": found["p99_ms"],
        "cpu_us": found["cpu_us"],
    }


class Health(threading.Thread):
    """Asks for /health on one kept connection, every 10 ms."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._ending = threading.Event()
        self.times_ms: list[float] = []

    def run(self) -> None:
        while not self._ending.wait(0.01):
            began = time.perf_counter()
            self._connection.request("GET", "/health")
            self._connection.getresponse().read()
            self.times_ms.append(1e3 * (time.perf_counter() - began))

    def end(self) -> list[float]:
        self._ending.set()
        self.join()
        self._connection.close()
        return self.times_ms


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- an instance -----------------------------------------------------------------------------


class Bench:
    """RT and Non-RT with the definition of a task of one cycle."""

    def __init__(self, stack: ExitStack, folder: Path, finished: int = 0) -> None:
        self.place = Place(unique_instance(), folder)
        self.place.environ |= ANY_TIMING
        action = {"name": "nothing", "type": "wait", "parameters": {"duration_s": 0.001}}
        document = {
            "pattern": PATTERN,
            "mode": "once",
            "sequence": {"name": "short", "actions": [action]},
        }
        (self.place.config_dir / "tasks" / "bench.json").write_text(json.dumps(document))
        self.journal = folder / "data" / f"tasks-{self.place.instance}.sqlite3"
        if finished:
            self._fill(finished)
        stack.enter_context(started_rt(self.place))
        self.nonrt: NonRt = stack.enter_context(started_nonrt(self.place))
        self.nonrt.wait_for_status(*SERVING)
        self.port = int(urlsplit(self.nonrt.urls()["http"]).port or 0)

    def _fill(self, count: int) -> None:
        journal = Journal(self.journal, SystemClock(), lambda _: None)
        journal.store.open()
        now = time.time_ns()
        query = (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            "INSERT INTO execution (execution_id, task_id, definition, digest, mode, parameters, "
            "priority, axes, on_restart, trace_id, span_id, trace_flags, tracestate, baggage, "
            "status, accepted_ns, started_ns, ended_ns) SELECT i, 'old_' || (i % 1000), 'old_*', "
            "'d', 'once', '{}', 50, 0, 'restart', x'01', x'01', 1, '', '', 'COMPLETED', ?, ?, ? "
            "FROM n"
        )
        journal.store.write(lambda connection: connection.execute(query, (count, now, now, now)))
        journal.store.close()

    def settle(self) -> None:
        """Until nothing is active."""

        def idle() -> bool:
            counts = self.nonrt.get("/api/v1/rt").json()["tasks"]
            return not counts["PENDING"] and not counts["RUNNING"]

        wait_for(idle, "the tasks to end", 300)

    def single_starts(self, count: int) -> list[float]:
        """ms from the acceptance to the first RT cycle, one start at a time."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        for number in range(count):
            head, _, body = start(f"bench_single_{number}").partition(b"\r\n\r\n")
            headers = dict(
                line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line
            )
            connection.request("POST", "/api/v1/task/start", body, headers)
            connection.getresponse().read()
            time.sleep(0.05)
        connection.close()
        self.settle()
        query = (
            "SELECT (started_ns - accepted_ns) / 1e6 FROM execution "
            "WHERE task_id LIKE 'bench_single_%' AND started_ns IS NOT NULL"
        )
        with closing(sqlite3.connect(self.journal)) as journal:
            return [float(row[0]) for row in journal.execute(query)]


def rt_costs() -> list[dict[str, Any]]:
    """What `make -C cffi_build bench` prints."""
    done = subprocess.run(
        ["make", "-s", "-C", "cffi_build", "bench", f"PYTHON={sys.executable}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    shape = re.compile(
        r"(.+): cycle without tasks (\d+) ns, with (\d+) tasks (\d+) ns: (-?\d+) ns a task; "
        r"after (\d+) finished ones (-?\d+) ns a task"
    )
    names = ("program", "empty_ns", "tasks", "busy_ns", "ns_per_task", "finished", "ns_after")
    found = [match.groups() for match in map(shape.match, done.stdout.splitlines()) if match]
    return [
        {
            name: value if name == "program" else int(value)
            for name, value in zip(names, row, strict=True)
        }
        for row in found
    ]


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    rounds: dict[str, list[dict[str, Any]]] = {"starts": [], "bare": []}
    rows: list[float] = []
    health: list[float] = []
    cpu: list[float] = []
    with ExitStack() as stack:
        bare = stack.enter_context(bare_server())
        bench = Bench(stack, folder / "new")
        load(bench.port, options.clients, 200, "bench_warm_")
        watch = Health(bench.port)
        watch.start()
        time.sleep(3)
        idle = watch.end()
        for number in range(options.rounds):
            rounds["bare"].append(load(bare, options.clients, options.count, "bench_"))
            rows.append(rows_per_s(folder, options.count, options.clients))
            bench.settle()
            watch = Health(bench.port)
            watch.start()
            before = cpu_s(bench.nonrt.pid)
            prefix = f"bench_{number}_"
            rounds["starts"].append(load(bench.port, options.clients, options.count, prefix))
            cpu.append(1e6 * (cpu_s(bench.nonrt.pid) - before) / options.count)
            health += watch.end()
        bench.settle()
        single = bench.single_starts(options.single)
    with ExitStack() as stack:
        full = Bench(stack, folder / "full", options.finished)
        load(full.port, options.clients, 200, "bench_warm_")
        full.settle()
        full_rates = []
        for number in range(options.rounds):
            one = load(full.port, options.clients, options.count, f"bench_{number}_")
            full_rates.append(one["rate"])
            full.settle()
        full_single = full.single_starts(options.single)
    costs = rt_costs()
    rate = median(one["rate"] for one in rounds["starts"])
    bare_rate = median(one["rate"] for one in rounds["bare"])
    return {
        "machine": machine(),
        "clients": options.clients,
        "count": options.count,
        "finished": options.finished,
        "starts_per_s": rate,
        "start_p50_ms": median(one["p50_ms"] for one in rounds["starts"]),
        "start_p99_ms": median(one["p99_ms"] for one in rounds["starts"]),
        "refused": sum(one["refused"] for one in rounds["starts"]),
        "bare_per_s": bare_rate,
        "starts_to_bare": rate / bare_rate,
        "rows_per_s": median(rows),
        "starts_to_rows": rate / median(rows),
        "nonrt_cpu_us_per_start": median(cpu),
        "client_cpu_us_per_start": median(one["cpu_us"] for one in rounds["starts"]),
        "health_idle_p99_ms": percentile(idle, 0.99),
        "health_p50_ms": percentile(health, 0.5),
        "health_p99_ms": percentile(health, 0.99),
        "first_cycle_p50_ms": percentile(single, 0.5),
        "first_cycle_p99_ms": percentile(single, 0.99),
        "starts_per_s_after_finished": median(full_rates),
        "after_to_before": median(full_rates) / rate,
        "first_cycle_p50_ms_after_finished": percentile(full_single, 0.5),
        "rt_ns_per_task": max(one["ns_per_task"] for one in costs),
        "rt_ns_per_task_after_finished": max(one["ns_after"] for one in costs),
        "rt": costs,
        "rounds": rounds,
    }


def show(result: dict[str, Any]) -> None:
    for name, value in result.items():
        if not isinstance(value, (int, float)):
            continue
        goal = GOALS.get(name)
        text = ""
        if goal is not None:
            holds = value >= goal if name == "starts_per_s" else value <= goal
            sign = ">=" if name == "starts_per_s" else "<="
            text = f"goal {sign} {goal}: {'holds' if holds else 'MISSED'}"
        print(f"{name:36} {value:12.4g}  {text}")
    for one in result["rt"]:
        print(
            f"RT, {one['program']}: {one['ns_per_task']} ns a task and cycle "
            f"({one['tasks']} tasks), {one['ns_after']} ns after {one['finished']} finished ones"
        )
    print(f"load average {result['machine']['load']} on {result['machine']['cpus']} CPUs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=4000, help="starts in a round")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--single", type=int, default=100, help="starts one at a time")
    parser.add_argument("--finished", type=int, default=200_000)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench-tasks.json")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        serve_bare()
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in ("new", "full"):
            (Path(folder) / name).mkdir()
        result = measure(options, Path(folder))
    show(result)
    options.json.parent.mkdir(exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
