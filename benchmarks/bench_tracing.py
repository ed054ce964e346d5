"""Encode and export of RT spans beside the BatchSpanProcessor and exporter of the SDK, same spans.

Both deliver to the same receiver, in a process of its own, by OTLP/HTTP. Measured is the CPU time
of this process from the records (or the ended SDK spans) to the answered requests; blocks
alternate. Then what spans cost the RT thread (rt_spans.c: off, 10 %, 100 % on a body of 100 us),
and a trace of 1,000 spans out of a store of many, beside a plain SQLite table with an index, read
in turns. `python benchmarks/bench_tracing.py [--only export|rt|store] [--spans N] [--blocks N]
[--store N] [--json FILE]`. On a loaded machine look at `load`, `noise_percent`, and at CPU times.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final

import numpy as np
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from nonrt_process.otlp_http import HttpTransport
from nonrt_process.traces import otlp, views
from nonrt_process.traces.archive import Archive
from nonrt_process.traces.exporter import MAX_SPANS
from nonrt_process.traces.rt_encoder import OPERATIONS, RtEncoder
from nonrt_process.traces.spool import Spool
from shared.clock import SystemClock
from shared.layout import EVENT_DTYPE, Records

GOAL: Final = 150_000
SPAN_GOAL_NS: Final = 60
STORE_GOAL_MS: Final = 200
OF_TRACE: Final = 1000
ACTIONS: Final = 8
NAMES: Final = {0: "", 1: "main", **{10 + n: f"action_{n}" for n in range(ACTIONS)}}
RESOURCE: Final[dict[str, str | int]] = {
    "service.name": "mxrc-rt",
    "service.instance.id": "bench",
    "process.pid": 1,
}


class _Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _receive(port: Any) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Receiver)
    port.send(server.server_address[1])
    server.serve_forever()


def make_records(count: int) -> Records:
    """Tasks of ten spans: eight actions, a sequence, the task. Ids at random, as RT's are."""
    random = np.random.default_rng(7)
    made = np.zeros(count, EVENT_DTYPE)
    index = np.arange(count)
    task, step = index // 10, index % 10
    made["kind"] = 2
    made["code"] = np.select([step < ACTIONS, step == ACTIONS], [3, 2], 1)
    made["trace_flags"] = 1
    made["trace_id"] = random.integers(0, 256, (task[-1] + 1, 16), np.uint8)[task]
    made["span_id"] = random.integers(1, 256, (count, 8), np.uint8)
    made["parent_span_id"] = random.integers(1, 256, (count, 8), np.uint8)
    made["execution_id"] = 1000 + task
    made["task_id"] = np.char.add(b"task_", task.astype("S"))
    made["sequence_name"] = np.where(step <= ACTIONS, 1, 0)
    made["action_name"] = np.where(step < ACTIONS, 10 + step, 0)
    made["step"] = step
    made["cycle"] = 1_000_000 + index * 5
    made["slot"] = index % 10
    made["start_ns"] = 10**15 + index * 5_000_000
    made["time_ns"] = made["start_ns"] + random.integers(10**5, 10**7, count).astype(np.uint64)
    made["span_status"] = 1
    return made


def make_sdk_spans(records: Records) -> list[ReadableSpan]:
    """The same spans as the SDK has them when they end."""
    resource, scope = Resource(dict(RESOURCE)), InstrumentationScope("mxrc.rt", "1")
    made = []
    for record in records:
        trace_id = int.from_bytes(record["trace_id"].tobytes(), "big")
        own, parent = (
            SpanContext(
                trace_id,
                int.from_bytes(record[name].tobytes(), "big"),
                is_remote=False,
                trace_flags=TraceFlags(1),
            )
            for name in ("span_id", "parent_span_id")
        )
        attributes: dict[str, str | int] = {
            "task.id": record["task_id"].decode(),
            "rt.cycle": int(record["cycle"]),
            "rt.slot": int(record["slot"]),
            "mxrc.execution_id": int(record["execution_id"]),
        }
        if record["sequence_name"]:
            attributes["sequence.id"] = NAMES[int(record["sequence_name"])]
        if record["action_name"]:
            attributes["action.id"] = NAMES[int(record["action_name"])]
            attributes["mxrc.step"] = int(record["step"])
        made.append(
            ReadableSpan(
                OPERATIONS[int(record["code"])],  # type: ignore[index]
                own,
                parent,
                resource,
                attributes,
                kind=SpanKind.INTERNAL,
                status=Status(StatusCode.OK),
                start_time=int(record["start_ns"]),
                end_time=int(record["time_ns"]),
                instrumentation_scope=scope,
            )
        )
    return made


