"""datastore.json: the named, typed values in shared memory."""

from __future__ import annotations

import re
from typing import Literal, TypeGuard

from pydantic import model_validator

from shared.config.base import ConfigFile, ConfigModel, Fault, refuse, setting
from shared.config.models.names import Name

MAX_KEYS = 256
MAX_STRING_BYTES = 63
MAX_VECTOR = 16
INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1

Value = bool | int | float | str | tuple[float, ...]

_TYPE_PATTERN = r"^(bool|int64|double|string|double\[([1-9]|1[0-6])\])$"
_VECTOR = re.compile(r"double\[(\d+)\]")


def _number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class DataStoreKey(ConfigModel):
    """A named, typed value: who writes it, what it may hold."""

    name: Name = setting(
        meaning="Name in the API, the tasks and the inspector.",
        trouble="Two keys of one name are refused.",
    )
    type: str = setting(
        pattern=_TYPE_PATTERN,
        allowed=f"bool, int64, double, double[N] with N from 1 to {MAX_VECTOR}, or string",
        meaning=f"Type; a string has at most {MAX_STRING_BYTES} bytes of UTF-8.",
        trouble="A value of another type is refused where it is written.",
    )
    unit: str = setting(
        "",
        max_length=15,
        meaning="Unit for people, such as mm or degC; converts nothing.",
        trouble="Nothing.",
    )
    default: bool | int | float | str | tuple[float, ...] | None = setting(
        None,
        meaning="Value at a clean start; null: false, 0, zeros or an empty string.",
        trouble="It has to be of `type` and within min and max.",
    )
    writer: Literal["rt", "nonrt"] = setting(
        meaning="The side that writes it: tasks and control laws (rt) or the API (nonrt).",
        trouble="A write from the other side is refused.",
    )
    critical: bool = setting(
        False,
        meaning="Goes into checkpoints and comes back after a recovery.",
        trouble="false: after a cold start it has its default again.",
    )
    min: int | float | None = setting(
        None,
        meaning="Lowest value allowed; numbers only, each element of a vector.",
        trouble="A lower value is refused where it is written.",
    )
    max: int | float | None = setting(
        None,
        meaning="Highest value allowed; numbers only, each element of a vector.",
        trouble="A higher value is refused where it is written.",
    )

    @property
    def elements(self) -> int:
        """Number of values: N for double[N], else 1."""
        match = _VECTOR.fullmatch(self.type)
        return int(match.group(1)) if match else 1

    @property
    def initial(self) -> Value:
        """The value at a clean start: `default`, or the zero of the type."""
        if self.default is not None:
            return float(self.default) if self.type == "double" else self.default  # type: ignore[arg-type]
        if _VECTOR.fullmatch(self.type):
            return (0.0,) * self.elements
        zeros: dict[str, Value] = {"bool": False, "int64": 0, "double": 0.0, "string": ""}
        return zeros[self.type]

    def refusal(self, value: object) -> str | None:
        """Why `value` may not be stored under this key ("must be ..."), or None if it may."""
        if self.type == "bool":
            return None if isinstance(value, bool) else "must be true or false"
        if self.type == "string":
            if isinstance(value, str) and len(value.encode("utf-8", "replace")) <= MAX_STRING_BYTES:
                return None
            return f"must be a string of at most {MAX_STRING_BYTES} bytes"
        if self.type == "int64":
            if not isinstance(value, int) or isinstance(value, bool):
                return "must be an integer"
            if not INT64_MIN <= value <= INT64_MAX:
                return "must be an integer of 64 bits"
            return self._limit_refusal((value,))
        if self.type == "double":
            return self._limit_refusal((value,)) if _number(value) else "must be a number"
        if (
            not isinstance(value, (list, tuple))
            or len(value) != self.elements
            or not all(map(_number, value))
        ):
            return f"must be a list of {self.elements} numbers"
        return self._limit_refusal(value)

    def _limit_refusal(self, values: tuple[float, ...] | list[float]) -> str | None:
        low = float("-inf") if self.min is None else self.min
        high = float("inf") if self.max is None else self.max
        # A comparison with NaN is false, so that NaN is refused too.
        if all(low <= value <= high and abs(value) != float("inf") for value in values):
            return None
        return f"must be a finite number from {low} to {high}"

    def faults(self) -> list[Fault]:
        """Rules between the fields of one key."""
        faults = []
        if self.type in ("bool", "string"):
            faults = [
                Fault((bound,), f"must be left out with type {self.type}")
                for bound in ("min", "max")
                if getattr(self, bound) is not None
            ]
        elif self.min is not None and self.max is not None and self.min > self.max:
            faults = [Fault(("min",), f"must not be above max ({self.max})")]
        chosen = self.initial if self.default is None else self.default
        if not faults and (reason := self.refusal(chosen)):
            hint = "null stands for zero, which is out of range here; give a default"
            faults = [Fault(("default",), reason, hint if self.default is None else "")]
        return faults


class DataStoreConfig(ConfigFile):
    """The named, typed values in shared memory."""

    keys: tuple[DataStoreKey, ...] = setting(
        (),
        max_length=MAX_KEYS,
        meaning="The keys; a handle is an index into this list.",
        trouble=f"At most {MAX_KEYS}: the region in the segment is of a fixed size.",
    )

    @property
    def by_name(self) -> dict[str, DataStoreKey]:
        """Name of each key -> the key."""
        return {key.name: key for key in self.keys}

    @model_validator(mode="after")
    def _rules(self) -> DataStoreConfig:
        faults = []
        names: set[str] = set()
        for index, key in enumerate(self.keys):
            place = ("keys", index)
            faults += [fault._replace(loc=place + fault.loc) for fault in key.faults()]
            if key.name in names:
                faults.append(Fault((*place, "name"), "must be a name that no other key has"))
            names.add(key.name)
        if faults:
            refuse(*faults)
        return self
