"""The bus: who gets what, in which trace, and what happens when an observer is slow or fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nonrt_process.event_bus.bus import MAX_HOPS, Bus
from nonrt_process.event_bus.health import BusCheck
from nonrt_process.event_bus.mailbox import Mailbox
from nonrt_process.event_bus.rt_events import RtEvents
from nonrt_process.interfaces import (
    BusEvent,
    CommandPort,
    Delivered,
    EventLoop,
    FinishedSpan,
    HealthStatus,
    InvalidEvent,
    QueueFull,
    Refused,
    Reply,
    RtAbsent,
    RtNoReply,
    SpanSink,
)
from shared.enums import EventKind, NameKind, Result, RtState
from shared.names import Names
from shared.trace_context import TraceContext
from tests.unit.nonrt_process.fakes import FakeContext, batch, events, fake_context, real_segment

PATIENCE_S = 20
TRACE = TraceContext(bytes(range(1, 17)), bytes(range(1, 9)), 1)
UNSAMPLED = TraceContext(TRACE.trace_id, TRACE.span_id, 0)


class FakeRt:
    """CommandPort and SpanSink of these tests."""

    def __init__(self) -> None:
        self.listens_to: set[str] = set()
        self.problem: Exception | None = None
        self.taken: list[tuple[str, float, TraceContext | None]] = []
        self.spans: list[FinishedSpan] = []

    def call_bus_event(
        self, topic: str, value: float, trace: TraceContext | None = None, timeout_s: float = 2.0
    ) -> Reply:
        if self.problem is not None:
            raise self.problem
        if topic not in self.listens_to:
            raise Refused("nobody listens", Result.ERR_UNKNOWN)
        self.taken.append((topic, value, trace))
        return Reply(Result.OK, 4711, RtState.RUNNING)

    def record(self, spans: Sequence[FinishedSpan]) -> None:
        self.spans.extend(spans)


class Setup:
    def __init__(self, folder: Path, **settings: str) -> None:
        self.context: FakeContext = fake_context(folder, settings)
        self.rt = FakeRt()
        self.context.provide(CommandPort, self.rt)
        self.context.provide(SpanSink, self.rt)
        self.bus = Bus(self.context, 4, logging.getLogger("test.bus"))
        self.seen: list[BusEvent] = []

    def note(self, event: BusEvent) -> None:
        self.seen.append(event)

    def settle(self) -> None:
        """Until every observer is done with what it has."""
        self.bus.stop()


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    made = Setup(tmp_path)
    yield made
    made.bus.stop()


def topics(seen: list[BusEvent]) -> list[str]:
    return [event.topic for event in seen]


def test_observers_get_what_their_pattern_and_source_say(setup: Setup) -> None:
    setup.bus.subscribe("all", "*", setup.note)
    grip: list[BusEvent] = []
    setup.bus.subscribe("grip", "grip.?", grip.append, source="rt")
    assert setup.bus.publish("grip.a", [1, 2.5]) == 1  # not from RT
    assert setup.bus.deliver(BusEvent("grip.b", (3.0,), "rt")) == 2
    assert setup.bus.deliver(BusEvent("grip.long", source="rt")) == 1
    setup.settle()
    assert topics(setup.seen) == ["grip.a", "grip.b", "grip.long"]
    assert topics(grip) == ["grip.b"]
    assert setup.seen[0].values == (1.0, 2.5)
    assert (setup.seen[0].value, BusEvent("x").value) == (1.0, 1.0)


def test_an_observer_that_unsubscribed_gets_nothing_more(setup: Setup) -> None:
    end = setup.bus.subscribe("one", "*", setup.note)
    setup.bus.publish("a")
    end()
    assert setup.bus.publish("b") == 0
    setup.bus.subscribe("one", "b", setup.note)  # its name is free again
    with pytest.raises(ValueError, match="'one' has subscribed already"):
        setup.bus.subscribe("one", "*", setup.note)


@pytest.mark.parametrize(
    ("topic", "values", "words"),
    [
        ("", [], "topic ''"),
        ("a b", [], "begins with a letter"),
        ("x" * 48, [], "at most 47"),
        ("a\n", [], "begins with a letter"),
        ("a", [float("nan")], "finite"),
        ("a", [0] * 7, "at most 6"),
    ],
)
def test_what_no_event_can_have_is_refused(
    setup: Setup, topic: str, values: list[float], words: str
) -> None:
    setup.bus.subscribe("all", "*", setup.note)
    with pytest.raises(InvalidEvent, match=words):
        setup.bus.publish(topic, values)
    setup.settle()
    assert setup.seen == []


# ---- to RT ----


def test_an_event_to_rt_is_seen_here_too(setup: Setup) -> None:
    setup.rt.listens_to = {"go"}
    assert setup.bus.send_to_rt("go", 3, trace=TRACE) == Delivered(0, 4711)
    setup.bus.subscribe("all", "*", setup.note)
    assert setup.bus.send_to_rt("go", 2, trace=TRACE) == Delivered(1, 4711)
    assert setup.bus.send_to_rt("other") == Delivered(1, None)
    setup.settle()
    assert topics(setup.seen) == ["go", "other"]
    assert setup.rt.taken == [("go", 3.0, TRACE), ("go", 2.0, TRACE)]


@pytest.mark.parametrize(
    "problem",
    [
        RtAbsent("no RT"),
        QueueFull("full"),
        RtNoReply("late"),
        Refused("corrupt", Result.ERR_CORRUPT),
    ],
)
def test_what_rt_did_not_take_nobody_else_gets(setup: Setup, problem: Exception) -> None:
    """Who sent it tries again: the observers would have it twice."""
    setup.bus.subscribe("all", "*", setup.note)
    setup.rt.problem = problem
    with pytest.raises(type(problem)):
        setup.bus.send_to_rt("go")
    setup.settle()
    assert setup.seen == []


def test_an_event_that_nobody_wants_is_refused(setup: Setup) -> None:
    with pytest.raises(Refused):
        setup.bus.send_to_rt("go")


# ---- traces ----


def test_an_observer_works_within_a_span_of_its_own(setup: Setup) -> None:
    setup.rt.listens_to = {"answer"}

    def answer(event: BusEvent) -> None:
        setup.note(event)
        setup.context.clock.advance(5_000_000)
        setup.bus.send_to_rt("answer", cause=event)

    setup.bus.subscribe("one", "ask", answer)
    setup.bus.deliver(BusEvent("ask", (), "rt", 7, TRACE, "task_1", 12, 99))
    setup.settle()
    (span,) = setup.rt.spans
    assert span.name == "eventbus.process"
    assert span.kind == "CONSUMER"
    assert (span.trace_id, span.parent_span_id) == (TRACE.trace_id, TRACE.span_id)
    assert span.span_id != TRACE.span_id
    assert span.end_realtime_ns - span.start_realtime_ns == 5_000_000
    assert span.attributes == {
        "eventbus.topic": "ask",
        "eventbus.observer": "one",
        "task.id": "task_1",
        "mxrc.execution_id": 12,
        "rt.cycle": 99,
    }
    own = TraceContext(TRACE.trace_id, span.span_id, 1)
    assert setup.seen[0].trace == own
    assert setup.rt.taken == [("answer", 1.0, own)], "what it causes is a child of its span"


def test_an_unsampled_event_makes_no_span_and_is_carried_on(setup: Setup) -> None:
    setup.bus.subscribe("one", "*", setup.note)
    setup.bus.deliver(BusEvent("a", trace=UNSAMPLED))
    setup.bus.deliver(BusEvent("b"))
    setup.settle()
    assert setup.rt.spans == []
    assert [event.trace for event in setup.seen] == [UNSAMPLED, None]


def test_without_instrumentation_there_is_no_span(tmp_path: Path) -> None:
    setup = Setup(tmp_path, MXRC_TRACING_CONFIG__INSTRUMENTATION__EVENTBUS="false")
    setup.bus.subscribe("one", "*", setup.note)
    setup.bus.deliver(BusEvent("a", trace=TRACE))
    setup.settle()
    assert setup.rt.spans == []
    assert setup.seen[0].trace == TRACE


def test_a_failure_is_logged_counted_and_in_the_span(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: BusEvent) -> None:
        setup.note(event)
        raise OSError("no camera")

    setup.bus.subscribe("camera", "*", fail)
    for _ in range(3):
        setup.bus.deliver(BusEvent("a", trace=TRACE))
    setup.settle()
    assert len(setup.seen) == 3, "the next one is processed all the same"
    assert [span.error for span in setup.rt.spans] == ["OSError: no camera"] * 3
    (figures,) = setup.bus.observers()
    assert (figures.processed, figures.failures) == (3, 3)
    assert caplog.messages == ["Observer camera failed with event a: no camera"]


def test_observers_that_answer_each_other_are_stopped(setup: Setup) -> None:
    def answer(event: BusEvent) -> None:
        setup.note(event)
        setup.bus.publish("b" if event.topic == "a" else "a", cause=event)

    setup.bus.subscribe("one", "a", answer)
    setup.bus.subscribe("two", "b", answer)
    setup.bus.publish("a")
    wait_until(lambda: sum(one.failures for one in setup.bus.observers()) == 1)
    assert len(setup.seen) == MAX_HOPS + 1
    with pytest.raises(EventLoop, match="answer each other"):
        setup.bus.publish("a", cause=BusEvent("b", hops=MAX_HOPS))


# ---- slow observers ----


def wait_until(look: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(PATIENCE_S * 100):
        if look():
            return
        done.wait(0.01)
    pytest.fail("waited in vain")


@contextmanager
def stuck(setup: Setup, name: str = "stuck") -> Iterator[threading.Event]:
    """An observer that has one event in hand and does not come to an end; set: it does."""
    entered, released = threading.Event(), threading.Event()

    def observe(event: BusEvent) -> None:
        entered.set()
        released.wait(PATIENCE_S)
        setup.note(event)

    setup.bus.subscribe(name, "*", observe)
    setup.bus.deliver(BusEvent("first", source="rt"))
    assert entered.wait(PATIENCE_S)
    try:
        yield released
    finally:
        released.set()


def test_a_full_queue_drops_the_oldest_and_says_so_once(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    with stuck(setup) as released:
        for number in range(10):
            setup.bus.deliver(BusEvent(f"e{number}"))
        (figures,) = setup.bus.observers()
        assert (figures.queued, figures.dropped, figures.processed) == (4, 6, 0)
        (line,) = caplog.messages
        assert "stuck is too slow" in line
        setup.context.clock.advance(11_000_000_000)
        setup.bus.deliver(BusEvent("e10"))
        assert "7 until now (5 more like it before)" in caplog.messages[1]
        released.set()
        setup.settle()
    assert topics(setup.seen) == ["first", "e7", "e8", "e9", "e10"]


def test_health_tells_of_losses_and_of_calls_that_do_not_end(setup: Setup) -> None:
    check, clock = BusCheck(setup.bus), setup.context.clock
    with stuck(setup):
        assert check.check(clock.monotonic_ns()).status == HealthStatus.HEALTHY
        for _ in range(5):
            setup.bus.deliver(BusEvent("e"))
        found = check.check(clock.monotonic_ns())
        assert found.status == HealthStatus.DEGRADED
        assert "observer stuck lost events in the last minute (1 since" in found.reason
        clock.advance(61_000_000_000)
        found = check.check(clock.monotonic_ns())
        assert found.reason.startswith("observer stuck has been at one event for 61 s")
    wait_until(lambda: setup.bus.observers()[0].busy_s == 0)
    assert check.check(clock.monotonic_ns()).status == HealthStatus.HEALTHY


def test_what_is_queued_can_be_kept(setup: Setup) -> None:
    with stuck(setup):
        setup.bus.publish("next", [1, 2], trace=TRACE)
        first, second = setup.bus.queued(100)
        assert (first["topic"], first["source"], second["topic"]) == ("first", "rt", "next")
        assert second["observer"] == "stuck"
        assert second["values"] == [1.0, 2.0]
        assert second["trace_id"] == TRACE.trace_id.hex()
        assert second["time"].endswith("Z")
        assert len(setup.bus.queued(1)) == 1


def test_the_end_does_not_wait_for_ever(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    with stuck(setup):
        setup.bus.publish("never")
        setup.bus.mailboxes()[0].close()
        assert setup.bus.mailboxes()[0].end(0.01) == 2
    assert setup.bus.observers()[0].dropped == 2


class BlockingMailbox(Mailbox):
    """The wrong variant: whoever publishes waits until there is room."""

    def put(self, event: BusEvent) -> bool:
        wait_until(lambda: len(self._queue) < self.queue_length)
        return super().put(event)


def pump_gets_through(
    setup: Setup, make: Any, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> bool:
    """Whether the consumer of RT's events is done with a batch while an observer is stuck."""
    monkeypatch.setattr("nonrt_process.event_bus.bus.Mailbox", make)
    with stuck(setup) as released:
        done = threading.Event()

        def pump() -> None:
            for number in range(20):
                setup.bus.deliver(BusEvent(f"e{number}", source="rt"))
            done.set()

        thread = threading.Thread(target=pump)
        thread.start()
        through = done.wait(seconds)
        released.set()
        thread.join()
    return through


