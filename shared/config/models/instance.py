"""instance.json: the name of this instance, its folders, and the sizes of its segment."""

from __future__ import annotations

import os
from typing import Any

from pydantic import model_validator

from shared.config.base import ConfigFile, Fault, refuse, setting
from shared.config.models.names import DirectoryPath, InstanceName


def _directory(what: str, system: str, user: str) -> Any:
    return setting(
        None,
        meaning=f"Folder of {what}. null: {system} for a system service, else {user}.",
        trouble=(
            "Not writable: the program names the folder and stops; create it and give it to the "
            "user that mxrc runs as, or choose another."
        ),
    )


def _slots(default: int, what: str, maximum: int, bytes_each: int) -> Any:
    return setting(
        default,
        ge=256,
        le=maximum,
        allowed=f"a power of two from 256 to {maximum}",
        meaning=f"Slots of {what} ({bytes_each} bytes each in shared memory).",
        trouble=(
            "Too few: a reader that was away loses records (counted and logged). Too many: "
            "/dev/shm is too small and creating the segment is refused with the size."
        ),
    )


class InstanceConfig(ConfigFile):
    """Which instance this is, where its files are, how large its segment is."""

    instance: InstanceName | None = setting(
        None,
        meaning="Name of the instance; the segment is /dev/shm/mxrc-<instance>. null: u<uid>.",
        trouble=(
            "Two instances of one name share a segment: the second start attaches as a standby "
            "or is refused. Give each its own name."
        ),
    )
    run_dir: DirectoryPath | None = _directory(
        "the lock file and the endpoints file",
        "/run/mxrc",
        "$XDG_RUNTIME_DIR/mxrc or /tmp/mxrc-<uid>",
    )
    log_dir: DirectoryPath | None = _directory(
        "the log files", "/var/log/mxrc", "~/.local/state/mxrc/log"
    )
    checkpoint_dir: DirectoryPath | None = _directory(
        "the checkpoints", "/var/mxrc/checkpoints", "~/.local/state/mxrc/checkpoints"
    )
    data_dir: DirectoryPath | None = _directory(
        "the task journal and the local stores", "/var/lib/mxrc", "~/.local/state/mxrc/data"
    )
    cycle_ring_slots: int = _slots(16384, "the cycle ring", 1 << 20, 256)
    event_ring_slots: int = _slots(16384, "each event lane", 1 << 20, 256)
    command_slots: int = _slots(1024, "the command queue", 1 << 16, 256)
    max_rt_processes: int = setting(
        2,
        ge=1,
        le=8,
        meaning="RT processes that may be attached at once: the primary and its standbys.",
        trouble="One more than this is refused at start; raise it and restart the instance.",
    )

    @property
    def name(self) -> str:
        """Name of the instance: configured, or one per user."""
        return self.instance or f"u{os.getuid()}"

    @model_validator(mode="after")
    def _powers_of_two(self) -> InstanceConfig:
        faults = [
            Fault((field,), "must be a power of two", f"use {1 << (value - 1).bit_length()}")
            for field in ("cycle_ring_slots", "event_ring_slots", "command_slots")
            if (value := getattr(self, field)) & (value - 1)
        ]
        if faults:
            refuse(*faults)
        return self
