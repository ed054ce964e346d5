"""Reading /proc and /sys, below a root that a test may choose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shared.config.machine import parse_cpu_list


class KernelFiles:
    """Files by their absolute path ("/proc/cmdline"); what cannot be read is None or empty."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def path(self, name: str | Path) -> Path:
        """Where the file is."""
        return self._root / str(name).lstrip("/")

    def text(self, name: str | Path) -> str | None:
        """Its content without the white space around it."""
        try:
            return self.path(name).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None

    def number(self, name: str | Path) -> int | None:
        """Its content as a decimal number."""
        try:
            return int(self.text(name) or "")
        except ValueError:
            return None

    def cpus(self, name: str | Path) -> frozenset[int]:
        """Its content as a CPU list; empty when it is "(null)" or not one."""
        try:
            return parse_cpu_list(self.text(name) or "")
        except ValueError:
            return frozenset()

    def exists(self, name: str | Path) -> bool:
        """Whether it is there."""
        return self.path(name).exists()

    def names(self, folder: str | Path) -> Iterator[str]:
        """Names in a folder, sorted."""
        try:
            yield from sorted(one.name for one in self.path(folder).iterdir())
        except OSError:
            return

    def boot_parameters(self) -> dict[str, str]:
        """/proc/cmdline by name; a flag has the value ""."""
        words = (self.text("/proc/cmdline") or "").split()
        return {name: value for name, _, value in (word.partition("=") for word in words)}

    def release(self) -> tuple[int, int]:
        """Major and minor version of the kernel; (0, 0) when it does not say."""
        parts = (self.text("/proc/sys/kernel/osrelease") or "").split(".")
        try:
            return int(parts[0]), int("".join(filter(str.isdigit, parts[1].partition("-")[0])))
        except (ValueError, IndexError):
            return 0, 0

    def config(self, option: str) -> bool | None:
        """Whether the kernel was built with CONFIG_<option>; None when it does not say."""
        text = self._config_text()
        if text is None:
            return None
        return f"CONFIG_{option}=y" in text.split()

    def _config_text(self) -> str | None:
        release = self.text("/proc/sys/kernel/osrelease") or ""
        for name in (f"/boot/config-{release}", f"/lib/modules/{release}/config"):
            text = self.text(name)
            if text is not None:
                return text
        try:
            raw = self.path("/proc/config.gz").read_bytes()
        except OSError:
            return None
        import gzip
        import zlib

        try:
            return gzip.decompress(raw).decode("ascii", "replace")
        except (OSError, EOFError, zlib.error):
            return None
