"""Which boot of the machine this is: times of CLOCK_MONOTONIC mean nothing in another."""

from __future__ import annotations

from pathlib import Path


def boot_id() -> str:
    """32 hexadecimal digits as in the segment's header; zeros where unknown."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        return "0" * 32
    return text.strip().replace("-", "")
