"""event_bus.json: what the Non-RT process does with events, and programs of the user's in it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.config.base import ConfigFile, ConfigModel, Fault, refuse, setting
from shared.config.models.names import Name, ShortName, TopicPattern

PluginPath = Annotated[str, Field(min_length=1, max_length=4000, pattern=r"\.py$")]


class EventRoute(ConfigModel):
    """An event that is answered with an event to RT."""

    name: ShortName = setting(
        meaning="Name in metrics, spans and the log.",
        trouble="Two routes of one name are refused.",
    )
    on: TopicPattern = setting(
        meaning="Topics that are answered.",
        trouble="A topic that nobody publishes is never answered.",
    )
    source: Literal["rt", "nonrt", "any"] = setting(
        "rt",
        meaning=(
            "Where the event comes from: a task's emit_event (rt), or HTTP and other observers "
            "(nonrt)."
        ),
        trouble="With nonrt or any, send must not match on: it would answer itself.",
    )
    send: Name = setting(
        meaning="Topic of the answer, which running tasks wait for.",
        trouble="Nobody waits for it: counted as a failure of the route, and logged.",
    )
    value: float | None = setting(
        None,
        meaning="Number that it carries; null: the first one of the event.",
        trouble="Conditions of the waiting task compare it.",
    )


class EventBusConfig(ConfigFile):
    """What the Non-RT process does with events, and programs of the user's in it."""

    queue_length: int = setting(
        1024,
        ge=1,
        le=65_536,
        meaning="Events that may wait for an observer that does not say how many.",
        trouble="Too small: a slow observer loses the oldest, counted and logged.",
    )
    plugins: Annotated[tuple[PluginPath, ...], Field(max_length=32)] = setting(
        (),
        meaning=(
            "Python files with create(context) -> Plugin that run in the Non-RT process "
            "(docs/events.md); relative to the folder of the configuration."
        ),
        trouble="A file that group or others may write, that belongs to somebody else or that "
        "fails stops the start.",
    )
    routes: Annotated[tuple[EventRoute, ...], Field(max_length=64)] = setting(
        (),
        meaning="Events that are answered without a program.",
        trouble="See its fields.",
    )

    @model_validator(mode="after")
    def _rules(self) -> EventBusConfig:
        faults = []
        names: set[str] = set()
        for index, route in enumerate(self.routes):
            if route.name in names:
                faults.append(Fault(("routes", index, "name"), "must be that of no other route"))
            names.add(route.name)
            if route.source != "rt" and fnmatchcase(route.send, route.on):
                faults.append(
                    Fault(
                        ("routes", index, "send"),
                        f'must not match on ("{route.on}") unless source is "rt"',
                        "the route would answer its own answer",
                    )
                )
        if faults:
            refuse(*faults)
        return self
