"""Compiled programs, kept: a definition that is started again is not compiled again."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.program import Program, renamed

MAX_KEPT: Final = 256
"""Programs; one has 16 KiB at most."""


@dataclass(frozen=True, slots=True)
class _Kept:
    program: Program
    made_for: tuple[object, ...]


class Programs:
    """The programs used last. A program is that of a definition as text, a mode, parameters.

    made_for: what else went into it (robot, keys of a generation), compared by identity: none of
    them changes, they are replaced.
    """

    def __init__(self, most: int = MAX_KEPT) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, str], _Kept] = OrderedDict()

    def find(
        self,
        document: str,
        mode: str,
        parameters: Mapping[str, Any],
        made_for: tuple[object, ...],
    ) -> Program | None:
        """The kept program under whatever name it has; None: it is not kept."""
        key = _key(document, mode, parameters)
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or not _same(kept.made_for, made_for):
                return None
            self._kept.move_to_end(key)
            return kept.program

    def get(
        self,
        document: str,
        mode: str,
        parameters: Mapping[str, Any],
        made_for: tuple[object, ...],
        task_id: str,
        make: Callable[[], Program],
    ) -> Program:
        """The program under the name `task_id`: a kept one, or what `make` makes of it.

        Raises:
            ProgramError: of `make`, which is not kept, or of the name.
        """
        kept = self.find(document, mode, parameters, made_for)
        if kept is not None:
            return renamed(kept, task_id)
        key = _key(document, mode, parameters)
        program = make()
        with self._lock:
            self._kept[key] = _Kept(program, made_for)
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return program


def _key(document: str, mode: str, parameters: Mapping[str, Any]) -> tuple[str, str, str]:
    return document, mode, json.dumps(parameters, sort_keys=True) if parameters else "{}"


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
