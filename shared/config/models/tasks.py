"""tasks/*.json: task definitions, one a file. A Task runs one Sequence of Actions."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from shared.config.base import ConfigFile, ConfigModel, Fault, refuse, setting
from shared.config.errors import Loc
from shared.config.models.actions import Failing, Hold, Recovery, Wait
from shared.config.models.blocks import MAX_STEPS, Action, Block, Parallel, Steps, bodies, walk
from shared.config.models.conditions import Trigger
from shared.config.models.names import Name, TaskId, TaskPattern
from shared.config.models.parameters import (
    MAX_NUMBER,
    MAX_TEXT,
    Parameter,
    parameter_of,
    references,
    substituted,
)

ParameterValue = (
    bool
    | Annotated[int, Field(ge=-int(MAX_NUMBER), le=int(MAX_NUMBER))]
    | Annotated[float, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)]
    | Annotated[str, Field(max_length=MAX_TEXT)]
)
_TEMPLATES = ("sequence", "recovery")
"""Fields in which `{"$param": name}` may stand."""
AfterInterruption = Literal["resume", "restart", "fail"]


class Sequence(ConfigModel):
    """An ordered list of steps."""

    name: Name = setting(
        scope="live", meaning="Name in logs, traces and the API.", trouble="Nothing."
    )
    actions: Steps = setting(
        scope="live",
        allowed=f"a list of 1 to {MAX_STEPS} steps",
        meaning="The steps, in order.",
        trouble="An empty sequence is refused.",
    )


class TaskDefinition(ConfigFile):
    """What a user starts."""

    id: TaskId | None = setting(
        None,
        scope="live",
        meaning="Id of the definition; this or pattern.",
        trouble="Two definitions of one id are refused.",
    )
    pattern: TaskPattern | None = setting(
        None,
        scope="live",
        meaning="Glob (* and ?) of the task ids that it serves; the most specific match wins.",
        trouble="An id of its own always comes before a pattern.",
    )
    description: str = setting(
        "", scope="live", max_length=1000, meaning="Text for people.", trouble="Nothing."
    )
    mode: Literal["once", "periodic", "triggered"] = setting(
        "once",
        scope="live",
        meaning="Runs once, every period_ms, or when trigger says so; a start may choose another.",
        trouble="periodic needs period_ms, triggered needs trigger.",
    )
    period_ms: int | None = setting(
        None,
        scope="live",
        ge=1,
        le=86_400_000,
        meaning="Period in ms: a multiple of the cycle's period; required by mode periodic.",
        trouble="A run that is still going at its next period: see still_running.",
    )
    trigger: Trigger | None = setting(
        None,
        scope="live",
        meaning="Condition that starts it; required by mode triggered.",
        trouble="See the fields of a trigger.",
    )
    priority: int = setting(
        50,
        scope="live",
        ge=0,
        le=99,
        meaning="Among tasks that want the same axis: higher first.",
        trouble="It is not a scheduling priority of the machine.",
    )
    parameters: Annotated[dict[Name, ParameterValue | Parameter], Field(max_length=64)] = setting(
        default_factory=dict,
        default_text="{}",
        scope="live",
        allowed="an object of parameter name: default value, or {type, unit, default, min, max}",
        meaning='What a start may give; {"$param": name} in an action stands for the value.',
        trouble="A start that gives another name or type is refused with 422.",
    )
    still_running: Literal["skip", "queue"] = setting(
        "skip",
        scope="live",
        meaning="A run that is due while the last one goes on: leave it out, or begin it after.",
        trouble="Both are counted; queue keeps one run at most.",
    )
    on_restart: AfterInterruption = setting(
        "resume",
        scope="live",
        meaning="After a restart of the RT process: go on, begin anew, or fail.",
        trouble="restart moves to the first position again, from wherever the axes are.",
    )
    on_safe_mode: AfterInterruption = setting(
        "resume",
        scope="live",
        meaning="After SAFE_MODE, when motion goes on: go on, begin anew, or fail.",
        trouble="As on_restart.",
    )
    sequence: Sequence = setting(scope="live", meaning="What it does.", trouble="Has to be there.")
    recovery: Annotated[dict[Name, Steps], Field(max_length=16)] = setting(
        default_factory=dict,
        default_text="{}",
        scope="live",
        allowed="an object of name: list of steps",
        meaning="Sequences for on_failure, by name; their own steps cannot use one.",
        trouble="Each use inside of a block takes its operations anew.",
    )

    _template: Mapping[str, Any] | None = PrivateAttr(None)
    """Sequence and recovery as written, when they refer to parameters: the fields have values."""

    @property
    def key(self) -> str:
        """Its id, or its pattern."""
        return self.id or self.pattern or ""

    @property
    def declared(self) -> dict[str, Parameter]:
        """Name -> declaration of each parameter."""
        return {name: parameter_of(value) for name, value in self.parameters.items()}

    @property
    def has_references(self) -> bool:
        """Whether its steps use parameters."""
        return self._template is not None

    def document_with(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Itself as a document whose parameters have `values` as their defaults.

        values: of declared parameters, each accepted by its declaration.
        """
        document: dict[str, Any] = self.model_dump(by_alias=True, exclude_unset=True)
        declared = self.declared
        for name, value in values.items():
            document["parameters"][name] = {
                **declared[name].model_dump(exclude_unset=True),
                "default": value,
            }
        return document

    @model_validator(mode="wrap")
    @classmethod
    def _substitute(
        cls, data: Any, handler: ModelWrapValidatorHandler[TaskDefinition]
    ) -> TaskDefinition:
        """Put the defaults in place of references, so that the task is checked with them."""
        if not isinstance(data, Mapping):
            return handler(data)
        template = {field: data[field] for field in _TEMPLATES if any(references(data.get(field)))}
        found = list(references(template))
        plain = substituted(data, {})
        if not found:
            return handler(plain)
        values = _defaults(data.get("parameters"))
        unknown = [(loc, name) for loc, name in found if name not in values]
        if unknown and isinstance(data.get("parameters", {}), Mapping):
            refuse(*(_unknown_parameter(loc, name, data) for loc, name in unknown))
        task = handler({**plain, **substituted(template, values)})
        task._template = template
        return task

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        if self._template is not None:
            document.update(self._template)
        return document

    @model_validator(mode="after")
    def _rules(self) -> TaskDefinition:
        faults = []
        if (self.id is None) == (self.pattern is None):
            field = "id" if self.id is None else "pattern"
            faults.append(Fault((field,), "must be given if and only if the other one is not"))
        if self.pattern is not None and not set(self.pattern) & set("*?"):
            faults.append(Fault(("pattern",), "must have a '*' or a '?' in it", "else use id"))
        if self.mode == "periodic" and self.period_ms is None:
            faults.append(Fault(("period_ms",), "must be given with mode periodic"))
        if self.mode == "triggered" and self.trigger is None:
            faults.append(Fault(("trigger",), "must be given with mode triggered"))
        faults += self._step_faults()
        if faults:
            refuse(*faults)
        return self

    def steps(self) -> Iterator[tuple[Loc, Action | Block]]:
        """Every step with its place, those of the recovery sequences after the others."""
        yield from walk(self.sequence.actions, ("sequence", "actions"))
        for name, steps in self.recovery.items():
            yield from walk(steps, ("recovery", name))

    def _step_faults(self) -> Iterator[Fault]:
        names: set[str] = set()
        for place, step in self.steps():
            if step.name in names:
                yield Fault((*place, "name"), "must be a name that no other step has")
            names.add(step.name)
            if isinstance(step, (Wait, Hold)) and step.timeout_ms is not None:
                needed_ms = step.parameters.duration_s * 1000
                if step.timeout_ms <= needed_ms:
                    yield Fault(
                        (*place, "timeout_ms"),
                        f"must be above the duration ({needed_ms:g} ms)",
                        "or leave it out: the action ends by itself",
                    )
            if isinstance(step, Parallel):
                yield from _nested_parallel(step, place)
            if isinstance(step, Failing) and isinstance(step.on_failure, Recovery):
                yield from self._recovery_faults(step.on_failure, place)

    def _recovery_faults(self, chosen: Recovery, place: Loc) -> Iterator[Fault]:
        if place[0] == "recovery":
            yield Fault(
                (*place, "on_failure"),
                'must be "fail", "skip" or "safe_mode" inside of a recovery sequence',
            )
        elif chosen.recovery not in self.recovery:
            close = difflib.get_close_matches(chosen.recovery, self.recovery, 1)
            yield Fault(
                (*place, "on_failure", "recovery"),
                "must name a sequence under recovery; there is: "
                + (", ".join(self.recovery) or "none"),
                f"did you mean {close[0]}?" if close else "",
            )
        elif "branches" in place:
            inside = walk(self.recovery[chosen.recovery], ())
            if any(isinstance(step, Parallel) for _, step in inside):
                yield Fault(
                    (*place, "on_failure", "recovery"),
                    "must be a sequence without a parallel block, inside of a branch",
                )


def _nested_parallel(block: Parallel, place: Loc) -> Iterator[Fault]:
    for inner, body in bodies(block):
        for where, step in walk(body, (*place, *inner)):
            if isinstance(step, Parallel):
                yield Fault((*where, "type"), "must not be parallel inside of a branch")


def _defaults(declarations: Any) -> dict[str, Any]:
    """Defaults of what is declared, right or wrong: what is wrong is reported by its model."""
    if not isinstance(declarations, Mapping):
        return {}
    return {
        name: value.get("default") if isinstance(value, Mapping) else value
        for name, value in declarations.items()
    }


def _unknown_parameter(loc: tuple[str | int, ...], name: str, data: Mapping[str, Any]) -> Fault:
    known = list(data.get("parameters", {}))
    close = difflib.get_close_matches(name, known, 1)
    return Fault(
        loc,
        "must name a parameter of this definition; it has: " + (", ".join(known) or "none"),
        f"did you mean {close[0]}?" if close else "declare it in parameters",
    )
