"""`mxrc shm plot`: histogram and timeline of the wake-up latency as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from shared.cli.segment import ConfigDir, Instance, Json, Last, Since


def register(app: typer.Typer) -> None:
    """Add `plot`."""

    @app.command()
    def plot(
        output: Annotated[
            Optional[Path],  # noqa: UP045  typer evaluates it
            typer.Option("--output", "-o", metavar="FILE", help="Default: INSTANCE-jitter.png."),
        ] = None,
        since: Since = None,
        last: Last = None,
        width: Annotated[float, typer.Option(min=3, max=60, help="Inches, 100 dpi.")] = 12.0,
        height: Annotated[float, typer.Option(min=3, max=60, help="Inches, 100 dpi.")] = 8.0,
        instance: Instance = None,
        config_dir: ConfigDir = None,
        as_json: Json = False,
    ) -> None:
        """PNG of the cycles in the ring, in the manner of cyclictest; needs the extra `plot`."""
        from shared.cli.errors import CommandError
        from shared.cli.output import print_model
        from shared.cli.segment import chosen_instance, open_segment, since_ns
        from shared.inspector import plotting

        name = chosen_instance(config_dir, instance)
        segment = open_segment(config_dir, name)
        path = output or Path(f"{name}-jitter.png")
        try:
            drawn = plotting.plot(
                name, segment, path, last, since_ns(segment, since), (width, height)
            )
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}") from None
        if as_json:
            print_model(drawn)
        else:
            typer.echo(
                f"{drawn.path}: {drawn.cycles} cycles, wake-up latency min {drawn.min_us:.1f} "
                f"mean {drawn.mean_us:.1f} p99 {drawn.p99_us:.1f} max {drawn.max_us:.1f} us, "
                f"{drawn.missed} missed, {drawn.skipped} skipped"
            )
