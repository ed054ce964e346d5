"""Commands to RT: one lock around the queue's one producer, and waiting for RT's answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from nonrt_process.context import Context
from nonrt_process.interfaces import (
    Compile,
    QueueFull,
    Refused,
    Reply,
    RtAbsent,
    RtNoReply,
    Sent,
)
from shared.commands import CommandQueue, CommandQueueFull, CommandTrace
from shared.datastore import DataStore
from shared.enums import (
    CommandKind,
    EventKind,
    NameKind,
    RegionId,
    Result,
    RtEvent,
    RtState,
    name_of,
)
from shared.names import Names
from shared.ring import RingReader
from shared.segment import process_alive

if TYPE_CHECKING:
    from shared.segment import Segment
    from shared.trace_context import TraceContext

POLL_S = 0.002
ALIVE_NS = 10_000_000
"""An RT process that was alive so short a time ago is not looked for again: it costs system calls,
and may end just after a look as well."""
_EVENTS_PER_LOOK = 4096


class _Producer:
    """What is needed to send in one generation."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.queue = CommandQueue(segment)
        self.names = Names(segment)
        self.keys = DataStore(segment).keys


class RtCommandPort:
    """CommandPort on the segment in force."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._producer: _Producer | None = None
        self._seen_alive: Segment | None = None
        self._seen_ns = 0

    def send_task(
        self,
        execution_id: int,
        task_id: str,
        compile_program: Compile,
        trace: TraceContext | None = None,
        not_before_ns: int = 0,
    ) -> Sent:
        def send(producer: _Producer) -> int:
            program = compile_program(producer.names.intern, producer.keys)
            return producer.queue.send_task(
                execution_id, task_id, program, _trace(trace), not_before_ns
            )

        return self._send(send)

    def send_cancel(self, execution_id: int, trace: TraceContext | None = None) -> Sent:
        return self._send(lambda producer: producer.queue.send_cancel(execution_id, _trace(trace)))

    def call_event(
        self, event: RtEvent, trace: TraceContext | None = None, timeout_s: float = 2.0
    ) -> Reply:
        reply = self._call(
            lambda producer: producer.queue.send_event(event, _trace(trace)), timeout_s
        )
        if reply.result != Result.OK:
            state = name_of(RtState, reply.state)
            raise Refused(f"{event.name} is not possible in RT state {state}", reply.result)
        return reply

    def call_task(
        self,
        kind: CommandKind,
        execution_id: int,
        trace: TraceContext | None = None,
        timeout_s: float = 2.0,
    ) -> Reply:
        reply = self._call(
            lambda producer: producer.queue.send(
                kind, execution_id=execution_id, trace=_trace(trace)
            ),
            timeout_s,
        )
        if reply.result != Result.OK:
            raise Refused(f"RT does not run execution {execution_id} any more", reply.result)
        return reply

    def call_bus_event(
        self, topic: str, value: float, trace: TraceContext | None = None, timeout_s: float = 2.0
    ) -> Reply:
        def send(producer: _Producer) -> int:
            # A topic that no program has named is no name: nobody listens, and none is made.
            key = producer.names.find(NameKind.TOPIC, topic)
            if key is None:
                raise Refused(f"no running task listens to topic {topic!r}", Result.ERR_UNKNOWN)
            return producer.queue.send(
                CommandKind.BUS_EVENT, key=key, args=(value,), trace=_trace(trace)
            )

        reply = self._call(send, timeout_s)
        if reply.result != Result.OK:
            raise Refused(f"no running task listens to topic {topic!r}", reply.result)
        return reply

    def call_noop(self, timeout_s: float = 2.0) -> Reply:
        return self._call(lambda producer: producer.queue.send(CommandKind.NOOP), timeout_s)

    def free(self) -> int:
        producer = self._producer_if_current()
        return 0 if producer is None else producer.queue.free

    def waiting(self) -> int:
        segment = self._context.segment
        if segment is None:
            return 0
        head = RingReader(segment, RegionId.COMMANDS).head
        return max(0, head - int(segment.rt_status.command_tail))

    def _producer_if_current(self) -> _Producer | None:
        segment = self._context.segment
        producer = self._producer
        if producer is not None and producer.segment is segment:
            return producer
        if segment is None:
            return None
        with self._lock:
            return self._renew(segment)

    def _renew(self, segment: Segment) -> _Producer:
        """With the lock held."""
        if self._producer is None or self._producer.segment is not segment:
            self._producer = _Producer(segment)
        return self._producer

    def _send(self, send: Callable[[_Producer], int]) -> Sent:
        segment = self._live_segment()
        with self._lock:
            producer = self._renew(segment)
            try:
                number = send(producer)
            except CommandQueueFull as error:
                raise QueueFull(f"{error}: try again later") from error
            return Sent(segment.generation, number)

    def _live_segment(self) -> Segment:
        segment = self._context.segment
        if segment is None:
            raise RtAbsent("the RT process does not run: start mxrc-rt")
        now_ns = self._context.clock.monotonic_ns()
        if segment is self._seen_alive and now_ns - self._seen_ns < ALIVE_NS:
            return segment
        primary = segment.primary()
        if primary is not None:
            member = segment.member_struct(primary)
            if process_alive(int(member.pid), int(member.process_start)):
                self._seen_alive, self._seen_ns = segment, now_ns
                return segment
        raise RtAbsent("no RT process is alive that could take the command: start mxrc-rt")

    def _call(self, send: Callable[[_Producer], int], timeout_s: float) -> Reply:
        """Send, and look for the answer in the lanes of all RT threads (a take-over may happen)."""
        segment = self._live_segment()
        lanes = [
            RingReader(segment, RegionId.LANE + lane) for lane in segment.lanes() if lane % 2 == 0
        ]
        for reader in lanes:
            reader.cursor = reader.head
        sent = self._send(send)
        if sent.generation != segment.generation:
            raise RtNoReply("the RT process was replaced while the command was sent")
        clock = self._context.clock
        deadline = clock.monotonic_ns() + round(timeout_s * 1e9)
        while True:
            # The clock is read first: what came before the deadline is still seen.
            late = clock.monotonic_ns() >= deadline
            for reader in lanes:
                records = reader.read(_EVENTS_PER_LOOK).records
                found = records[
                    (records["kind"] == EventKind.REPLY) & (records["reply_to"] == sent.number)
                ]
                if len(found):
                    answer = found[0]
                    return Reply(
                        Result(int(answer["code"])),
                        int(answer["cycle"]),
                        RtState(int(answer["state"])),
                    )
            if late:
                raise RtNoReply(
                    f"RT did not answer command {sent.number} within {timeout_s:g} s; "
                    "it may still be carried out"
                )
            clock.sleep(POLL_S)


def _trace(context: TraceContext | None) -> CommandTrace | None:
    if context is None:
        return None
    return CommandTrace(context.trace_id, context.span_id, context.flags)