def run_ours(records: Records, url: str, folder: Path) -> None:
    """Records -> templates -> spool on disk -> gzip -> HTTP, as the process does it."""
    encoder = RtEncoder(NAMES.__getitem__)
    origin = otlp.Origin.make(dict(RESOURCE), "mxrc.rt", "1")
    spool = Spool(folder, logging.getLogger("bench"))
    spool.open()
    transport = HttpTransport(url, "/v1/traces", {})
    for first in range(0, len(records), MAX_SPANS):
        batch = records[first : first + MAX_SPANS]
        spans = encoder.encode(batch, batch["start_ns"]).spans
        spool.append(otlp.resource_spans(origin, spans), len(spans), b"m" * 144)
        taken = spool.take(MAX_SPANS)
        assert taken is not None
        answer = transport.send(taken.body, 30)
        assert answer.status == 200, answer
        spool.acknowledge(taken)
    spool.close()


def encode_only(records: Records) -> None:
    """The part of it before the spool."""
    encoder = RtEncoder(NAMES.__getitem__)
    for first in range(0, len(records), MAX_SPANS):
        batch = records[first : first + MAX_SPANS]
        encoder.encode(batch, batch["start_ns"])


def run_sdk(spans: list[ReadableSpan], url: str, compression: Compression) -> None:
    """Ended spans -> BatchSpanProcessor -> OTLPSpanExporter."""
    exporter = OTLPSpanExporter(url + "/v1/traces", timeout=30, compression=compression)
    processor = BatchSpanProcessor(
        exporter, max_queue_size=len(spans) + 1, max_export_batch_size=MAX_SPANS
    )
    for span in spans:
        processor.on_end(span)
    processor.force_flush(120_000)
    processor.shutdown()  # type: ignore[no-untyped-call]


def measure(work: Callable[[], None], spans: int) -> float:
    """Spans per second of CPU time of this process, all threads."""
    started = time.process_time()
    work()
    return spans / (time.process_time() - started)


def bench_rt(folder: Path) -> dict[str, Any]:
    """What spans cost the RT thread: rt_spans.c with the sources of the core."""
    root = Path(__file__).resolve().parent.parent
    make = ["make", "-s", "-C", str(root / "cffi_build"), f"PYTHON={sys.executable}"]
    header = root / "build/c/layout_hash_generated.h"
    subprocess.run([*make, str(Path("../build/c") / header.name)], check=True)
    program = folder / "rt_spans"
    sources = sorted(str(path) for path in (root / "cffi_build/src").glob("*.c"))
    compile_line = ["gcc", "-std=gnu11", "-O2", "-pthread", "-I", str(root / "cffi_build/include")]
    compile_line += ["-include", str(header)]
    compile_line += [str(root / "benchmarks/rt_spans.c"), *sources, "-o", str(program)]
    subprocess.run([*compile_line, "-lm", "-lrt"], check=True)
    text = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(text)
    print(
        f"RT: {found['span_ns']:.1f} ns a span (goal {SPAN_GOAL_NS}), "
        f"{found['unsampled_span_ns']:.1f} ns unsampled; body {found['body_us']:.0f} us, "
        f"noise of the machine {found['noise_percent']:.0f} %"
    )
    for rate in ("off", "10", "100"):
        one = found[rate]
        print(
            f"RT, three spans a cycle, rate {rate:>3}: {one['ns_per_cycle']:5.0f} ns a cycle, "
            f"{one['percent']:.2f} % (median of all blocks {one['median_percent']:+.2f} %)"
        )
    return found


