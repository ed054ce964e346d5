"""What a user would pick instead, carrying the same 256 bytes between two Python processes.

Each way is used as its documentation shows. What is in shared memory is polled, what is in the
kernel is waited for. The sender sleeps 100 us between two records; their first 8 bytes are the time
of sending.
"""

from __future__ import annotations

import ctypes
import importlib
import mmap
import multiprocessing
import os
import secrets
import struct
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.shared_memory import SharedMemory
from typing import Any

from shared.bench.arena import RECORD_BYTES, arena, beside, cpus, pinned
from shared.bench.figures import Figure, median, percentile
from shared.core import ffi, lib, now_ns
from shared.enums import RegionId
from shared.ring import RingReader

PACE_S = 100e-6
REST = bytes(RECORD_BYTES - 8)

Send = Callable[[int], None]
Receive = Callable[[], "int | None"]
"""The time of sending of the next record, None: nothing there (or, where it waits, never)."""


class Way:
    """`open` in the receiver, before the sender exists; `sender` in the sender's process."""

    title = ""

    def __init__(self) -> None:
        self.name = f"mxrc-bench-{os.getpid()}-{secrets.token_hex(3)}"

    def open(self, stack: ExitStack) -> Receive:
        raise NotImplementedError

    def sender(self) -> Send:
        raise NotImplementedError


class Mxrc(Way):
    title = "mxrc ring"

    def open(self, stack: ExitStack) -> Receive:
        self.place = stack.enter_context(arena(16384))
        reader = RingReader(self.place.segment, RegionId.CYCLE_RING)

        def receive() -> int | None:
            if reader.head == reader.cursor:
                return None
            return int(reader.read(1).records["scheduled_ns"][0])

        return receive

    def sender(self) -> Send:
        record = ffi.new("struct mxrc_cycle_record *")
        ring = self.place.first

        def send(stamp: int) -> None:
            record.scheduled_ns = stamp
            lib.mxrc_ring_publish(ring, record)

        return send


class Record(ctypes.Structure):
    _fields_ = (("stamp", ctypes.c_uint64), ("rest", ctypes.c_uint8 * len(REST)))


class Iceoryx2(Way):
    title = "iceoryx2"

    def _service(self) -> Any:
        iox2 = importlib.import_module("iceoryx2")
        iox2.set_log_level(iox2.LogLevel.Error)
        node = iox2.NodeBuilder.new().create(iox2.ServiceType.Ipc)
        return (
            node.service_builder(iox2.ServiceName.new(self.name))
            .publish_subscribe(Record)
            .subscriber_max_buffer_size(16384)
            .open_or_create()
        )

    def open(self, stack: ExitStack) -> Receive:
        subscriber = self._service().subscriber_builder().create()

        def receive() -> int | None:
            sample = subscriber.receive()
            return None if sample is None else int(sample.payload().contents.stamp)

        return receive

    def sender(self) -> Send:
        publisher = self._service().publisher_builder().create()
        record = Record()

        def send(stamp: int) -> None:
            record.stamp = stamp
            publisher.send_copy(record)

        return send


class ZeroMq(Way):
    title = "ZeroMQ ipc"

    def open(self, stack: ExitStack) -> Receive:
        zmq = importlib.import_module("zmq")
        context = stack.enter_context(zmq.Context())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mxrc-bench-"))
        self.address = f"ipc://{folder}/socket"
        socket = context.socket(zmq.PULL)
        socket.set_hwm(0)
        socket.bind(self.address)
        stack.callback(socket.close, 0)
        return lambda: int.from_bytes(socket.recv()[:8], "little")

    def sender(self) -> Send:
        zmq = importlib.import_module("zmq")
        socket = zmq.Context().socket(zmq.PUSH)
        socket.set_hwm(0)
        socket.connect(self.address)
        return lambda stamp: socket.send(stamp.to_bytes(8, "little") + REST)


class LockedMemory(Way):
    title = "shared memory with a lock"
    SLOTS = 4096

    def open(self, stack: ExitStack) -> Receive:
        self.lock = multiprocessing.Lock()
        self.memory = SharedMemory(create=True, size=8 + self.SLOTS * RECORD_BYTES)
        stack.callback(self.memory.unlink)
        stack.callback(self.memory.close)
        buffer = self.memory.buf
        assert buffer is not None
        taken = 0

        def receive() -> int | None:
            nonlocal taken
            with self.lock:
                (head,) = struct.unpack_from("<Q", buffer)
                if head == taken:
                    return None
                at = 8 + taken % self.SLOTS * RECORD_BYTES
                record = bytes(buffer[at : at + RECORD_BYTES])
            taken += 1
            return int.from_bytes(record[:8], "little")

        return receive

    def sender(self) -> Send:
        buffer = self.memory.buf
        assert buffer is not None
        sent = 0

        def send(stamp: int) -> None:
            nonlocal sent
            at = 8 + sent % self.SLOTS * RECORD_BYTES
            with self.lock:
                buffer[at : at + RECORD_BYTES] = stamp.to_bytes(8, "little") + REST
                sent += 1
                struct.pack_into("<Q", buffer, 0, sent)

        return send


