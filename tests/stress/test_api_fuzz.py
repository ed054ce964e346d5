"""Schemathesis over the whole OpenAPI document of running processes: no 500, nothing undocumented.

MXRC_FUZZ_EXAMPLES sets how many requests are made up for each operation.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from tests.helpers import ROOT, free_port
from tests.integration.test_nonrt_process import ANY_TIMING, SERVING, started_nonrt
from tests.processes import BIN, Place, started_rt

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "allow_header_conformance",
)


def fuzz(folder: Path, url: str, examples: int, *options: str) -> tuple[int, str]:
    """Exit status and output of schemathesis, which leaves its files in `folder`."""
    config = Path(__file__).with_name("schemathesis.toml")
    settings = ["--config-file", str(config), "--no-color"]
    command = [str(BIN / "st"), *settings, "run", f"{url}/openapi.json"]
    bounds = ["--max-examples", str(examples), "--request-timeout", "20"]
    checks = ["--checks", ",".join(CHECKS)]
    done = subprocess.run(
        [*command, *bounds, *checks, *options],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.stress.api_fuzz_hooks",
        },
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(3600)
def test_the_whole_document(place: Place) -> None:
    place.environ |= ANY_TIMING
    examples = int(os.environ.get("MXRC_FUZZ_EXAMPLES", "30"))
    with started_rt(place) as rt, started_nonrt(place) as nonrt:
        nonrt.wait_for_status(*SERVING)
        # A stream of events never ends, and is no subject for it.
        stream = ["--exclude-path-regex", "/stream$"]
        phases = ["--phases", "examples,coverage,fuzzing"]
        json = ["-H", "Content-Type: application/json"]  # a change without a body needs it, too
        status, output = fuzz(place.folder, nonrt.urls()["http"], examples, *stream, *phases, *json)
        print(output[-3000:])
        assert status == 0, output
        assert rt.process.poll() is None
        assert nonrt.process.poll() is None
        assert nonrt.get("/health/live").status_code == 200
        assert "Traceback" not in nonrt.output
    assert place.shm_files() == []


def wrong_app() -> FastAPI:
    app = FastAPI()

    @app.get("/fault")
    def fault(number: int = 0) -> dict[str, Any]:
        raise RuntimeError("a fault")

    @app.get("/undocumented")
    def undocumented(number: int = 0) -> PlainTextResponse:
        return PlainTextResponse("I am a teapot", 418)

    return app


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def test_it_finds_a_fault_and_an_undocumented_answer(tmp_path: Path) -> None:
    with served(wrong_app()) as url:
        status, output = fuzz(tmp_path, url, 5)
    assert status == 1
    assert "Server error" in output
    assert "Undocumented" in output, output
