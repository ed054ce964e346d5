"""The real `mxrc-nonrt`, with and without a real `mxrc-rt`."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.core import ERROR_BYTES, error_buffer, layout_hash, lib, to_text
from shared.documents import read_nonrt_document
from shared.enums import RegionId
from shared.ring import RingReader
from shared.segment import Segment
from tests.helpers import free_port, require_tool, unique_instance
from tests.processes import BIN, PATIENT, Place, Running, kill, run_to_end, started_rt, wait_for
from tests.unit.shared.test_segment import as_if_built_from

JSON = {"Content-Type": "application/json"}
# Shared machines miss deadlines and stand still, and not because of what is tested here.
ANY_TIMING = {
    **PATIENT,
    "MXRC_FAILOVER_POLICY__RT_PROCESS__DEGRADED_MISS_RATE": "1.0",
    "MXRC_FAILOVER_POLICY__RT_PROCESS__UNHEALTHY_MISS_RATE": "1.0",
    "MXRC_RT_SCHEDULE__SAFE_MODE_RESUME": "automatic",
    # Nor is a process replaced that does not get its CPU for some seconds.
    "MXRC_FAILOVER_POLICY__RT_PROCESS__FAILURE_THRESHOLD": "60",
    "MXRC_FAILOVER_POLICY__NON_RT_PROCESS__FAILURE_THRESHOLD": "60",
    "MXRC_TRACING_CONFIG__EXPORTER__TYPE": "NONE",
}
SERVING = ("HEALTHY", "DEGRADED")


class NonRt(Running):
    """A started `mxrc-nonrt` and the way to talk to it."""

    def __init__(self, place: Place, *arguments: str, name: str = "nonrt") -> None:
        super().__init__(
            [str(BIN / "mxrc-nonrt"), *arguments], place.environ, place.folder / f"{name}.out"
        )
        self.place = place
        self.client = httpx.Client(timeout=20)

    def urls(self) -> dict[str, str]:
        """Once it serves: "http", "metrics" -> URL, from the endpoints file."""
        path = self.place.folder / "run" / f"{self.place.instance}.endpoints.json"

        def look() -> dict[str, str] | None:
            assert self.process.poll() is None, f"ended: {self.output}"
            content = json.loads(path.read_text()) if path.exists() else {}
            mine = content.get("pid") == self.pid and len(content.get("urls", {})) == 2
            return content["urls"] if mine else None

        return wait_for(look, "the endpoints file")

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        options.setdefault("headers", {} if method == "GET" else JSON)
        return self.client.request(method, self.urls()["http"] + path, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def metrics(self) -> str:
        return self.client.get(self.urls()["metrics"] + "/metrics").text

    def wait_for_status(self, *names: str, process: str = "rt_process") -> dict[str, Any]:
        """Body of /health once it says one of `names`."""

        def look() -> dict[str, Any] | None:
            body = self.get("/health", params={"process": process}).json()
            return body if body["status"] in names else None

        return wait_for(look, f"{process} {names}")


@contextmanager
def started_nonrt(place: Place, *arguments: str, name: str = "nonrt") -> Iterator[NonRt]:
    running = NonRt(place, *arguments, name=name)
    try:
        yield running
    finally:
        running.client.close()
        running.end()


@pytest.fixture
def place(instance: str, tmp_path: Path) -> Place:
    made = Place(instance, tmp_path)
    made.environ |= ANY_TIMING
    return made


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Running, NonRt]]:
    """Both processes, for tests that leave them as they are."""
    made = Place(unique_instance(), tmp_path_factory.mktemp("both"))
    made.environ |= ANY_TIMING | {"MXRC_API__MAX_REQUEST_BYTES": "2048"}
    with started_nonrt(made) as nonrt, started_rt(made) as rt:
        nonrt.wait_for_status(*SERVING)
        nonrt.wait_for_status(*SERVING, process="non_rt_process")
        yield made, rt, nonrt
        nonrt.signal(signal.SIGTERM)
        assert nonrt.wait() == 0, nonrt.output
        rt.signal(signal.SIGTERM)
        assert rt.wait() == 0, rt.output
        assert "Traceback" not in nonrt.output
    assert made.shm_files() == []


def wait_for_rt_state(nonrt: NonRt, *names: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        answer = nonrt.get("/api/v1/rt")
        body: dict[str, Any] = answer.json()
        return body if answer.status_code == 200 and body["state"] in names else None

    return wait_for(look, f"RT state {names}")


# ---- together ----


def test_health_of_both(both: tuple[Place, Running, NonRt]) -> None:
    _, rt, nonrt = both
    for process, running in (("rt_process", rt), ("non_rt_process", nonrt)):
        answer = nonrt.get("/health", params={"process": process})
        body = answer.json()
        assert answer.status_code == 200
        assert (body["pid"], body["process_name"]) == (running.pid, process)
        assert body["memory_usage_mb"] > 1
        details = nonrt.get("/health/details", params={"process": process}).json()
        assert details["process_info"]["pid"] == running.pid
        assert details["cpu_affinity"]["current_core"] is not None
    assert nonrt.get("/health/ready").json()["ready"] is True
    assert nonrt.get("/health/live").json()["alive"] is True
    before = nonrt.get("/health/details").json()["rt_performance"]["cycle_count"]
    wait_for(
        lambda: nonrt.get("/health/details").json()["rt_performance"]["cycle_count"] > before + 50,
        "cycles",
    )
    wait_for(
        lambda: nonrt.get("/health/details").json()["rt_performance"]["jitter_us"], "the jitter"
    )


def test_metrics_and_promtool(both: tuple[Place, Running, NonRt]) -> None:
    _, _, nonrt = both
    wait_for(lambda: "mxrc_rt_jitter_us{" in nonrt.metrics(), "the jitter")
    text = nonrt.metrics()
    for name in ("mxrc_rt_cycle_time_us_bucket", "mxrc_logging_latency_us_bucket", "mxrc_tasks"):
        assert f"{name}{{" in text
    tool = require_tool("promtool", "prometheus")
    done = subprocess.run(
        [tool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60
    )
    findings = (done.stdout + done.stderr).splitlines()
    assert [line for line in findings if "should not contain abbreviated units" not in line] == []
    assert all(line.split()[0].endswith(("_us", "_ms")) for line in findings)


def test_the_segment_names_the_ports(both: tuple[Place, Running, NonRt]) -> None:
    place, _, nonrt = both
    segment = place.segment()
    assert segment is not None
    document = wait_for(
        lambda: found if (found := read_nonrt_document(segment)).get("ports") else None, "the ports"
    )
    assert {name: f"http://127.0.0.1:{port}" for name, port in document["ports"].items()} == (
        nonrt.urls()
    )
    assert segment.nonrt_status.pid == nonrt.pid
    assert segment.nonrt_status.ready == 1


def test_rt_events(both: tuple[Place, Running, NonRt]) -> None:
    _, _, nonrt = both
    wait_for_rt_state(nonrt, "RUNNING")
    assert nonrt.request("POST", "/api/v1/rt/pause").json()["state"] == "PAUSED"
    refused = nonrt.request("POST", "/api/v1/rt/pause")
    assert refused.status_code == 409
    assert refused.json()["result"] == "ERR_STATE"
    assert nonrt.request("POST", "/api/v1/rt/resume").json()["state"] == "RUNNING"
    assert nonrt.request("POST", "/api/v1/rt/safe-mode").status_code == 200
    health = nonrt.wait_for_status("DEGRADED")
    assert "SAFE_MODE" in health["error_message"]
    text = nonrt.metrics()
    assert 'mxrc_rt_safe_mode_cause{cause="REQUEST",process="rt_process"} 1.0' in text
    left = nonrt.request("POST", "/api/v1/rt/safe-mode-exit")
    assert (left.status_code, left.json()["state"]) == (200, "PAUSED")


def test_bad_requests(both: tuple[Place, Running, NonRt]) -> None:
    _, _, nonrt = both
    url = "/api/v1/log-level"
    for status, answer in (
        (415, nonrt.request("PUT", url, content=b"level=info", headers={})),
        (403, nonrt.request("PUT", url, json={}, headers={**JSON, "Host": "evil.example"})),
        (404, nonrt.get("/api/v1/nothing")),
        (404, nonrt.request("PUT", "/api/v1/datastore/nothing", json={"value": 1})),
        (405, nonrt.request("DELETE", url)),
        (413, nonrt.request("PUT", url, content=b" " * 4096)),
        (422, nonrt.request("PUT", url, json={"level": "loud"})),
    ):
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status


def test_garbage_and_half_requests_do_not_hurt(both: tuple[Place, Running, NonRt]) -> None:
    _, _, nonrt = both
    host, port = nonrt.urls()["http"].removeprefix("http://").split(":")
    clients = [socket.create_connection((host, int(port)), timeout=20) for _ in range(40)]
    try:
        for client in clients[:20]:
            client.sendall(b"POST /api/v1/task/start HTTP/1.1\r\nContent-Length: 100\r\n")
        for client in clients[20:]:
            client.sendall(b"\x16\x03\x01 garbage \x00\r\n\r\n")
        assert nonrt.get("/health/live").status_code == 200
    finally:
        for client in clients:
            client.close()


def test_settings_reach_the_segment(both: tuple[Place, Running, NonRt]) -> None:
    place, _, nonrt = both
    segment = place.segment()
    assert segment is not None
    assert nonrt.request("PUT", "/api/v1/log-level", json={"level": "debug"}).status_code == 200
    assert segment.control.log_level[0] == 1
    body = {"rt_cycle_sampling_rate": 1.0}
    assert nonrt.request("PUT", "/api/v1/tracing/sampling", json=body).status_code == 200
    assert segment.control.sample_all & 2
    assert nonrt.request("PUT", "/api/v1/log-level", json={"level": "info"}).status_code == 200


def test_a_second_one_is_refused(both: tuple[Place, Running, NonRt]) -> None:
    place, _, nonrt = both
    done = run_to_end(place, "mxrc-nonrt")
    assert done.returncode == 75
    assert place.instance in done.stderr
    assert "Traceback" not in done.stderr
    assert nonrt.get("/health/live").status_code == 200
    segment = place.segment()
    assert segment is not None
    assert segment.nonrt_status.pid == nonrt.pid


# ---- lives and deaths ----


def test_rt_absent_then_there_then_stopped_then_there_again(place: Place) -> None:
    with started_nonrt(place) as nonrt:
        absent = nonrt.get("/health")
        assert absent.status_code == 503
        assert absent.json()["error_message"]
        assert nonrt.request("POST", "/api/v1/rt/start").status_code == 503
        assert nonrt.get("/health/details").status_code == 200
        ports = nonrt.urls()
        generations = []
        for turn in range(2):
            with started_rt(place, name=f"rt{turn}") as rt:
                assert nonrt.wait_for_status(*SERVING)["pid"] == rt.pid
                segment = place.segment()
                assert segment is not None
                generations.append(segment.generation)
                status = segment.nonrt_status
                assert wait_for(lambda status=status: status.pid, "the claim") == nonrt.pid  # type: ignore[misc]
                assert nonrt.request("POST", "/api/v1/rt/stop").status_code == 200
                assert rt.wait() == 0
            stopped = nonrt.wait_for_status("STOPPED")
            assert stopped["error_message"]
            assert stopped["pid"] is None
        assert generations[0] != generations[1]
        assert nonrt.urls() == ports
        nonrt.signal(signal.SIGTERM)
        assert nonrt.wait() == 0
        assert "Traceback" not in nonrt.output
        assert not (place.folder / "run" / f"{place.instance}.endpoints.json").exists()


READERS = {"checkpoints", "event_bus", "incidents", "logs", "rt-statistics", "tasks", "traces"}


def cursors(segment: Segment) -> dict[str, tuple[int, int, int]]:
    """Consumer -> (events of lane 0 done, events lost, cycles lost)."""
    found = {}
    for cursor in segment.cursors.cursor:
        if name := to_text(cursor.name):
            found[name] = (cursor.lane[0], cursor.lost_events, cursor.lost_cycles)
    return found


def test_killed_it_comes_back_and_every_consumer_goes_on(place: Place) -> None:
    with started_rt(place) as rt:
        with started_nonrt(place) as first:
            first.wait_for_status(*SERVING)
            segment = place.segment()
            assert segment is not None
            wait_for(lambda: cursors(segment).get("logs", (0,))[0] > 0, "a log line")
            wait_for(lambda: set(cursors(segment)) >= READERS, "a cursor of each consumer")
            kill(first)
        before, cycle = cursors(segment), segment.rt_status.cycle
        with started_nonrt(place, name="second") as second:
            own = second.wait_for_status(*SERVING, process="non_rt_process")
            assert own["restart_count"] == 1
            second.wait_for_status(*SERVING)
            wait_for(
                lambda: all(
                    done[0] >= before[name][0]
                    for name, done in cursors(segment).items()
                    if name in before
                ),
                "the cursors",
            )
            after = cursors(segment)
            assert set(after) == set(before)
            for name in ("logs", "tasks"):
                assert after[name][1] == before[name][1], f"{name} lost events"
            assert segment.rt_status.pid == rt.pid
            assert segment.rt_status.restart_count == 0
            assert segment.rt_status.cycle > cycle
            wait_for_rt_state(second, "RUNNING")
            assert 'restart_count_total{process="non_rt_process"} 1.0' in second.metrics()


def test_rt_log_is_drained_before_the_configuration_is_read(place: Place) -> None:
    """Told by a start that ends with the configuration: what is wrong is in another file."""
    instance, api = place.config_dir / "instance.json", place.config_dir / "api.json"
    with started_rt(place):
        with started_nonrt(place) as first:
            first.wait_for_status(*SERVING)
            kill(first)
        segment = place.segment()
        assert segment is not None
        lane = RingReader(segment, RegionId.LANE)
        wait_for(lambda: lane.head > cursors(segment)["logs"][0], "an event of RT")
        content = instance.read_text()
        api.write_text('{"max_request_bytes": -1}')

        def refused_start() -> int:
            done = run_to_end(place, "mxrc-nonrt")
            assert done.returncode == 78, done.stderr
            assert "$.max_request_bytes" in done.stderr
            return int(cursors(segment)["logs"][0])

        before = cursors(segment)["logs"][0]
        instance.write_text(content + "\n")  # not the file of before
        assert refused_start() == before
        instance.write_text(content)
        lock = place.folder / "run" / f"{place.instance}.nonrt.lock"
        error = error_buffer()
        held = lib.mxrc_lock_file(bytes(lock), 0, error, ERROR_BYTES)
        assert held >= 0
        assert refused_start() == before  # somebody else serves the instance
        lib.mxrc_unlock_file(held)
        assert refused_start() > before
        log = (place.folder / "log" / "rt_process.log").read_text()
        numbers = [json.loads(line).get("event.sequence") for line in log.splitlines()[1:]]
        assert len(set(numbers)) == len(numbers)


def test_rt_killed_and_started_again(place: Place) -> None:
    with started_nonrt(place) as nonrt:
        with started_rt(place) as first:
            nonrt.wait_for_status(*SERVING)
            kill(first)
            dead = nonrt.wait_for_status("UNHEALTHY")
            assert str(first.pid) in dead["error_message"]
            assert nonrt.request("POST", "/api/v1/rt/pause").status_code == 503
        with started_rt(place, name="again") as second:
            back = nonrt.wait_for_status(*SERVING)
            assert (back["pid"], back["restart_count"]) == (second.pid, 1)
            status = wait_for_rt_state(nonrt, "RUNNING")
            assert (status["epoch"], status["restart_count"]) == (2, 1)
            assert nonrt.get("/health", params={"process": "non_rt_process"}).json()[
                "restart_count"
            ] == (0)


def test_a_segment_of_another_build_is_named_and_waited_for(place: Place) -> None:
    with started_rt(place) as rt:
        wait_for(place.segment, "the segment")
        kill(rt)
    other = layout_hash() ^ 1
    with ExitStack() as later:
        with as_if_built_from(place.instance, other):
            nonrt = later.enter_context(started_nonrt(place))
            body = nonrt.wait_for_status("UNHEALTHY")
            assert f"{layout_hash():x}" in body["error_message"].lower()
            assert f"{other:x}" in body["error_message"].lower()
            assert f"{other:x}" in nonrt.output.lower()
        with started_rt(place, name="again") as second:
            assert nonrt.wait_for_status(*SERVING)["pid"] == second.pid
            second.signal(signal.SIGTERM)
            assert second.wait() == 0


def test_a_full_task_queue_is_429(place: Place) -> None:
    place.environ |= {"MXRC_API__TASK_QUEUE_MAX": "2"}
    with started_rt(place) as rt, started_nonrt(place) as nonrt:
        nonrt.wait_for_status(*SERVING)
        rt.signal(signal.SIGSTOP)
        try:
            answers: list[httpx.Response] = []

            def start() -> bool:
                body = {"task_id": f"task_{len(answers)}", "mode": "once"}
                answers.append(nonrt.request("POST", "/api/v1/task/start", json=body))
                return answers[-1].status_code == 429

            for _ in range(60):
                if start():
                    break
            assert answers[-1].status_code == 429, [one.status_code for one in answers]
            assert int(answers[-1].headers["retry-after"]) >= 1
            assert answers[-1].headers["content-type"] == "application/problem+json"
            stale = nonrt.wait_for_status("UNHEALTHY")
            assert "ms old" in stale["error_message"]
        finally:
            rt.signal(signal.SIGCONT)
        nonrt.wait_for_status(*SERVING)


def test_hangup(place: Place) -> None:
    with started_rt(place), started_nonrt(place) as nonrt:
        nonrt.wait_for_status(*SERVING)
        segment = place.segment()
        assert segment is not None
        path = place.config_dir / "logging.json"
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"level": "critical"}))
        nonrt.signal(signal.SIGHUP)
        wait_for(lambda: segment.control.log_level[0] == 5, "the new level")
        path.write_text(json.dumps(content | {"backlog_lines": 2000}))
        nonrt.signal(signal.SIGHUP)
        wait_for(lambda: "$.backlog_lines" in nonrt.output or None, "the refusal")
        path.write_text("{")
        nonrt.signal(signal.SIGHUP)
        wait_for(lambda: nonrt.output.count("configuration refused") == 2 or None, "the refusal")
        assert segment.control.log_level[0] == 5
        assert nonrt.get("/health/live").status_code == 200
        assert "Traceback" not in nonrt.output


def test_messages_to_the_service_manager(place: Place) -> None:
    address = str(place.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(30)
        place.environ |= {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}
        with started_nonrt(place) as nonrt:
            assert manager.recv(100) == b"READY=1"
            assert nonrt.get("/health/live").status_code == 200
            assert manager.recv(100) == b"WATCHDOG=1"
            assert manager.recv(100) == b"WATCHDOG=1"
            nonrt.signal(signal.SIGTERM)
            while (message := manager.recv(100)) == b"WATCHDOG=1":
                pass
            assert message == b"STOPPING=1"
            assert nonrt.wait() == 0


# ---- refusals ----


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("api", '{"port": "x"}', "$.port"),
        ("api", '{"prot": 1}', "$.prot"),
        ("api", '{"host": "0.0.0.0"}', "token"),
        ("api", "{", "api.json"),
    ],
)
def test_a_wrong_configuration_is_one_line_and_78(
    place: Place, file: str, content: str, named: str
) -> None:
    del place.environ["MXRC_API__PORT"], place.environ["MXRC_API__METRICS_PORT"]
    (place.config_dir / f"{file}.json").write_text(content)
    done = run_to_end(place, "mxrc-nonrt")
    assert done.returncode == 78
    lines = [line for line in done.stderr.splitlines() if named in line]
    assert len(lines) == 1
    assert "Traceback" not in done.stderr


def test_unusable_folders_are_one_line(place: Place) -> None:
    (place.folder / "file").write_text("")
    for name in ("RUN", "LOG", "DATA", "CHECKPOINT"):
        old = place.environ[f"MXRC_INSTANCE__{name}_DIR"]
        path = str(place.folder / "file" / name.lower())
        place.environ[f"MXRC_INSTANCE__{name}_DIR"] = path
        with started_nonrt(place, name=name) as nonrt:
            wait_for(
                lambda nonrt=nonrt, path=path: path in nonrt.output or None,  # type: ignore[misc]
                f"a word about {path}",
            )
            assert "Traceback" not in nonrt.output
        place.environ[f"MXRC_INSTANCE__{name}_DIR"] = old


def test_a_taken_port(place: Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        place.environ |= {"MXRC_API__PORT": str(port)}
        with started_nonrt(place) as nonrt:
            assert int(nonrt.urls()["http"].rpartition(":")[2]) > port
            assert f"port {port} is taken" in nonrt.output
        place.environ |= {"MXRC_API__PORT_FALLBACK": "false"}
        done = run_to_end(place, "mxrc-nonrt")
        assert done.returncode == 75
        assert f"port {port}" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_token_is_asked_for(place: Place) -> None:
    token = place.folder / "token"
    token.write_text("0123456789abcdef0123\n")
    token.chmod(0o600)
    host = "0.0.0.0"
    place.environ |= {
        "MXRC_API__TOKEN_FILE": str(token),
        "MXRC_API__HOST": host,
        "MXRC_API__PORT": str(free_port()),
    }
    with started_nonrt(place) as nonrt:
        url = nonrt.urls()["http"].replace(host, "127.0.0.1") + "/api/v1/log-level"
        body = {"level": "warn"}
        assert nonrt.client.put(url, json=body).status_code == 401
        headers = {"Authorization": "Bearer 0123456789abcdef0123"}
        assert nonrt.client.put(url, json=body, headers=headers).status_code == 200
        assert nonrt.client.get(url).status_code == 200
        assert "0123456789abcdef0123" not in nonrt.output
        logs = (place.folder / "log").glob("*.log")
        assert all("0123456789abcdef0123" not in log.read_text() for log in logs)
