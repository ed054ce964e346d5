"""Encode and export of RT spans beside the BatchSpanProcessor and exporter of the SDK, same spans.

Both deliver to the same receiver, in a process of its own, by OTLP/HTTP. Measured is the CPU time
of this process from the records (or the ended SDK spans) to the answered requests; blocks
alternate. `python benchmarks/bench_tracing.py [--spans N] [--blocks N] [--json FILE]`.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import platform
import statistics
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
from nonrt_process.traces import otlp
from nonrt_process.traces.exporter import MAX_SPANS
from nonrt_process.traces.rt_encoder import OPERATIONS, RtEncoder
from nonrt_process.traces.spool import Spool
from shared.layout import EVENT_DTYPE, Records

GOAL: Final = 150_000
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


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--spans", type=int, default=50_000, help="of ours in a block")
    parser.add_argument("--sdk-spans", type=int, default=10_000, help="of the SDK in a block")
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    receiver = multiprocessing.get_context("fork").Process(target=_receive, args=(theirs,))
    receiver.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}"
        records = make_records(options.spans)
        sdk_spans = make_sdk_spans(records[: options.sdk_spans])
        found: dict[str, list[float]] = {"mxrc": [], "mxrc encode": [], "sdk": [], "sdk gzip": []}
        for block in range(options.blocks + 1):
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
    result = {
        "machine": platform.processor() or platform.machine(),
        "spans": options.spans,
        "blocks": options.blocks,
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
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