class PlainTable:
    """The yardstick of the store: the table that comes to mind first; attributes as JSON."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path)
        self._connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
            "CREATE TABLE span (trace_id BLOB, span_id BLOB, parent_span_id BLOB, name TEXT,"
            " start_ns INTEGER, end_ns INTEGER, attributes TEXT);"
            "CREATE INDEX span_by_trace ON span (trace_id);"
        )

    def add(self, records: Records) -> None:
        columns = ("execution_id", "cycle", "slot", "sequence_name", "action_name", "step")
        rows = [
            (
                trace_id,
                span_id,
                parent,
                "action.execute",
                start,
                end,
                json.dumps(
                    {
                        "task.id": task.decode(),
                        "mxrc.execution_id": numbers[0],
                        "rt.cycle": numbers[1],
                        "rt.slot": numbers[2],
                        "sequence.id": NAMES[numbers[3]],
                        "action.id": NAMES[numbers[4]],
                        "mxrc.step": numbers[5],
                    }
                ),
            )
            for trace_id, span_id, parent, start, end, task, numbers in zip(
                *(
                    [one.tobytes() for one in records[name]]
                    for name in ("trace_id", "span_id", "parent_span_id")
                ),
                *(records[name].tolist() for name in ("start_ns", "time_ns", "task_id")),
                zip(*(records[name].tolist() for name in columns), strict=True),
                strict=True,
            )
        ]
        with self._connection:
            self._connection.executemany("INSERT INTO span VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def read(self, trace_id: bytes) -> list[dict[str, Any]]:
        found = self._connection.execute(
            "SELECT hex(span_id), hex(parent_span_id), name, start_ns, end_ns, attributes FROM span"
            " WHERE trace_id = ? ORDER BY start_ns",
            (trace_id,),
        )
        names = ("span_id", "parent_span_id", "name", "start_ns", "end_ns")
        return [
            {**dict(zip(names, row, strict=False)), "attributes": json.loads(row[5])}
            for row in found
        ]

    def close(self) -> None:
        self._connection.close()


def bench_store(folder: Path, spans: int) -> dict[str, Any]:
    """A trace of 1,000 spans from a store of `spans`, as `mxrc trace show` gets it."""
    archive = Archive(folder / "spans.sqlite3", SystemClock(), logging.getLogger("bench"))
    archive.open()
    plain = PlainTable(folder / "plain.sqlite3")
    traces, filled_s = _fill(archive, plain, spans)
    reads: dict[str, Callable[[bytes], list[dict[str, Any]]]] = {
        "mxrc": lambda trace: views.spans(archive.request(trace)),
        "plain": plain.read,
    }
    took: dict[str, list[float]] = {name: [] for name in reads}
    cpu: dict[str, list[float]] = {name: [] for name in reads}
    random = np.random.default_rng(13)
    for at in random.choice(len(traces), min(50, len(traces)), replace=False).tolist():
        for name, read in reads.items():
            wall, own = time.perf_counter(), time.thread_time()
            found = read(traces[at])
            json.dumps(found)
            took[name].append((time.perf_counter() - wall) * 1e3)
            cpu[name].append((time.thread_time() - own) * 1e3)
            assert len(found) == OF_TRACE, (name, len(found))
    size = archive.store.size_bytes()
    archive.store.close()
    plain.close()
    figures: dict[str, Any] = {
        "spans": len(traces) * OF_TRACE,
        "filled_s": filled_s,
        "bytes_per_span": size / spans,
        **{
            name: {
                "trace_ms": {"median": statistics.median(took[name]), "max": max(took[name])},
                "trace_cpu_ms": {"median": statistics.median(cpu[name]), "max": max(cpu[name])},
            }
            for name in reads
        },
    }
    figures["times_plain"] = statistics.median(took["mxrc"]) / statistics.median(took["plain"])
    for name in reads:
        one = figures[name]
        print(
            f"store, {name:5}: a trace of {OF_TRACE} spans out of {figures['spans']:,}: median "
            f"{one['trace_ms']['median']:.1f} ms, worst {one['trace_ms']['max']:.0f} ms, CPU time "
            f"{one['trace_cpu_ms']['median']:.1f} ms"
        )
    print(
        f"store: goal {STORE_GOAL_MS} ms; {figures['times_plain']:.1f} times the plain table; "
        f"{size / spans:.0f} bytes a span"
    )
    return figures


def _fill(archive: Archive, plain: PlainTable, spans: int) -> tuple[list[bytes], float]:
    """Both with the same spans; returns the traces and the seconds that the archive took."""
    origin = otlp.Origin.make(dict(RESOURCE), "mxrc.rt", "1")
    encoder = RtEncoder(NAMES.__getitem__)
    batch = 10_000
    records = make_records(batch)
    # Of today: what is older than the store keeps would be gone before it is read.
    shift = np.uint64(time.time_ns()) - records["start_ns"][0]
    records["start_ns"] += shift
    records["time_ns"] += shift
    random = np.random.default_rng(11)
    traces = []
    filled_s = 0.0
    for _ in range(max(1, spans // batch)):
        ids = random.integers(0, 256, (batch // OF_TRACE, 16), np.uint8)
        records["trace_id"] = ids[np.arange(batch) % len(ids)]
        records["span_id"] = random.integers(1, 256, (batch, 8), np.uint8)
        traces += [one.tobytes() for one in ids]
        started = time.perf_counter()
        span_ids = np.ascontiguousarray(records["span_id"]).view("V8").ravel().tolist()
        rows = zip(
            encoder.encode(records, records["start_ns"]).spans,
            records["trace_id"],
            span_ids,
            records["start_ns"].tolist(),
            strict=True,
        )
        archive.add(
            [
                otlp.Finished(
                    origin, data, trace.tobytes(), own, "action.execute", "t", "", at, at + 1
                )
                for data, trace, own, at in rows
            ]
        )
        archive.store.write(lambda _: None)
        filled_s += time.perf_counter() - started
        plain.add(records)
    assert not archive.dropped, f"{archive.dropped} spans did not fit"
    return traces, filled_s


def bench_export(span_count: int, sdk_span_count: int, blocks: int) -> dict[str, Any]:
    """Encode, spool and send beside the SDK, in alternating blocks."""
    ours, theirs = multiprocessing.Pipe()
    receiver = multiprocessing.get_context("fork").Process(target=_receive, args=(theirs,))
    receiver.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}"
        records = make_records(span_count)
        sdk_spans = make_sdk_spans(records[:sdk_span_count])
        found: dict[str, list[float]] = {"mxrc": [], "mxrc encode": [], "sdk": [], "sdk gzip": []}
        for block in range(blocks + 1):
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                figures = {
                    "mxrc": measure(lambda: run_ours(records, url, place), len(records)),  # noqa: B023
                    "mxrc encode": measure(lambda: encode_only(records), len(records)),
                    "sdk": measure(
                        lambda: run_sdk(sdk_spans, url, Compression.NoCompression), len(sdk_spans)
                    ),
                    "sdk gzip": measure(
                        lambda: run_sdk(sdk_spans, url, Compression.Gzip), len(sdk_spans)
                    ),
                }
            if block:  # the first one warms up
                for name, figure in figures.items():
                    found[name].append(figure)
    finally:
        receiver.terminate()
        receiver.join()
    result: dict[str, Any] = {
        "spans": span_count,
        "blocks": blocks,
        "goal_spans_per_cpu_second": GOAL,
        "spans_per_cpu_second": {
            name: {"median": statistics.median(f), "min": min(f), "max": max(f)}
            for name, f in found.items()
        },
    }
    for name, values in found.items():
        median = statistics.median(values)
        print(
            f"{name:12} {median:10,.0f} spans per CPU second ({1e6 / median:6.2f} us a span), "
            f"blocks {min(values):,.0f} .. {max(values):,.0f}"
        )
    ratio = statistics.median(found["mxrc"]) / statistics.median(found["sdk"])
    print(
        f"mxrc: goal {GOAL:,}; {ratio:.1f} times the SDK. mxrc is with gzip and the spool on disk."
    )
    result["times_sdk"] = ratio
    return result


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--spans", type=int, default=50_000, help="of ours in a block")
    parser.add_argument("--sdk-spans", type=int, default=10_000, help="of the SDK in a block")
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--store", type=int, default=1_000_000, help="spans in the store; 0: skip")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument("--only", choices=("export", "rt", "store"), help="this part alone")
    options = parser.parse_args()
    parts = [options.only] if options.only else ["export", "rt", "store"]
    result: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "load": {"before": os.getloadavg()[0]},
    }
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    if "export" in parts:
        result |= bench_export(options.spans, options.sdk_spans, options.blocks)
    with tempfile.TemporaryDirectory() as folder:
        if "rt" in parts:
            result["rt"] = bench_rt(Path(folder))
        if "store" in parts and options.store:
            result["store"] = bench_store(Path(folder), options.store)
    result["load"]["after"] = os.getloadavg()[0]
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
