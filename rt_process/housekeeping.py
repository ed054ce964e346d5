"""What the main thread does while the RT thread runs: every 50 ms, nothing that RT waits for.

Signals: SIGTERM and SIGINT ask the executive to STOP, SIGHUP reads the configuration again. The
watchdog of the service manager is fed only while the RT thread moves: cycles of the PRIMARY, turns
of a STANDBY's watch loop.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from rt_process.notify import Notifier
from shared.clock import Clock
from shared.core import ffi, lib
from shared.documents import admin_requested, read_admin_request, write_member_document
from shared.enums import Role, RtEvent, RtState, name_of
from shared.events import message_id
from shared.segment import Segment

TURN_S: Final = 0.05
CLOCK_NS: Final = 1_000_000_000
STATUS_NS: Final = 5_000_000_000
STOP_LIMIT_NS: Final = 10_000_000_000


class Thread(Protocol):
    """The part of Executive that is needed here."""

    def running(self) -> bool: ...

    def post(self, event: RtEvent) -> bool: ...

    def hand_over(self, pid: int) -> str: ...


class Board(Protocol):
    """What the main thread reads and writes in the segment."""

    def heartbeat_ns(self) -> int:
        """Of the RT thread."""

    def is_primary(self) -> bool: ...

    def state(self) -> str: ...

    def cycle(self) -> int: ...

    def beat(self, now_ns: int) -> None:
        """Heartbeat of the main thread."""

    def update_clock(self) -> None: ...

    def segment_current(self) -> bool:
        """Whether the segment is still the one of its name."""

    def log(self, message: str, *args: float) -> None: ...

    def write_document(self, document: dict[str, Any]) -> None: ...

    def admin_request(self) -> tuple[int, dict[str, Any]] | None: ...

    def answer(self, number: int) -> None: ...


class Housekeeping:
    """One turn at a time.

    document: content of the member document.
    reload: reads the configuration again, puts in force what may change; returns lines to print.
    change: puts changed settings in force (merge patches by file stem): whether, and what came.
    upkeep: keeps the placement in force, given the time; True: the member document has news.
    watch: looks after the other process, given the time; only while this one is PRIMARY.
    next_signal: waits up to so many seconds for a signal (shared.signals).
    say: prints lines for a person. on_ready: called once, when the RT thread moves.
    on_promotion: called when this process, a STANDBY so far, has become PRIMARY.
    """

    def __init__(
        self,
        thread: Thread,
        board: Board,
        clock: Clock,
        notifier: Notifier,
        *,
        document: Callable[[], dict[str, Any]],
        reload: Callable[[], str],
        next_signal: Callable[[float], int | None],
        say: Callable[[str], None],
        on_ready: Callable[[], None],
        on_promotion: Callable[[], None] = lambda: None,
        watch: Callable[[int], None] = lambda _now_ns: None,
        watchdog_ns: int | None = None,
        change: Callable[[dict[str, Any]], tuple[bool, str]] = lambda _settings: (False, "cannot"),
        upkeep: Callable[[int], bool] = lambda _now_ns: False,
    ) -> None:
        self._thread = thread
        self._board = board
        self._clock = clock
        self._notifier = notifier
        self._document = document
        self._reload = reload
        self._next_signal = next_signal
        self._say = say
        self._on_ready = on_ready
        self._on_promotion = on_promotion
        self._primary = board.is_primary()
        self._watch = watch
        self._watchdog_ns = watchdog_ns
        self._change = change
        self._upkeep = upkeep
        self._stop_since_ns: int | None = None
        self._stop_posted = False
        self._ready = False
        self._seen_heartbeat = 0
        self._fed_ns = 0
        self._clock_ns = 0
        self._status_ns = -STATUS_NS
        # The one before stays, too: whoever asked for that may read a moment later.
        self._admin: deque[dict[str, Any]] = deque(maxlen=2)
        self.stepping_down = False

    def run(self) -> bool:
        """Until the RT thread has ended: True. False: it was asked to stop and did not, or this
        process steps down: it has to end at once, whatever the RT thread does.
        """
        while self._thread.running():
            self.turn()
            if self.stepping_down or self._stop_overdue():
                return False
        return True

    def turn(self) -> None:
        """Wait for a signal for at most TURN_S, then do what is due."""
        number = self._next_signal(TURN_S)
        now_ns = self._clock.monotonic_ns()
        if number is not None:
            self._signal(number, now_ns)
        self._board.beat(now_ns)
        if self._upkeep(now_ns):
            self.publish()
        if self._stop_since_ns is not None and not self._stop_posted:
            self._stop_posted = self._thread.post(RtEvent.STOP)
        if not self._ready:
            self._look_for_ready()
        else:
            self._look_at_role()
        self._feed_watchdog(now_ns)
        if now_ns - self._clock_ns >= CLOCK_NS:
            self._clock_ns = now_ns
            if self._board.is_primary():
                self._board.update_clock()
        if now_ns - self._status_ns >= STATUS_NS:
            self._status_ns = now_ns
            role = "PRIMARY" if self._board.is_primary() else "STANDBY"
            cycle = self._board.cycle()
            self._notifier.notify(f"STATUS={role}, {self._board.state()}, cycle {cycle}")
        if not self.stopping and not self._board.segment_current():
            # Whoever starts now makes another segment and is PRIMARY of that one.
            self._step_down("SEGMENT_LOST", "the segment was removed or replaced: stepping down")
        if self._board.is_primary():
            self._watch(now_ns)
        self._administer()

    @property
    def stopping(self) -> bool:
        return self._stop_since_ns is not None

    def publish(self) -> None:
        """Write the member document anew."""
        document = self._document()
        if self._admin:
            document["admin"] = list(self._admin)
        self._board.write_document(document)

    def _look_for_ready(self) -> None:
        if not self._board.heartbeat_ns():
            return
        self._ready = True
        self._on_ready()
        self._notifier.notify("READY=1")

    def _look_at_role(self) -> None:
        primary = self._board.is_primary()
        before, self._primary = self._primary, primary
        if primary == before:
            return
        if primary:
            self._on_promotion()
        self._status_ns = -STATUS_NS
        self.publish()

    def _signal(self, number: int, now_ns: int) -> None:
        name = signal.Signals(number).name
        if number == signal.SIGHUP:
            self._notifier.notify(f"RELOADING=1\nMONOTONIC_USEC={now_ns // 1000}")
            self._say(f"{name}: {self._reload()}")
            self.publish()
            self._notifier.notify("READY=1")
        elif number == signal.SIGUSR1:
            pass  # meant for the Non-RT process, which writes the log files; no reason to stop
        elif self._stop_since_ns is None:
            self._stop_since_ns = now_ns
            self._notifier.notify("STOPPING=1")
            self._board.log("MAIN_STOPPING", number)
            self._say(f"{name}: stopping")

    def _stop_overdue(self) -> bool:
        since = self._stop_since_ns
        return since is not None and self._clock.monotonic_ns() - since > STOP_LIMIT_NS

    def _feed_watchdog(self, now_ns: int) -> None:
        if self._watchdog_ns is None or now_ns - self._fed_ns < self._watchdog_ns // 2:
            return
        heartbeat = self._board.heartbeat_ns()
        if heartbeat != self._seen_heartbeat:
            self._seen_heartbeat = heartbeat
            self._fed_ns = now_ns
            self._notifier.notify("WATCHDOG=1")

    def _administer(self) -> None:
        request = self._board.admin_request()
        if request is None:
            return
        number, content = request
        operation = content.get("operation")
        if operation == "reload":
            message, ok = self._reload(), True
        elif operation == "change":
            settings = content.get("settings")
            ok, message = self._change(settings if isinstance(settings, dict) else {})
            self._say(f"changed over HTTP: {message}")
        elif operation == "step_down":
            message, ok = "stepping down", True
            self._step_down("STEPPING_DOWN", "asked to step down")
        elif operation == "handover" and isinstance(content.get("to"), int):
            refusal = self._thread.hand_over(content["to"])
            message, ok = refusal or "handing over", not refusal
        else:
            known = "reload, step_down, handover (to: pid)"
            message, ok = f"unknown operation {operation!r:.40}; there is: {known}", False
        self._admin.append({"number": number, "ok": ok, "message": message})
        self.publish()
        self._board.answer(number)

    def _step_down(self, message: str, line: str) -> None:
        if not self.stepping_down:
            self.stepping_down = True
            self._board.log(message)
            self._say(line)


class SegmentBoard:
    """Board in the segment."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._member = segment.member_struct(segment.member)
        self._status = segment.rt_status
        self._answered = admin_requested(segment)

    def heartbeat_ns(self) -> int:
        return int(self._member.heartbeat_ns)

    def is_primary(self) -> bool:
        return bool(self._member.role == Role.PRIMARY)

    def state(self) -> str:
        return name_of(RtState, self._status.state)

    def cycle(self) -> int:
        return int(self._status.cycle)

    def beat(self, now_ns: int) -> None:
        self._member.main_heartbeat_ns = now_ns

    def update_clock(self) -> None:
        lib.mxrc_clock_update(self._segment.raw)

    def segment_current(self) -> bool:
        return self._segment.current()

    def log(self, message: str, *args: float) -> None:
        values = ffi.new("double[]", list(args) or [0.0])
        lib.mxrc_main_log(self._segment.raw, message_id(message), values, len(args))

    def write_document(self, document: dict[str, Any]) -> None:
        write_member_document(self._segment, document)

    def admin_request(self) -> tuple[int, dict[str, Any]] | None:
        if not self.is_primary():
            # Asked of another PRIMARY: not to be done once more by this one.
            self._answered = admin_requested(self._segment)
            return None
        return read_admin_request(self._segment, self._answered)

    def answer(self, number: int) -> None:
        self._answered = number
        self._member.admin_reply = number
