"""The command queue to the RT process: bounded, one producer (Non-RT), one consumer.

A compiled task travels in a slot of the staging region; RT copies it when it takes the command, so
that a slot is free again once the command that named it is consumed. Needs no numpy.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any, Final

from shared.core import MxrcError, ffi, from_text, lib, system_error
from shared.enums import CommandKind, RegionId, RtEvent
from shared.segment import Segment

TEXT_BYTES: Final = int(lib.MXRC_TEXT_BYTES)
NO_PARENT: Final = bytes(8)


class CommandQueueFull(MxrcError):
    """RT has not taken earlier commands yet: try again later."""


@dataclass(frozen=True, slots=True)
class CommandTrace:
    """Trace context of what a command starts: W3C ids (16 and 8 bytes), flags (bit 0: sampled)."""

    trace_id: bytes
    span_id: bytes
    flags: int


class CommandQueue:
    """The Non-RT side's end of the queue of one generation. One thread at a time."""

    def __init__(self, segment: Segment) -> None:
        self._raw = segment.raw
        self._status = segment.rt_status
        self._staging = segment.pointer(RegionId.STAGING, "struct mxrc_program_slot *")
        slots = segment.description(RegionId.STAGING).element_count
        # Number of the command that used each staging slot last; -1: none.
        self._used_by = [-1] * slots
        self._adopt(segment)

    def _adopt(self, segment: Segment) -> None:
        """Find the staging slots of commands that an earlier Non-RT process left in the queue."""
        ring = ffi.new("struct mxrc_ring *")
        if lib.mxrc_ring_open(ring, self._raw, int(RegionId.COMMANDS)):
            raise MxrcError(f"{segment.name}: the command queue is damaged")
        command = ffi.new("struct mxrc_command *")
        for number in range(self.consumed, int(ring.header.head)):
            if not lib.mxrc_ring_read_one(ring, number, command):
                continue
            if command.kind == CommandKind.TASK_START and command.program < len(self._used_by):
                self._used_by[command.program] = number

    @property
    def free(self) -> int:
        """Commands that fit now."""
        return int(lib.mxrc_command_free(self._raw))

    @property
    def consumed(self) -> int:
        """Commands that RT has taken in this generation: command n is when this is above n."""
        return int(self._status.command_tail)

    def send_event(self, event: RtEvent, trace: CommandTrace | None = None) -> int:
        """Send an RT state event; returns the command's number (`reply_to` of the answer).

        Raises:
            CommandQueueFull
        """
        return self._send({"kind": int(CommandKind.RT_EVENT), "key": int(event)}, trace)

    def send_cancel(self, execution_id: int, trace: CommandTrace | None = None) -> int:
        """Cancel an execution; returns the command's number.

        Raises:
            CommandQueueFull
        """
        return self.send(CommandKind.TASK_CANCEL, execution_id=execution_id, trace=trace)

    def send(
        self,
        kind: CommandKind,
        *,
        execution_id: int = 0,
        key: int = 0,
        args: tuple[float, ...] = (),
        task_id: str = "",
        trace: CommandTrace | None = None,
    ) -> int:
        """Send any other command without a program; returns its number.

        Raises:
            CommandQueueFull
        """
        fields = {
            "kind": int(kind),
            "execution_id": execution_id,
            "key": key,
            "args": list(args),
            "task_id": from_text(task_id, TEXT_BYTES),
        }
        return self._send(fields, trace)

    def send_task(
        self,
        execution_id: int,
        task_id: str,
        program: bytes,
        trace: CommandTrace | None = None,
        not_before_ns: int = 0,
    ) -> int:
        """Start a task: stage its program (shared.program), send the command; returns its number.

        execution_id: > 0, unique in the instance for ever.
        not_before_ns: CLOCK_MONOTONIC, 0: at once.

        Raises:
            CommandQueueFull: no room in the queue or no free staging slot.
            ValueError: the program is no program or too large.
        """
        slot_bytes = int(lib.MXRC_PROGRAM_SLOT_BYTES)
        header_bytes = ffi.sizeof("struct mxrc_program")
        if not header_bytes <= len(program) <= slot_bytes:
            raise ValueError(
                f"a program has {header_bytes} to {slot_bytes} bytes, not {len(program)}"
            )
        if not self.free:
            raise CommandQueueFull("the command queue to RT is full")
        slot = self._free_slot()
        # Nobody reads the slot: its last command is consumed. The release store of the queue's
        # head publishes it.
        ffi.memmove(self._staging + slot, program, len(program))
        header = ffi.from_buffer("struct mxrc_program *", program)
        fields = {
            "kind": int(CommandKind.TASK_START),
            "execution_id": execution_id,
            "program": slot,
            "program_bytes": len(program),
            "program_crc": int(header.crc),
            "axes": int(header.axes),
            "not_before_ns": not_before_ns,
            "task_id": from_text(task_id, TEXT_BYTES),
        }
        number = self._send(fields, trace)
        self._used_by[slot] = number
        return number

    def _free_slot(self) -> int:
        consumed = self.consumed
        for slot, number in enumerate(self._used_by):
            if number < consumed:
                return slot
        raise CommandQueueFull(f"all {len(self._used_by)} staging slots wait for RT")

    def _send(self, fields: dict[str, Any], trace: CommandTrace | None) -> int:
        fields["time_ns"] = int(lib.mxrc_now_ns())
        if trace is not None:
            fields["trace_id"] = trace.trace_id
            fields["span_id"] = trace.span_id
            fields["trace_flags"] = trace.flags
        command = ffi.new("struct mxrc_command *", fields)
        number = ffi.new("uint64_t *")
        result = lib.mxrc_command_send(self._raw, command, number)
        if result == errno.EAGAIN:
            raise CommandQueueFull("the command queue to RT is full")
        if result:
            raise MxrcError(f"the command could not be sent: {system_error(result)}")
        return int(number[0])
