from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from shared.cli.client import Client, api_url
from shared.cli.errors import EX_UNAVAILABLE, CommandError, Unavailable
from shared.cli.main import main
from shared.config import Config
from tests.helpers import free_port
from tests.unit.config.conftest import Files


class Handler(BaseHTTPRequestHandler):
    """Answers what it was told and remembers what it was asked."""

    asked: ClassVar[list[tuple[str, str, dict[str, str], Any]]] = []
    answers: ClassVar[dict[str, tuple[int, Any]]] = {}

    def _handle(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        self.asked.append((self.command, self.path, dict(self.headers), body))
        status, answer = self.answers.get(self.path.partition("?")[0], (404, {"title": "No"}))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def port() -> Iterator[int]:
    """A server on this port."""
    Handler.asked, Handler.answers = [], {}
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def config_for(files: Files, instance: str, port: int, **environ: str) -> Config:
    values = {
        "HOME": str(files.folder),
        "XDG_RUNTIME_DIR": str(files.folder / "run"),
        "MXRC_INSTANCE__INSTANCE": instance,
        "MXRC_API__PORT": str(port),
        **environ,
    }
    return files.load(values)


def test_get_gives_any_status(files: Files, instance: str, port: int) -> None:
    Handler.answers = {"/health": (503, {"status": "UNHEALTHY"})}
    answer = Client(config_for(files, instance, port)).get("/health", process="rt_process", x=None)
    assert answer == (503, {"status": "UNHEALTHY"})
    assert Handler.asked[0][1] == "/health?process=rt_process"


def test_post_carries_content_type_and_token(files: Files, instance: str, port: int) -> None:
    Handler.answers = {"/api/v1/rt/pause": (200, {"result": "OK"})}
    config = config_for(files, instance, port, MXRC_API__TOKEN='"0123456789abcdef"')
    assert Client(config).post("/api/v1/rt/pause", {}) == {"result": "OK"}
    _, _, headers, body = Handler.asked[0]
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer 0123456789abcdef"
    assert body == {}


def test_a_problem_becomes_its_words(files: Files, instance: str, port: int) -> None:
    problem = {"title": "Task is active", "detail": "task_1 runs already"}
    Handler.answers = {"/api/v1/task/start": (409, problem)}
    client = Client(config_for(files, instance, port))
    with pytest.raises(CommandError, match=r"Task is active: task_1 runs already \(HTTP 409\)"):
        client.post("/api/v1/task/start", {"task_id": "task_1"})


def test_no_answer_is_said(files: Files, instance: str) -> None:
    client = Client(config_for(files, instance, free_port()))
    with pytest.raises(Unavailable, match="mxrc up") as raised:
        client.get("/health")
    assert raised.value.status == EX_UNAVAILABLE


def test_what_is_no_json_is_said(files: Files, instance: str, port: int) -> None:
    Handler.answers = {"/health": (200, b"<html>")}
    with pytest.raises(CommandError, match="did not answer with JSON"):
        Client(config_for(files, instance, port)).get("/health")


def test_the_port_in_force_comes_from_the_endpoints_file(files: Files, instance: str) -> None:
    config = config_for(files, instance, 8080)
    assert api_url(config) == "http://127.0.0.1:8080"
    config.paths.run_dir.mkdir(parents=True)
    document = {"ports": {"http": 8123, "metrics": 9091}}
    (config.paths.run_dir / f"{instance}.endpoints.json").write_text(json.dumps(document))
    assert api_url(config) == "http://127.0.0.1:8123"


@pytest.fixture
def command(files: Files, instance: str, port: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `mxrc` with these arguments against the server."""
    monkeypatch.setenv("MXRC_CONFIG_DIR", str(files.folder))
    monkeypatch.setenv("MXRC_API__PORT", str(port))
    monkeypatch.setenv("MXRC_INSTANCE__INSTANCE", instance)
    monkeypatch.chdir(files.folder)
    return lambda *arguments: main(arguments)


def test_status(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    Handler.answers = {"/health": (200, {"process_name": "rt_process", "status": "DEGRADED"})}
    assert command("status", "--json") == 0
    assert [row["status"] for row in json.loads(capsys.readouterr().out)] == ["DEGRADED"] * 2
    Handler.answers = {"/health": (503, {"status": "UNHEALTHY", "error_message": "no cycles"})}
    assert command("status") == 1
    assert "no cycles" in capsys.readouterr().out


def test_task_start_takes_the_mode_of_the_definition(
    command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    Handler.answers = {"/api/v1/task/start": (202, {"task_id": "demo", "trace_id": "ab"})}
    assert command("task", "start", "demo", "--param", "n=3", "--param", "s=text") == 0
    assert Handler.asked[-1][3] == {
        "task_id": "demo",
        "mode": "periodic",
        "parameters": {"n": 3, "s": "text"},
    }
    assert "trace_id" in capsys.readouterr().out


@pytest.mark.parametrize(("status", "code"), [("COMPLETED", 0), ("FAILED", 1), ("CANCELLED", 1)])
def test_watch_ends_with_the_task(
    command: Any, status: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    Handler.answers = {"/api/v1/tasks/a%2Fb": (200, {"status": status})}
    assert command("task", "watch", "a/b") == code
    assert capsys.readouterr().out == f"a/b: {status}\n"


def test_list_and_cancel(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    page = {"tasks": [{"task_id": "one", "status": "RUNNING"}], "total": 1}
    Handler.answers = {
        "/api/v1/tasks": (200, page),
        "/api/v1/tasks/one": (202, {"task_id": "one", "status": "CANCELLING"}),
    }
    assert command("task", "list") == 0
    assert "one" in capsys.readouterr().out
    assert command("task", "list", "--json", "--status", "RUNNING") == 0
    assert json.loads(capsys.readouterr().out) == page
    assert "status=RUNNING" in Handler.asked[-1][1]
    assert command("task", "cancel", "one") == 0
    assert Handler.asked[-1][0] == "DELETE"


@pytest.mark.parametrize(
    "event", ["start", "pause", "resume", "stop", "reset", "safe-mode", "safe-mode-exit"]
)
def test_rt_events(command: Any, event: str) -> None:
    Handler.answers = {f"/api/v1/rt/{event}": (200, {"state": "PAUSED"})}
    assert command("rt", event) == 0
    assert Handler.asked[-1][:2] == ("POST", f"/api/v1/rt/{event}")


def test_a_refused_command_is_one_line_and_status_1(
    command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    Handler.answers = {"/api/v1/rt/reset": (409, {"title": "Refused", "detail": "not now"})}
    assert command("rt", "reset") == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", "mxrc: Refused: not now (HTTP 409)\n")
