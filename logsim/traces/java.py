"""A Java stack trace, printed by the rules of java.lang.Throwable.printStackTrace.

A cause prints only the frames that it does not share with the trace around it, then `... N more`,
where N is the number of frames at the end that both have (JDK source: printEnclosedStackTrace).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thrown:
    """One exception of a chain, outermost first.

    `frames` are the frames of its own, innermost first, without `at`. The first exception of a
    chain lists its whole stack. A cause lists down to the call that failed in the method that
    wrapped it; below that it shares the stack of the exception around it, except for the top
    `wrapped_in` frames of that one: by default one, the line that threw the wrapper.
    """

    type: str
    message: str
    frames: tuple[str, ...]
    wrapped_in: int = 1

    @property
    def text(self) -> str:
        return f"{self.type}: {self.message}"


def full_stacks(chain: Sequence[Thrown]) -> list[tuple[str, ...]]:
    """The whole stack of every exception of the chain, innermost frame first."""
    stacks = [chain[0].frames]
    for cause in chain[1:]:
        stacks.append(cause.frames + stacks[-1][cause.wrapped_in :])
    return stacks


def java_trace(chain: Sequence[Thrown]) -> tuple[str, ...]:
    """The lines of the printed trace of `chain`, outermost exception first."""
    stacks = full_stacks(chain)
    lines = [chain[0].text, *(f"\tat {frame}" for frame in stacks[0])]
    for cause, stack, enclosing in zip(chain[1:], stacks[1:], stacks, strict=False):
        common = _common_tail(stack, enclosing)
        lines.append(f"Caused by: {cause.text}")
        lines.extend(f"\tat {frame}" for frame in stack[: len(stack) - common])
        if common:
            lines.append(f"\t... {common} more")
    return tuple(lines)


def _common_tail(stack: tuple[str, ...], enclosing: tuple[str, ...]) -> int:
    common = 0
    for inner, outer in zip(reversed(stack), reversed(enclosing), strict=False):
        if inner != outer:
            break
        common += 1
    return common
