"""The system's libnuma, loaded when it is needed: set_mempolicy(2), mbind(2), move_pages(2)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

import cffi

from shared.config.models.numa_binding import MemoryPolicy

_DECLARATIONS: Final = """
int numa_available(void);
long get_mempolicy(int *mode, unsigned long *nodemask, unsigned long maxnode, void *address,
                   unsigned flags);
long set_mempolicy(int mode, const unsigned long *nodemask, unsigned long maxnode);
long mbind(void *start, unsigned long bytes, int mode, const unsigned long *nodemask,
           unsigned long maxnode, unsigned flags);
long move_pages(int pid, unsigned long count, void **pages, const int *nodes, int *status,
                int flags);
"""
_WORDS: Final = 16
_WORD_BITS: Final = 64
MAX_NODES: Final = _WORDS * _WORD_BITS
_MOVE: Final = 2  # MPOL_MF_MOVE: pages that only this process maps
_MOVE_ALL: Final = 4  # MPOL_MF_MOVE_ALL: needs CAP_SYS_NICE
# numbers of the MPOL_... modes, linux/mempolicy.h
_DEFAULT: Final = 0
_PREFERRED: Final = 1
_BIND: Final = 2
_INTERLEAVE: Final = 3
_LOCAL: Final = 4
_NAMES: Final[dict[int, MemoryPolicy]] = {
    _DEFAULT: "LOCAL",
    _PREFERRED: "PREFERRED",
    _BIND: "BIND",
    _INTERLEAVE: "INTERLEAVE",
    _LOCAL: "LOCAL",
}


MODES: Final[dict[MemoryPolicy, int]] = {
    "LOCAL": _DEFAULT,
    "PREFERRED": _PREFERRED,
    "BIND": _BIND,
    "INTERLEAVE": _INTERLEAVE,
}


class NumaUnavailableError(Exception):
    """No memory policy can be set here. what, fix: one line each."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}: {fix}")
        self.what = what
        self.fix = fix


class Numa(Protocol):
    """Memory policy of the calling thread and of ranges; errors of the kernel are OSError."""

    def set_policy(self, policy: MemoryPolicy, nodes: Iterable[int]) -> None:
        """For pages that the thread, and threads that it makes later, touch first.

        nodes: those of BIND and INTERLEAVE; the one of PREFERRED; none for LOCAL.
        """

    def policy(self) -> tuple[MemoryPolicy | None, frozenset[int]]:
        """What is in force for the calling thread; None: a policy not known here."""

    def bind_range(self, address: int, size: int, node: int, *, move: bool) -> None:
        """Prefer `node` for a range of whole pages; move: also pages that only we map."""

    def nodes_of(self, addresses: Sequence[int]) -> list[int]:
        """Node of each page, or a negative errno (absent: -2)."""

    def move(self, addresses: Sequence[int], node: int, *, shared: bool) -> list[int]:
        """Move pages; node of each then, or a negative errno. shared: also what others map."""


def _load() -> tuple[Any, Any]:
    ffi = cffi.FFI()
    ffi.cdef(_DECLARATIONS)
    try:
        return ffi, ffi.dlopen("libnuma.so.1")
    except OSError:
        raise NumaUnavailableError(
            "libnuma is not installed, no memory policy is set", "install libnuma1 (numactl)"
        ) from None


class LibNuma:
    """libnuma.so.1 of this machine."""

    def __init__(self) -> None:
        """Raises NumaUnavailableError."""
        self._ffi, self._lib = _load()
        if self._lib.numa_available() < 0:
            raise NumaUnavailableError(
                "this kernel has no NUMA support, or a filter forbids it: no memory policy is set",
                "use a kernel with CONFIG_NUMA, and allow set_mempolicy, mbind and move_pages",
            )

    def set_policy(self, policy: MemoryPolicy, nodes: Iterable[int]) -> None:
        mode = MODES[policy]
        if mode == _DEFAULT:
            self._check(self._lib.set_mempolicy(mode, self._ffi.NULL, 0))
        else:
            self._check(self._lib.set_mempolicy(mode, self._mask(nodes), MAX_NODES))

    def policy(self) -> tuple[MemoryPolicy | None, frozenset[int]]:
        mode, mask = self._ffi.new("int *"), self._mask(())
        self._check(self._lib.get_mempolicy(mode, mask, MAX_NODES, self._ffi.NULL, 0))
        nodes = frozenset(
            node for node in range(MAX_NODES) if mask[node // _WORD_BITS] >> node % _WORD_BITS & 1
        )
        return _NAMES.get(mode[0]), nodes

    def bind_range(self, address: int, size: int, node: int, *, move: bool) -> None:
        start = self._ffi.cast("void *", address)
        flags = _MOVE if move else 0
        self._check(self._lib.mbind(start, size, _PREFERRED, self._mask([node]), MAX_NODES, flags))

    def nodes_of(self, addresses: Sequence[int]) -> list[int]:
        return self._move(addresses, self._ffi.NULL, 0)

    def move(self, addresses: Sequence[int], node: int, *, shared: bool) -> list[int]:
        nodes = self._ffi.new("int[]", [node] * len(addresses))
        return self._move(addresses, nodes, _MOVE_ALL if shared else _MOVE)

    def _move(self, addresses: Sequence[int], nodes: Any, flags: int) -> list[int]:
        if not addresses:
            return []
        pages = self._ffi.new("void *[]", [self._ffi.cast("void *", one) for one in addresses])
        status = self._ffi.new("int[]", len(addresses))
        # A positive result is a number of pages that were not moved: the status says which.
        if self._lib.move_pages(0, len(addresses), pages, nodes, status, flags) < 0:
            self._check(-1)
        return list(status)

    def _mask(self, nodes: Iterable[int]) -> Any:
        mask = self._ffi.new("unsigned long[]", _WORDS)
        for node in nodes:
            mask[node // _WORD_BITS] |= 1 << node % _WORD_BITS
        return mask

    def _check(self, result: int) -> None:
        if result:
            number = self._ffi.errno
            raise OSError(number, os.strerror(number))
