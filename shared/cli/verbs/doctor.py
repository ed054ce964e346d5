"""`mxrc doctor`: is this machine fit for real time, and is the running instance."""

from __future__ import annotations

import re
from typing import Annotated, Optional

import typer

from shared.cli.errors import leave
from shared.cli.options import ConfigDir, Instance, Json

_SECONDS = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|)\Z")
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "": 1.0}
_MAX_S = 3600.0
_WORDS = {0: "ok", 1: "WARN", 2: "BAD"}


def seconds(text: str) -> float:
    """`30s`, `500ms`, `2m` or a number of seconds."""
    found = _SECONDS.match(text)
    value = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 0 < value <= _MAX_S:
        raise typer.BadParameter(f"{text!r} is not a time such as 30s, 500ms or 2m, up to an hour")
    return value


def register(app: typer.Typer) -> None:
    """Add `doctor`."""

    @app.command()
    def doctor(
        config_dir: ConfigDir = None,
        instance: Instance = None,
        measure: Annotated[
            Optional[str],  # noqa: UP045
            typer.Option(
                metavar="TIME",
                help="Run the wake-up loop on the configured core for so long (30s), and say "
                "which period it can hold.",
            ),
        ] = None,
        fix_hints: Annotated[
            bool, typer.Option("--fix-hints", help="Print boot line, udev rule and limits file.")
        ] = False,
        as_json: Json = False,
    ) -> None:
        """Examine machine and running instance; a verdict per line with what to do.

        Exit status 0: fit, 1: with warnings, 2: real time will not hold.
        """
        duration = seconds(measure) if measure is not None else 0.0
        from dataclasses import asdict

        from shared.cli.options import load
        from shared.cli.output import print_json
        from shared.doctor.hints import fix_hints as hints
        from shared.doctor.run import examine, subject_of, worst

        subject = subject_of(load(config_dir, instance))
        findings = examine(subject)
        if duration:
            from shared.doctor.measure import judge
            from shared.doctor.measure import measure as run_loop

            typer.echo(f"measuring for {duration:g} s on CPU {min(subject.cpus)} ...", err=True)
            findings += judge(subject, run_loop(subject, duration))
        verdict = worst(findings)
        if as_json:
            content = {
                "verdict": verdict.name,
                "findings": [{**asdict(one), "verdict": one.verdict.name} for one in findings],
            }
            if fix_hints:
                content["fix_hints"] = hints(subject)
            print_json(content)
            leave(int(verdict))
            return
        width = max(len(f"{one.group}: {one.check}") for one in findings)
        for one in findings:
            name = f"{one.group}: {one.check}".ljust(width)
            typer.echo(f"{_WORDS[one.verdict]:4}  {name}  {one.what}")
            if one.fix:
                typer.echo(f"{'':{width + 8}}-> {one.fix}")
        if fix_hints:
            typer.echo("\n" + hints(subject))
        leave(int(verdict))
