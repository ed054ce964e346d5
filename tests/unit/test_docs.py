"""The reference tables of docs/ name what the code has, no more and no less."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from nonrt_process.application import Application
from nonrt_process.metrics.plugin import MetricsCollector
from shared.clock import FakeClock
from shared.core import lib
from shared.metrics_def import counters, histograms
from tests.helpers import ROOT
from tests.unit.nonrt_process.fakes import (
    FakeHeart,
    become_primary,
    fake_context,
    real_segment,
)

DOCS = ROOT / "docs"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    """All plugins, none of them started, on the segment of an RT process."""
    with real_segment(tmp_path) as (rt, nonrt):
        config = fake_context(tmp_path).config.current
        clock = FakeClock(monotonic_ns=int(lib.mxrc_now_ns()))
        become_primary(rt, heartbeat_ns=clock.monotonic_ns())
        heart = FakeHeart(clock, nonrt)
        yield Application(config, heart, clock)
        heart.segment = None


def rows(name: str, pattern: str) -> set[tuple[str, ...]]:
    """Groups of `pattern` in the table rows of docs/NAME."""
    text = (DOCS / name).read_text(encoding="utf-8")
    return {match.groups() for match in re.finditer(rf"^\| {pattern} \|", text, re.MULTILINE)}


def test_metrics(app: Application) -> None:
    documented = {(name, kind) for name, kind in rows("metrics.md", r"`(mxrc_\w+)` \| (\w+)")}
    exported = {
        (f"{family.name}_total" if family.type == "counter" else family.name, family.type)
        for family in MetricsCollector(app.context).collect()
    }
    assert exported - documented == set(), "not in docs/metrics.md"
    # Not everything is known without a life: the names of the rest are in the sources.
    sources = "".join(path.read_text() for path in (ROOT / "nonrt_process").rglob("*.py"))
    known = {f'"{row.name}"' for row in counters()} | {f'"{row.name}"' for row in histograms()}
    known |= set(re.findall(r'"mxrc_\w+"', sources))
    for name, kind in documented:
        plain = name.removesuffix("_total") if kind == "counter" else name
        assert f'"{plain}"' in known, f"{name} is documented and does not exist"


def test_endpoints(app: Application) -> None:
    served = {
        (method, route.path)
        for plugin in app.plugins()
        for router in plugin.routers
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert rows("http-api.md", r"`(\w+) (/[^`]*)`") == served


def test_health_checks(app: Application) -> None:
    checks = {(check.process, check.name) for one in app.plugins() for check in one.health_checks}
    assert rows("health.md", r"`(rt_process|non_rt_process)\.(\w+)`") == checks


def test_links_lead_somewhere() -> None:
    pages = [*DOCS.glob("*.md"), *ROOT.glob("*.md")]
    assert len(pages) > 10
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in DOCS.glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index, f"index.md lacks {page.name}"
