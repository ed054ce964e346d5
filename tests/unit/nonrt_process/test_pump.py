"""Pumps: order, cursors, losses, failures, generations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nonrt_process.batch import Batch
from nonrt_process.consumer import Consumer, NotYet
from nonrt_process.pump import Pump
from shared.enums import EventKind
from shared.segment import Segment
from tests.unit.nonrt_process.fakes import (
    FakeContext,
    fake_context,
    publish_cycles,
    publish_events,
    real_segment,
)

LOG = int(EventKind.LOG)


class Recorder(Consumer):
    """Keeps what it is given."""

    name = "recorder"
    wants_events = True
    wants_cycles = True

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Batch] = []
        self.calls: list[str] = []
        self.failures_left = 0
        self.not_yet = False

    def on_attach(self, segment: Segment) -> None:
        self.calls.append("attach")

    def on_detach(self) -> None:
        self.calls.append("detach")

    def on_batch(self, batch: Batch) -> None:
        if self.not_yet:
            raise NotYet
        if self.failures_left:
            self.failures_left -= 1
            raise RuntimeError("broken on purpose")
        self.batches.append(batch)

    def times(self) -> list[int]:
        return [int(time) for batch in self.batches for time in batch.events["time_ns"]]

    def cycle_numbers(self) -> list[int]:
        return [int(number) for batch in self.batches for number in batch.cycles["cycle"]]


class FromNow(Recorder):
    name = "from-now"
    goes_on = False


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Segment, FakeContext]]:
    with real_segment(tmp_path) as (rt, nonrt):
        context = fake_context(tmp_path, segment=nonrt)
        yield rt, context
        context.heart.segment = None


def log_events(*times: int) -> list[dict[str, Any]]:
    return [{"time_ns": time, "kind": LOG} for time in times]


def test_lanes_are_merged_by_time_and_keep_their_order(both: tuple[Segment, FakeContext]) -> None:
    rt, context = both
    publish_events(rt, log_events(10, 30, 20, 60), lane=0)  # 20 after 30: a lane's order counts
    publish_events(rt, log_events(5, 40, 50), lane=1)
    consumer = Recorder()
    Pump(context, consumer).turn()
    (batch,) = consumer.batches
    assert consumer.times() == [5, 10, 30, 20, 40, 50, 60]
    assert batch.lanes.tolist() == [1, 0, 0, 0, 1, 1, 0]
    assert batch.event_numbers.tolist() == [0, 0, 1, 2, 1, 2, 3]
    assert batch.event_sequences.tolist() == [1, 0, 16, 32, 17, 33, 48]
    assert batch.generation == rt.generation


def test_a_successor_goes_on_where_the_cursor_is(both: tuple[Segment, FakeContext]) -> None:
    rt, context = both
    publish_events(rt, log_events(1, 2))
    publish_cycles(rt, [{"cycle": 1}, {"cycle": 2}])
    first = Recorder()
    pump = Pump(context, first)
    pump.turn()
    first.cursor_user[3] = 77
    pump.turn()
    del pump  # as after kill -9: nothing is closed
    publish_events(rt, log_events(3))
    publish_cycles(rt, [{"cycle": 3}])
    second = Recorder()
    Pump(context, second).turn()
    assert second.times() == [3]
    assert second.cycle_numbers() == [3]
    assert second.cursor_user[3] == 77


class GoesBack(Recorder):
    name = "goes-back"
    goes_back = 3


def test_some_records_are_given_again_and_what_is_gone_of_them_is_no_loss(
    both: tuple[Segment, FakeContext],
) -> None:
    rt, context = both
    publish_events(rt, log_events(1, 2))
    publish_cycles(rt, [{"cycle": number} for number in range(10)])
    Pump(context, GoesBack()).turn()
    publish_cycles(rt, [{"cycle": 10}])
    second = GoesBack()
    Pump(context, second).turn()
    assert second.cycle_numbers() == [7, 8, 9, 10]
    assert second.times() == [1, 2]
    publish_cycles(rt, [{"cycle": number} for number in range(11, 1000)])
    third = GoesBack()
    pump = Pump(context, third)
    pump.turn()
    found = third.cycle_numbers()
    assert found[-1] == 999
    assert pump.figures().lost_cycles == found[0] - 11, "of 8, 9 and 10 none is missed"


def test_another_consumer_has_a_cursor_of_its_own(both: tuple[Segment, FakeContext]) -> None:
    rt, context = both
    publish_events(rt, log_events(1))
    Pump(context, Recorder()).turn()
    other = FromNow()
    pump = Pump(context, other)
    pump.turn()
    assert other.batches == []
    publish_events(rt, log_events(2))
    pump.turn()
    assert other.times() == [2]


def test_a_lapped_consumer_counts_exactly_what_it_lost(both: tuple[Segment, FakeContext]) -> None:
    rt, context = both
    consumer = Recorder()
    pump = Pump(context, consumer)
    pump.turn()
    publish_cycles(rt, [{"cycle": number} for number in range(1000)])
    publish_events(rt, log_events(*range(600)))
    pump.turn()
    figures = pump.figures()
    assert figures.lost_cycles + len(consumer.cycle_numbers()) == 1000
    assert figures.lost_events + len(consumer.times()) == 600
    assert figures.lost_cycles == sum(batch.lost_cycles for batch in consumer.batches) > 0
    assert consumer.cycle_numbers() == list(range(figures.lost_cycles, 1000))
    assert (figures.lag_events, figures.lag_cycles) == (0, 0)
    again = Pump(context, Recorder())
    again.turn()
    assert again.figures().lost_cycles == figures.lost_cycles  # kept in the segment


def test_a_batch_is_tried_twice(both: tuple[Segment, FakeContext]) -> None:
    rt, context = both
    consumer = Recorder()
    consumer.failures_left = 1
    pump = Pump(context, consumer)
    publish_events(rt, log_events(1, 2))
    pump.turn()
    assert consumer.times() == [1, 2]
    assert pump.figures().failures == 0


def test_a_batch_that_fails_twice_is_lost_and_the_next_is_not(
    both: tuple[Segment, FakeContext],
) -> None:
    rt, context = both
    consumer = Recorder()
    consumer.failures_left = 2
    pump = Pump(context, consumer)
    publish_events(rt, log_events(1, 2))
    pump.turn()
    publish_events(rt, log_events(3))
    pump.turn()
    assert consumer.times() == [3]
    assert (pump.figures().failures, pump.figures().lost_events) == (1, 2)


def test_what_was_not_taken_yet_comes_again(both: tuple[Segment, FakeContext]) -> None:
    rt, context = both
    consumer = FromNow()
    pump = Pump(context, consumer)
    publish_events(rt, log_events(1))
    pump.turn()  # begins after 1
    consumer.not_yet = True
    publish_events(rt, log_events(2, 3))
    for _ in range(3):
        pump.turn()
    assert (pump.figures().lost_events, pump.figures().lag_events) == (0, 2)
    consumer.not_yet = False
    pump.turn()
    assert consumer.times() == [2, 3]
    assert pump.figures().failures == 0


def test_tombstones_are_left_out(both: tuple[Segment, FakeContext]) -> None:
    rt, context = both
    consumer = Recorder()
    pump = Pump(context, consumer)
    publish_events(rt, [{"time_ns": 1, "kind": 0}, {"time_ns": 2, "kind": LOG}])
    publish_cycles(rt, [{"cycle": 1, "flags": 128}, {"cycle": 2}])
    pump.turn()
    assert (consumer.times(), consumer.cycle_numbers()) == ([2], [2])
    assert consumer.batches[0].event_numbers.tolist() == [1]


def test_the_old_generation_is_read_to_its_end(tmp_path: Path) -> None:
    with real_segment(tmp_path) as (old, first), real_segment(tmp_path) as (new, second):
        context = fake_context(tmp_path, segment=first)
        consumer = Recorder()
        pump = Pump(context, consumer)
        pump.turn()
        publish_events(old, log_events(1))
        publish_events(new, log_events(100))
        context.heart.segment = second
        pump.turn()
        assert consumer.times() == [1, 100]
        assert [batch.generation for batch in consumer.batches] == [old.generation, new.generation]
        publish_events(new, log_events(200))
        context.heart.segment = None
        pump.turn()
        assert consumer.times() == [1, 100, 200]
        assert consumer.calls == ["attach", "detach", "attach", "detach"]


def test_a_tick_comes_without_a_segment_and_may_fail(tmp_path: Path) -> None:
    context = fake_context(tmp_path)
    ticks: list[int] = []

    class Ticking(Consumer):
        name = "ticking"

        def on_tick(self, now_ns: int) -> None:
            ticks.append(now_ns)
            raise NotYet

    pump = Pump(context, Ticking())
    pump.turn()
    context.clock.advance(5)
    pump.turn()
    assert ticks[1] - ticks[0] == 5


def test_the_thread_ends_with_everything_read(both: tuple[Segment, FakeContext]) -> None:
    rt, context = both
    consumer = Recorder()
    consumer.interval_s = 0.01
    pump = Pump(context, consumer)
    pump.start()
    publish_events(rt, log_events(*range(100)))
    assert pump.stop(10.0)
    assert consumer.times() == list(range(100))
    assert consumer.calls == ["attach", "detach"]
    assert not pump.figures().alive


def test_batches_are_bounded(both: tuple[Segment, FakeContext]) -> None:
    rt, context = both
    consumer = Recorder()
    consumer.max_records = 40
    publish_cycles(rt, [{"cycle": number} for number in range(200)])
    Pump(context, consumer).turn()
    assert max(len(batch.cycles) for batch in consumer.batches) == 40
    assert consumer.cycle_numbers() == list(range(200))


def test_a_seventeenth_consumer_has_no_cursor_and_says_so(
    both: tuple[Segment, FakeContext], caplog: pytest.LogCaptureFixture
) -> None:
    _, context = both
    for number in range(17):
        consumer = type(f"C{number}", (Recorder,), {"name": f"consumer-{number}"})()
        Pump(context, consumer).turn()
    assert "no cursor left for consumer 'consumer-16'" in caplog.text


def test_select_gives_events_of_a_kind_with_their_lanes(both: tuple[Segment, FakeContext]) -> None:
    rt, context = both
    publish_events(rt, [{"time_ns": 1, "kind": 1}, {"time_ns": 3, "kind": 5}], lane=0)
    publish_events(rt, [{"time_ns": 2, "kind": 5}], lane=1)
    consumer = Recorder()
    Pump(context, consumer).turn()
    events, lanes = consumer.batches[0].select(EventKind.REPLY)
    assert events["time_ns"].tolist() == [2, 3]
    np.testing.assert_array_equal(lanes, [1, 0])
