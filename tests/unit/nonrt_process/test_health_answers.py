"""The kept answer of /health: for a moment, and not beyond what it is read from."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from nonrt_process.health.answers import FRESH_NS, HealthAnswers
from nonrt_process.health.documents import HealthDocuments
from nonrt_process.health.registry import Registry, SimpleCheck
from nonrt_process.interfaces import HEALTHY, Finding, HealthStatus
from shared.enums import RtState
from shared.segment import Segment
from tests.unit.nonrt_process.fakes import FakeContext, fake_context, real_segment


class Asked:
    """Answers over one check whose finding the test sets."""

    def __init__(self, context: FakeContext, rt: Segment) -> None:
        self.context, self.rt = context, rt
        self.finding = HEALTHY
        self.checked = 0
        registry = Registry(context.clock.monotonic_ns, logging.getLogger("test.health"))
        registry.register(SimpleCheck("one", "rt_process", self._check))
        self._answers = HealthAnswers(context, registry, HealthDocuments(context))

    def _check(self, _now_ns: int) -> Finding:
        self.checked += 1
        return self.finding

    def status(self) -> str:
        return str(self._answers.body("rt_process")["status"])


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    with real_segment(tmp_path) as (rt, nonrt):
        yield Asked(fake_context(tmp_path, segment=nonrt), rt)


def test_it_is_made_anew_when_it_is_old(asked: Asked) -> None:
    assert asked.status() == "HEALTHY"
    asked.finding = Finding(HealthStatus.UNHEALTHY, "gone")
    asked.context.clock.advance(FRESH_NS - 1)
    assert asked.status() == "HEALTHY"
    assert asked.checked == 1
    asked.context.clock.advance(1)
    assert asked.status() == "UNHEALTHY"
    assert asked.checked == 2


@pytest.mark.parametrize("change", ["state", "cause", "segment"])
def test_what_the_segment_says_shows_at_once(asked: Asked, change: str) -> None:
    asked.status()
    asked.finding = Finding(HealthStatus.DEGRADED, "safe mode")
    if change == "state":
        asked.rt.rt_status.state = int(RtState.SAFE_MODE)
    elif change == "cause":
        asked.rt.rt_status.safe_cause = 3
    else:
        asked.context.heart.segment = None
    assert asked.status() == "DEGRADED"


def test_each_process_has_its_own(asked: Asked) -> None:
    asked.finding = Finding(HealthStatus.UNHEALTHY, "gone")
    assert asked._answers.body("non_rt_process")["status"] == "HEALTHY"
    body = asked._answers.body("rt_process")
    assert (body["status"], body["process_name"]) == ("UNHEALTHY", "rt_process")
    assert body["response_time_ms"] >= 0
