"""The logs of two real processes: lines, request ids, reopening, levels, storms, `mxrc log`."""

from __future__ import annotations

import gzip
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from nonrt_process.logs import ecs
from shared.config.overrides import overrides_path
from shared.events import loggers
from shared.segment import Segment
from tests.ecs_lines import violations
from tests.helpers import unique_instance
from tests.integration.test_nonrt_process import ANY_TIMING, JSON, SERVING, NonRt, started_nonrt
from tests.processes import BIN, Place, Running, kill, run_to_end, started_rt, wait_for

Both = tuple[Place, NonRt]
LEVEL_URL = "/api/v1/log-level"
FILES = ("rt_process.log", "non_rt_process.log")


class Received(NamedTuple):
    """sequence: event.sequence."""

    message: str
    trace_id: str
    instance: str
    sequence: int | None


class Receiver:
    """An OTLP/HTTP receiver of logs."""

    def __init__(self) -> None:
        self.records: list[Received] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/v1/logs":
                    outer.take(ExportLogsServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def take(self, request: ExportLogsServiceRequest) -> None:
        for group in request.resource_logs:
            resource = {one.key: one.value.string_value for one in group.resource.attributes}
            for record in (one for scope in group.scope_logs for one in scope.log_records):
                attributes = {one.key: one.value.int_value for one in record.attributes}
                self.records.append(
                    Received(
                        record.body.string_value,
                        record.trace_id.hex(),
                        resource["service.instance.id"],
                        attributes.get(ecs.EVENT_SEQUENCE),
                    )
                )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Both]:
    place = Place(unique_instance(), tmp_path_factory.mktemp("logging"))
    place.environ |= ANY_TIMING | {
        "MXRC_LOGGING__OTLP__ENABLED": "true",
        "MXRC_LOGGING__OTLP__ENDPOINT": receiver.endpoint,
    }
    with started_nonrt(place) as nonrt, started_rt(place):
        nonrt.wait_for_status(*SERVING)
        nonrt.wait_for_status(*SERVING, process="non_rt_process")
        yield place, nonrt


def lines(place: Place, name: str) -> list[bytes]:
    """All lines of a file and of those rotated from it."""
    folder = place.folder / "log"
    found = []
    for path in sorted(folder.glob(f"{name}*")):
        found += path.read_bytes().splitlines(keepends=True)
    return found


def documents(place: Place, name: str, **fields: Any) -> list[dict[str, Any]]:
    """The whole lines of a file that have these values."""
    whole = [json.loads(line) for line in lines(place, name) if line.endswith(b"\n")]
    return [one for one in whole if fields.items() <= one.items()]


