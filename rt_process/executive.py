"""The C executive as the main thread sees it."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import Any

from shared.core import ERROR_BYTES, MxrcError, error_buffer, ffi, lib, to_text
from shared.enums import NameKind, RegionId, RtEvent
from shared.segment import Segment

_APPLY_TRIES = 100
_APPLY_PAUSE_S = 0.002
_HANDOVER = {
    errno.EINVAL: "no warm STANDBY has that pid",
    errno.EBUSY: "another hand-over is under way",
    errno.EPERM: "this process is not PRIMARY",
}


class ExecutiveError(MxrcError):
    """The executive could not be made or started; the message is the core's."""


class ExecutiveRefused(ExecutiveError):
    """Configuration, law and driver do not fit together."""


class Executive:
    """One RT thread. Used by the main thread only."""

    def __init__(self, segment: Segment, config: Any) -> None:
        """Takes a struct mxrc_exec_config *; raises ExecutiveRefused."""
        self._of = segment
        self._segment = segment.raw  # the thread works in it: it must stay mapped
        self._live: Any = None
        self._make(config)

    def _make(self, config: Any) -> None:
        error = error_buffer()
        self._config = config
        if config.law != ffi.NULL:  # 0 where the generation was made without that name
            config.law_name = lib.mxrc_name_intern(
                self._segment, int(RegionId.NAMES_RT), int(NameKind.LAW), config.law.name
            )
        for law in config.task_law:
            if law.law != ffi.NULL:
                law.text = lib.mxrc_name_intern(
                    self._segment, int(RegionId.NAMES_RT), int(NameKind.LAW), law.name
                )
        for entry in config.entry[0 : config.entry_count]:
            entry.text = lib.mxrc_name_intern(
                self._segment, int(RegionId.NAMES_RT), int(NameKind.ENTRY), entry.name
            )
        self._exec = lib.mxrc_exec_new(self._segment, config, error, ERROR_BYTES)
        if self._exec == ffi.NULL:
            raise ExecutiveRefused(to_text(error))

    def state_usable(self) -> bool:
        """Before start: whether the segment has a valid state block to go on from: it is newer than
        any checkpoint.
        """
        return bool(lib.mxrc_exec_state_usable(self._exec))

    def restore(self, restore: Any, say: Callable[[str], None]) -> bool:
        """Before start: a struct mxrc_exec_restore * to go on from where the segment has no state.

        False: it is not taken, and the core's reason was said; a clean start then.
        """
        error = error_buffer()
        if lib.mxrc_exec_restore(self._exec, restore, error, ERROR_BYTES):
            say(to_text(error))
            return False
        return True

    def start(self) -> str:
        """Create the RT thread: PRIMARY, or STANDBY where there is one.

        Returns what of its placement could not be had, "" for nothing.

        Raises:
            ExecutiveError: the core's reason.
        """
        error = error_buffer()
        result = lib.mxrc_exec_start(self._exec, error, ERROR_BYTES)
        if result:
            raise ExecutiveError(to_text(error))
        return to_text(error)

    def running(self) -> bool:
        """False once the thread has ended."""
        return bool(lib.mxrc_exec_running(self._exec))

    def result(self) -> int:
        """0: ended by STOP, else an errno. EAGAIN: handed over; ESTALE: taken over from."""
        return int(lib.mxrc_exec_result(self._exec))

    def reason(self) -> str:
        """Of the result, in words; "" when the core has none."""
        return str(ffi.string(lib.mxrc_exec_reason(self._exec)).decode(errors="replace"))

    def hand_over(self, pid: int) -> str:
        """Ask the thread, the PRIMARY's, to hand over to the STANDBY `pid`: "" or why not."""
        for member in range(self._of.max_members):
            if int(self._of.member_struct(member).pid) == pid:
                result = lib.mxrc_handover_request(self._exec, member)
                return _HANDOVER.get(result, "")
        return _HANDOVER[errno.EINVAL]

    def renew(self, config: Any) -> None:
        """After a hand-over: another RT thread, which is STANDBY.

        Raises:
            ExecutiveError: the core's reason.
        """
        self.free()
        self._make(config)
        if self._live is not None:
            self.apply(self._live)
        self.start()

    def post(self, event: RtEvent) -> bool:
        """Ask for an RT event; False: an earlier one has not been taken yet."""
        return bool(lib.mxrc_exec_post(self._exec, int(event)) == 0)

    def apply(self, live: Any) -> None:
        """Put a struct mxrc_exec_live * in force at the next cycle; waits for an earlier one.

        Raises:
            ExecutiveError: no cycle took the earlier one.
        """
        for _ in range(_APPLY_TRIES):
            result = lib.mxrc_exec_apply(self._exec, live)
            if result != errno.EAGAIN:
                break
            time.sleep(_APPLY_PAUSE_S)
        if result:
            raise ExecutiveError("the RT thread does not take over new settings")
        self._live = live

    def join(self, timeout_s: float) -> bool:
        """Whether the thread ended in time."""
        return bool(lib.mxrc_exec_join(self._exec, round(timeout_s * 1000)) == 0)

    def free(self) -> None:
        """After the thread has ended."""
        lib.mxrc_exec_free(self._exec)
        self._exec = ffi.NULL
