"""`mxrc bench`: the core's benchmarks on this machine, beside the documented figures."""

from __future__ import annotations

import typer

from shared.cli.options import Json


def register(app: typer.Typer) -> None:
    """Add `bench`."""

    @app.command()
    def bench(as_json: Json = False) -> None:
        """Measure rings, latency, wake-ups and load here, in less than a minute.

        Starts both processes in an instance of its own; an instance that runs is not touched, but
        shares the CPUs. Run it as root (or with a real-time limit) to compare like with like. What
        the figures mean: docs/benchmarks.md.
        """
        from shared.bench.figures import COLUMNS, Report
        from shared.bench.run import basic
        from shared.cli.output import print_json, print_rows

        report = Report()
        basic(report, lambda what: typer.echo(f"mxrc bench: {what} ...", err=True))
        if as_json:
            print_json(report.as_json())
            return
        print_rows(report.rows(), COLUMNS)
        for line in report.skipped:
            typer.echo(f"mxrc bench: not measured: {line}", err=True)
        missed = [one.title for one in report.figures if one.holds is False]
        typer.echo(
            f"mxrc bench: {len(missed)} goals missed"
            + (f": {', '.join(missed)}" if missed else ""),
            err=True,
        )
