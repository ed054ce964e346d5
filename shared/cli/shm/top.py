"""`mxrc shm top`: live tables of an instance, from the segment alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from shared.cli.segment import ConfigDir, Instance, Json

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from shared.cli.monitor import Sample
    from shared.inspector.streams import Flows

_STYLES: Final = {"alive": "green", "silent": "bold yellow", "dead": "bold red", "stopped": "dim"}


@dataclass(frozen=True, slots=True)
class Look:
    """A look: what goes on, and what flows."""

    sample: Sample
    flows: Flows


def register(app: typer.Typer) -> None:
    """Add `top`."""

    @app.command()
    def top(
        interval: Annotated[
            float, typer.Option(min=0.05, max=3600, help="Seconds between two looks.")
        ] = 1.0,
        count: Annotated[
            int, typer.Option("--count", "-n", min=0, help="Looks; 0: until Ctrl-C.")
        ] = 0,
        instance: Instance = None,
        config_dir: ConfigDir = None,
        as_json: Json = False,
    ) -> None:
        """Rates, jitter, misses, ring fill, records lost per consumer, task; dead segments too.

        Without a terminal a line per look; --json gives a document per look and line.
        """
        from shared.cli.segment import chosen_instance, is_terminal, open_segment

        name = chosen_instance(config_dir, instance)
        looks = _Looks(name)
        open_segment(config_dir, name)
        if is_terminal() and not as_json:
            _on_terminal(looks, interval, count)
        else:
            _as_lines(looks, interval, count, as_json)


class _Looks:
    """Looks at an instance through generations."""

    def __init__(self, name: str) -> None:
        from shared.cli.monitor import Monitor

        self._name = name
        self._monitor = Monitor(name)
        self._meter: Any = None
        self._generation = 0

    @property
    def problem(self) -> str:
        return self._monitor.problem

    def look(self) -> Look | None:
        from shared.core import MxrcError
        from shared.inspector.streams import FlowMeter
        from shared.segment import Segment

        sample = self._monitor.sample()
        if sample is None:
            return None
        try:
            if self._meter is None or sample.generation != self._generation:
                self._meter = FlowMeter(Segment.attach(self._name))
                self._generation = sample.generation
            return Look(sample, self._meter.look())
        except MxrcError as error:
            self._monitor.problem = str(error)
            self._meter = None
            return None


def _on_terminal(looks: _Looks, interval: float, count: int) -> None:
    from rich.live import Live
    from rich.text import Text

    done = 0
    with Live(auto_refresh=False, screen=not count) as screen:
        while not count or done < count:
            look = looks.look()
            shown = Text(looks.problem) if look is None else tables(look, screen.console.height)
            screen.update(shown, refresh=True)
            done += 1
            if done != count:
                time.sleep(interval)


def _as_lines(looks: _Looks, interval: float, count: int, as_json: bool) -> None:
    from shared.cli import live
    from shared.cli.output import print_model

    done = 0
    while not count or done < count:
        look = looks.look()
        if look is None:
            typer.echo(looks.problem, err=True)
        elif as_json:
            print_model(look, line=True)
        else:
            typer.echo(f"{live.line(look.sample)} {_flow_line(look.flows)}")
        done += 1
        if done != count:
            time.sleep(interval)


def _flow_line(flows: Flows) -> str:
    lost = sum(one.lost_cycles + one.lost_events for one in flows.consumers)
    dead = [f"{one.name} {one.condition}" for one in flows.processes if one.condition != "alive"]
    return f"lost {lost}" + (f" {', '.join(dead)}" if dead else "")


def tables(look: Look, height: int) -> Group:
    """What is shown on a terminal of `height` lines: entries and axes only where they fit."""
    from rich.console import Group

    from shared.cli import live

    flow = [_processes(look.flows), _rings(look.flows), _consumers(look.flows)]
    used = 5 + len(look.sample.degraded) + sum(part.row_count + 1 for part in flow)
    for part in (_entries(look.flows), _axes(live.axis_rows(look.sample))):
        if used + part.row_count + 1 <= height:
            flow.append(part)
            used += part.row_count + 1
    return Group(live.summary(look.sample), *flow)


def _axes(rows: list[tuple[str, str]]) -> Table:
    table = _table("AXIS", "POSITION")
    for row in rows:
        table.add_row(*row)
    return table


def _table(*titles: str) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False, min_width=72, header_style="reverse")
    table.add_column(titles[0], no_wrap=True)
    for title in titles[1:]:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _processes(flows: Flows) -> Table:
    from rich.text import Text

    table = _table("PROCESS", "ROLE", "PID", "CONDITION", "HEARTBEAT")
    for one in flows.processes:
        age = "-" if one.age_ms is None else f"{one.age_ms:.0f} ms"
        condition = Text(one.condition, style=_STYLES.get(one.condition, ""))
        table.add_row(one.name, one.role, str(one.pid), condition, age)
    return table


def _rings(flows: Flows) -> Table:
    table = _table("RING", "RATE/s", "RECORDS", "FILL", "BACKLOG", "TOMBSTONES")
    for one in flows.rings:
        if not one.head and one.name.startswith("lane"):
            continue
        table.add_row(
            one.name,
            _rate(one.rate_hz),
            f"{one.head}",
            f"{one.fill:.0%} of {one.capacity}",
            str(one.backlog),
            str(one.tombstones),
        )
    return table


def _entries(flows: Flows) -> Table:
    from rich.text import Text

    table = _table(
        "ENTRY", "PERIOD us", "RUNS", "MEAN us", "P99 us", "MAX us", "DECLARED us", "LATE"
    )
    for one in flows.entries:
        table.add_row(
            one.name,
            f"{one.period_us:g}",
            str(one.runs),
            f"{one.mean_us:.2f}",
            f"{one.p99_us:.2f}",
            f"{one.max_us:.2f}",
            "-" if one.wcet_us is None else f"{one.wcet_us:g}",
            Text(str(one.exceeded), style="bold red" if one.exceeded else ""),
        )
    return table


def _consumers(flows: Flows) -> Table:
    from rich.text import Text

    table = _table("CONSUMER", "RATE/s", "LAG CYCLES", "LAG EVENTS", "LOST CYCLES", "LOST EVENTS")
    for one in flows.consumers:
        lost = [
            Text(str(value), style="bold red" if value else "")
            for value in (one.lost_cycles, one.lost_events)
        ]
        table.add_row(
            one.name, _rate(one.rate_hz), _count(one.lag_cycles), _count(one.lag_events), *lost
        )
    return table


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)