class MessageQueue(Way):
    title = "POSIX message queue"

    def open(self, stack: ExitStack) -> Receive:
        posix_ipc = importlib.import_module("posix_ipc")
        queue = posix_ipc.MessageQueue(
            f"/{self.name}", posix_ipc.O_CREX, max_messages=10, max_message_size=RECORD_BYTES
        )
        stack.callback(queue.close)
        stack.callback(queue.unlink)
        return lambda: int.from_bytes(queue.receive()[0][:8], "little")

    def sender(self) -> Send:
        queue = importlib.import_module("posix_ipc").MessageQueue(f"/{self.name}")
        return lambda stamp: queue.send(stamp.to_bytes(8, "little") + REST)


WAYS: tuple[type[Way], ...] = (Mxrc, Iceoryx2, ZeroMq, LockedMemory, MessageQueue)


def compare(rounds: int = 5, count: int = 2000) -> tuple[list[Figure], list[str]]:
    """All ways in turns; the figures, and what could not be measured with the reason."""
    both = cpus()
    if both is None:
        return [], ["other ways: they need two CPUs"]
    sends: dict[str, list[float]] = {}
    p50s: dict[str, list[float]] = {}
    p99s: dict[str, list[float]] = {}
    skipped: dict[str, str] = {}
    for _ in range(rounds):
        for kind in WAYS:
            title = kind.title
            try:
                cost, ways = _measure(kind(), count, *both)
            except (ImportError, OSError) as error:
                skipped[title] = f"{title}: {error} (pip install 'mxrc[bench]')"
                continue
            sends.setdefault(title, []).append(cost)
            p50s.setdefault(title, []).append(percentile(ways, 50))
            p99s.setdefault(title, []).append(percentile(ways, 99))
    figures = []
    for title in sends:
        key = title.replace(" ", "_").lower()
        for what, values in (("send", sends), ("one way p50", p50s), ("one way p99", p99s)):
            name = f"other.{key}.{what.replace(' ', '_')}"
            figures.append(Figure(name, f"{title}, {what}", median(values[title]) / 1000, "us"))
    return figures, list(skipped.values())


def _measure(way: Way, count: int, here: int, there: int) -> tuple[float, list[int]]:
    """Median ns of a send, and ns of `count` ways."""
    shared = mmap.mmap(-1, mmap.PAGESIZE)  # cost of a send; from byte 8 on: stop, stopped
    with ExitStack() as stack:
        # First of all, so that threads which a way starts are where its callers are.
        stack.enter_context(pinned(here))
        receive = way.open(stack)
        with beside(lambda: _send(way, count, shared), there):
            ways: list[int] = []
            give_up = now_ns() + 10_000_000_000
            while len(ways) < count + 100 and now_ns() < give_up:
                stamp = receive()
                if stamp is not None:
                    ways.append(now_ns() - stamp)
            (sent,) = struct.unpack_from("<d", shared)
            shared[8] = 1
            # It lets go of what it shares; the last record was read, so that it is not held up.
            while not shared[9] and now_ns() < give_up:
                time.sleep(0.001)
    if len(ways) < count + 100:
        raise OSError(f"only {len(ways)} of {count + 100} records came within 10 s")
    return sent, ways[100:]  # the first ones find nothing warm


def _send(way: Way, count: int, shared: mmap.mmap) -> None:
    try:
        _send_until_stopped(way, count, shared)  # what it holds is let go of when it returns
    except Exception:
        traceback.print_exc()
        raise
    finally:
        shared[9] = 1


def _send_until_stopped(way: Way, count: int, shared: mmap.mmap) -> None:
    send = way.sender()
    costs: list[int] = []
    while not shared[8]:
        time.sleep(PACE_S)  # also for the threads of a way that has some
        start = now_ns()
        send(start)
        if len(costs) < count // 2:
            costs.append(now_ns() - start)
            struct.pack_into("<d", shared, 0, median(costs[-101:]))
