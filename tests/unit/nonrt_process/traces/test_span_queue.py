from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nonrt_process.traces.otlp import Item, Origin
from nonrt_process.traces.span_queue import SpanQueue, Taken

ORIGIN = Origin(b"r", b"s")
BOUND = 20


class QueueMachine(RuleBasedStateMachine):
    """The queue against a plain list: nothing is lost but what is counted, and the order stays."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = SpanQueue(BOUND)
        self.model: list[int] = []
        self.next = 0
        self.dropped = 0
        self.acknowledged: list[int] = []
        self.taken: Taken | None = None

    @rule(count=st.integers(0, 30))
    def put(self, count: int) -> None:
        numbers = range(self.next, self.next + count)
        self.next += count
        items: list[Item] = [(ORIGIN, str(n).encode()) for n in numbers]
        self.queue.put(items)
        self.model.extend(numbers)
        excess = max(0, len(self.model) - BOUND)
        self.dropped += excess
        del self.model[:excess]

    @rule(limit=st.integers(1, 30))
    def take(self, limit: int) -> None:
        self.taken = self.queue.take(limit, 0)
        assert [int(data) for _, data in self.taken.items] == self.model[:limit]

    @rule()
    def acknowledge(self) -> None:
        if self.taken is None:
            return
        sent = {int(data) for _, data in self.taken.items}
        self.queue.acknowledge(self.taken)
        self.queue.acknowledge(self.taken)  # doing it twice changes nothing
        self.model = [n for n in self.model if n not in sent]
        self.taken = None

    @invariant()
    def same(self) -> None:
        assert len(self.queue) == len(self.model)
        assert self.queue.dropped == self.dropped


TestQueue = QueueMachine.TestCase


def test_discarding_keeps_nothing() -> None:
    queue = SpanQueue()
    queue.discard = True
    queue.put([(ORIGIN, b"x")])
    assert len(queue) == 0
    assert queue.dropped == 0


def test_close_ends_waiting() -> None:
    queue = SpanQueue()
    queue.close()
    assert not queue.take(1, 60).items
