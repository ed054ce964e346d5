"""What is wrong with a configuration, in a form that a person can act on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

EX_CONFIG: Final = 78
"""Exit status of a program that refuses its configuration (sysexits.h)."""

Loc = tuple[str | int, ...]
"""Place of a value inside a JSON document: keys and list indices from the root."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def json_path(loc: Loc) -> str:
    """`("axes", 0, "home")` as a JSONPath (RFC 9535): `$.axes[0].home`."""
    out = "$"
    for part in loc:
        if isinstance(part, int):
            out += f"[{part}]"
        elif _PLAIN_KEY.match(part):
            out += f".{part}"
        else:
            quoted = part.encode("unicode_escape").decode("ascii").replace('"', '\\"')
            out += f'["{quoted}"]'
    return out


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    file: the file, or the environment variable, that holds the value.
    json_path: where in it (`$.period_us`), or a line and column, or empty for the file itself.
    value: what was found there, as JSON text or in words; empty when `allowed` says all.
    allowed: a phrase that says what has to be there ("must be ...").
    hint: what to do about it; may be empty.
    step: in a task definition the step, with the blocks around it; may be empty.
    """

    file: str
    json_path: str
    value: str
    allowed: str
    hint: str = ""
    step: str = ""

    def __str__(self) -> str:
        where = f"{self.file}: {self.json_path}" if self.json_path else self.file
        step = f" (step {self.step})" if self.step else ""
        found = f"found {self.value}: " if self.value else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{step}: {found}{self.allowed}{hint}"


class ConfigError(Exception):
    """A configuration was refused; `problems` (at least one) says why, `str()` one line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Final = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))