def test_a_stuck_observer_never_blocks_the_pump(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pump_gets_through(Setup(tmp_path), Mailbox, monkeypatch, PATIENCE_S)
    assert not pump_gets_through(Setup(tmp_path), BlockingMailbox, monkeypatch, 0.3)


# ---- from RT ----


def test_events_of_rt_come_with_all_they_carry(setup: Setup, tmp_path: Path) -> None:
    setup.bus.subscribe("all", "*", setup.note)
    consumer = RtEvents(setup.bus)
    with real_segment(tmp_path) as (_, nonrt):
        topic = Names(nonrt).intern(NameKind.TOPIC, "part.ready")
        consumer.on_attach(nonrt)
        row = {
            "kind": int(EventKind.BUS),
            "code": topic,
            "args": [1.5, 0, -2, 0, 0, 0],
            "count": 3,
            "trace_id": list(TRACE.trace_id),
            "span_id": list(TRACE.span_id),
            "trace_flags": 0,
            "task_id": b"task_7",
            "execution_id": 1 << 40,
            "cycle": 5,
            "time_ns": 123,
        }
        log = {"kind": int(EventKind.LOG), "code": topic}
        consumer.on_batch(batch(events([row, log, {**row, "trace_id": [0] * 16, "count": 0}])))
        consumer.on_tick(0)
        setup.settle()
        consumer.on_detach()
    assert setup.seen == [
        BusEvent("part.ready", (1.5, 0.0, -2.0), "rt", 123, UNSAMPLED, "task_7", 1 << 40, 5),
        BusEvent("part.ready", (), "rt", 123, None, "task_7", 1 << 40, 5),
    ]


def test_it_looks_seldom_while_nobody_observes(setup: Setup) -> None:
    consumer = RtEvents(setup.bus)
    consumer.on_tick(0)
    assert consumer.interval_s == 0.1
    end = setup.bus.subscribe("one", "*", setup.note)
    consumer.on_tick(0)
    assert consumer.interval_s == 0.01
    end()
    consumer.on_tick(0)
    assert consumer.interval_s == 0.1
