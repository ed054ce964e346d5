from __future__ import annotations

import subprocess
import sys

FORBIDDEN = ("numpy", "fastapi", "uvicorn", "opentelemetry", "typer", "rich", "prometheus_client")


def test_the_rt_process_imports_only_what_it_needs() -> None:
    code = """
import sys
import rt_process.main, rt_process.exec_config, rt_process.executive, rt_process.placement
import rt_process.system, rt_process.reload, shared.reasons, shared.config, shared.datastore
print(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()).isdisjoint(FORBIDDEN)
    assert "pydantic" in done.stdout


def test_the_heartbeat_s_imports_need_neither_numpy_nor_pydantic() -> None:
    code = "import sys, shared.segment, shared.documents, shared.enums; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"numpy", "pydantic"}.isdisjoint(name.partition(".")[0] for name in done.stdout.split())