def mxrc(place: Place, *arguments: str) -> str:
    done = run_to_end(place, "mxrc", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_request_can_be_followed_into_both_files(both: Both) -> None:
    place, nonrt = both
    headers = {**JSON, "X-Request-Id": "order-66"}
    task = {"task_id": "pick_and_place", "mode": "once"}
    started = nonrt.request("POST", "/api/v1/task/start", json=task, headers=headers)
    assert started.status_code == 202, started.text
    assert started.headers["x-request-id"] == "order-66"
    changed = nonrt.request(
        "PUT", LEVEL_URL, json={"loggers": {"rt.task": "trace"}}, headers=headers
    )
    assert changed.status_code == 200

    def own() -> list[dict[str, Any]] | None:
        found = documents(place, "non_rt_process.log", **{ecs.HTTP_REQUEST_ID: "order-66"})
        return [one for one in found if "changed at runtime" in one["message"]] or None

    (line,) = wait_for(own, "the line of the request")
    assert line[ecs.TRACE_ID] == changed.headers["traceparent"].split("-")[1]

    def of_task() -> list[dict[str, Any]] | None:
        trace = started.headers["traceparent"].split("-")[1]
        return documents(place, "rt_process.log", **{ecs.TRACE_ID: trace}) or None

    assert {one[ecs.TASK_ID] for one in wait_for(of_task, "lines of RT")} == {"pick_and_place"}


def test_storm_is_limited_per_message_and_accounted_for(both: Both) -> None:
    place, nonrt = both
    code = {ecs.EVENT_CODE: "STATE_REFUSED"}

    def told() -> tuple[int, int]:
        found = documents(place, "rt_process.log", **code)
        return len(found), sum(one.get(ecs.SUPPRESSED, 0) for one in found)

    assert told() == (0, 0)
    count = 60
    began = time.monotonic()
    for _ in range(count):
        assert nonrt.request("POST", "/api/v1/rt/safe-mode-exit").status_code == 409
    took_s = time.monotonic() - began
    wait_for(lambda: sum(told()) == count, "all of them written or counted")
    written, suppressed = told()
    # At most ten lines in each second that was begun, and one that gives the count.
    assert written <= 11 * (int(took_s) + 2)
    assert suppressed or took_s > count / 11 - 1


def test_level_of_one_logger_changes_at_runtime(both: Both) -> None:
    place, nonrt = both
    body = {"loggers": {"rt.state": "critical"}, "minutes": 5}
    assert nonrt.request("PUT", LEVEL_URL, json=body).json()["rt_loggers"]["rt.state"] == "critical"
    before = len(documents(place, "rt_process.log", **{ecs.LOGGER: "rt.state"}))
    paused = nonrt.request("POST", "/api/v1/rt/pause")
    resumed = nonrt.request("POST", "/api/v1/rt/resume")
    assert (paused.status_code, resumed.status_code) == (200, 200)
    nonrt.request("PUT", LEVEL_URL, json={"loggers": {"rt.state": "info"}, "minutes": 5})
    assert nonrt.request("POST", "/api/v1/rt/pause").status_code == 200

    def seen() -> list[dict[str, Any]] | None:
        found = documents(place, "rt_process.log", **{ecs.LOGGER: "rt.state"})[before:]
        return found or None

    (line,) = wait_for(seen, "the transition that is to be seen")
    assert (line["mxrc.from"], line["mxrc.to"]) == ("RUNNING", "PAUSED")
    assert nonrt.request("POST", "/api/v1/rt/resume").status_code == 200


def test_reopen_on_sigusr1(both: Both) -> None:
    place, nonrt = both
    folder = place.folder / "log"
    before = {name: (folder / name).stat().st_ino for name in FILES}
    for name in FILES:
        (folder / name).rename(folder / f"{name}.1")  # as logrotate does it
    nonrt.signal(signal.SIGUSR1)

    def begun() -> bool:
        new = [folder / name for name in FILES]
        return all(path.exists() and path.stat().st_size > 0 for path in new)

    wait_for(begun, "new files")
    for name in FILES:
        new = folder / name
        assert new.stat().st_ino != before[name]
        assert (folder / f"{name}.1").stat().st_ino == before[name]
        assert new.stat().st_mode & 0o777 == 0o640
        first = json.loads(new.read_bytes().splitlines()[0])
        assert first[ecs.MESSAGE] == "Log file begun"
    nonrt.request("PUT", LEVEL_URL, json={"loggers": {"nonrt.after": "info"}, "minutes": 1})
    text = b"nonrt.after"
    wait_for(lambda: text in (folder / FILES[1]).read_bytes() or None, "a line in the new file")
    assert text not in (folder / f"{FILES[1]}.1").read_bytes()


def test_log_verbs(both: Both) -> None:
    place, _ = both

    def found(*arguments: str) -> list[dict[str, Any]] | None:
        text = mxrc(place, "log", "search", *arguments, "--json")
        return [json.loads(line) for line in text.splitlines()] or None

    began = wait_for(lambda: found("became primary", "--level", "critical"), "the index")
    assert began[-1][ecs.EVENT_CODE] == "BECAME_PRIMARY"
    assert found("became primary", "--process", "non_rt_process") is None
    by_task = wait_for(lambda: found("--task", "pick_and_place"), "lines of the task")
    trace = by_task[0][ecs.TRACE_ID]
    assert {one[ecs.TRACE_ID] for one in found("--trace", trace) or []} == {trace}
    shown = mxrc(place, "log", "tail", "-n", "5")
    assert len(shown.splitlines()) == 5
    assert json.loads(mxrc(place, "log", "tail", "-n", "1", "--json"))["@timestamp"]
    changed = json.loads(
        mxrc(place, "log", "level", "warn", "--logger", "rt.law", "--minutes", "5", "--json")
    )
    assert changed["rt_loggers"]["rt.law"] == "warn"
    assert changed["temporary"]["rt.law"]["then"] is None
    assert json.loads(mxrc(place, "log", "level", "--json"))["loggers"]["rt.law"] == "warn"
    assert run_to_end(place, "mxrc", "log", "level", "loud").returncode == 2


def test_logs_are_read_when_the_configuration_is_what_is_wrong(both: Both) -> None:
    place, _ = both
    path = place.config_dir / "failover_policy.json"
    content = path.read_text()
    path.write_text("{")
    try:
        found = run_to_end(place, "mxrc", "log", "search", "became primary")
        shown = mxrc(place, "log", "tail", "-n", "3")
    finally:
        path.write_text(content)
    assert "Became PRIMARY" in found.stdout
    assert "failover_policy.json" in found.stderr
    assert len(shown.splitlines()) == 3


def test_tail_follows_across_a_rotation(both: Both) -> None:
    place, nonrt = both
    command = [str(BIN / "mxrc"), "log", "tail", "-f", "-n", "0", "--process", "non_rt_process"]
    follower = Running(command, place.environ, place.folder / "tail.out")
    try:
        for number in range(2):
            name = f"nonrt.follow{number}"

            def shown(name: str = name) -> bool | None:
                # Written again until seen: when it began to follow cannot be seen from here.
                for level in ("debug", "info"):
                    nonrt.request("PUT", LEVEL_URL, json={"loggers": {name: level}, "minutes": 1})
                return name in follower.output or None

            wait_for(shown, "a line")
            path = place.folder / "log" / "non_rt_process.log"
            path.rename(path.with_name(f"{path.name}.{number + 2}"))
            nonrt.signal(signal.SIGUSR1)
    finally:
        follower.end()


def test_what_is_written_arrives_over_otlp_once(both: Both, receiver: Receiver) -> None:
    place, nonrt = both
    text = "otlp.arrives"
    nonrt.request("PUT", LEVEL_URL, json={"loggers": {text: "info"}, "minutes": 1})
    wait_for(lambda: any(text in one.message for one in receiver.records), "the newest line")
    written = {
        one[ecs.EVENT_SEQUENCE]
        for one in documents(place, "rt_process.log")
        if ecs.EVENT_SEQUENCE in one and one[ecs.LEVEL] not in {"trace", "debug"}
    }

    def arrived() -> Counter[int]:
        return Counter(one.sequence for one in receiver.records if one.sequence is not None)

    wait_for(lambda: written <= arrived().keys(), "every line of RT")
    assert set(arrived().values()) == {1}
    (task,) = documents(place, "rt_process.log", **{ecs.EVENT_CODE: "TASK_STARTED"})
    (started,) = [one for one in receiver.records if one.message == "Task started"]
    assert started.trace_id == task[ecs.TRACE_ID]
    assert started.instance.startswith(f"{place.instance}/rt_process@")


def test_every_line_is_of_the_table(both: Both) -> None:
    """The last of this file that needs the running ones: what the others caused is in it."""
    place, _ = both
    for name in FILES:
        written = [line for line in lines(place, name) if line.endswith(b"\n")]
        assert len(written) > 5
        for line in written:
            assert violations(line) == [], line
    codes = {one.get(ecs.EVENT_CODE) for one in documents(place, "rt_process.log")}
    assert codes >= {"BECAME_PRIMARY", "STATE_CHANGED", "TASK_STARTED", "STATE_REFUSED"}


def test_lasting_level_survives_both_processes(tmp_path: Path) -> None:
    place = Place(unique_instance(), tmp_path)
    place.environ |= ANY_TIMING
    index = list(loggers())
    with started_nonrt(place) as nonrt, started_rt(place) as rt:
        nonrt.wait_for_status(*SERVING)
        lasting = {"level": "warn", "loggers": {"rt.task": "debug"}}
        assert nonrt.request("PUT", LEVEL_URL, json=lasting).status_code == 200
        passing = {"loggers": {"rt.law": "trace"}, "minutes": 60}
        assert nonrt.request("PUT", LEVEL_URL, json=passing).status_code == 200
        kill(nonrt)
        rt.signal(signal.SIGTERM)
        assert rt.wait() == 0
    kept = json.loads(overrides_path(tmp_path / "data", place.instance).read_text())
    assert kept == {"logging": lasting}
    with started_rt(place, name="rt2") as rt:

        def look() -> Segment | None:
            segment = place.segment()
            return segment if segment is not None and segment.rt_status.pid == rt.pid else None

        segment = wait_for(look, "the new generation")
        # Nobody but RT has been here, and its thresholds are in force.
        assert segment.control.log_level[index.index("rt.task")] == 1
        assert segment.control.log_level[index.index("rt.law")] == 3
        assert segment.control.version == 1
        with started_nonrt(place, name="nonrt2") as nonrt:
            found = nonrt.get(LEVEL_URL).json()
            assert (found["level"], found["loggers"]) == ("warn", {"rt.task": "debug"})
            assert found["temporary"] == {}
            assert segment.control.log_level[index.index("rt.task")] == 1
