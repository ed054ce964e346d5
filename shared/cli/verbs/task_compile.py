"""`mxrc task compile`: check a definition and show the program that it becomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from shared.cli.errors import leave
from shared.cli.options import ConfigDir, Json


def compile_definition(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A task definition (JSON).")],
    parameters: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="JSON", help='Values such as {"height": 0.2} (default: defaults).'),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="List the operations.")] = False,
    config_dir: ConfigDir = None,
    as_json: Json = False,
) -> None:
    """Compile a task definition; needs no running instance.

    A line for each fault and exit status 78 when it would be refused.
    """
    from dataclasses import asdict

    from shared.cli.options import load
    from shared.cli.output import print_json
    from shared.config import EX_CONFIG, ConfigError
    from shared.config.json_file import read_file
    from shared.program import compile_document
    from shared.program.show import listing, text

    config = load(config_dir, None)
    try:
        values = _values(parameters)
        compiled = compile_document(read_file(file)[0], config, source=str(file), parameters=values)
    except ConfigError as error:
        if not as_json:
            raise
        print_json({"ok": False, "problems": [asdict(one) for one in error.problems]})
        leave(EX_CONFIG)
        return
    program = compiled.program
    shown = listing(
        program,
        compiled.names.resolve,
        [axis.name for axis in config.robot.axes],
        config.datastore.keys,
        list(config.robot.task_law_index),
    )
    if as_json:
        fields = asdict(shown)
        if not show:
            del fields["ops"]
        print_json({"ok": True, **fields, "op_count": program.op_count})
    elif show:
        typer.echo(text(shown), nl=False)
    else:
        typer.echo(
            f"{file}: good ({program.op_count} operations, {len(program.data)} bytes, "
            f"axes {', '.join(shown.axes) or 'none'})"
        )


def _values(text: str | None) -> dict[str, Any]:
    from shared.config import ConfigError
    from shared.config.errors import Problem
    from shared.config.json_file import parse_json

    values = parse_json((text or "{}").encode(), "--parameters")
    if not isinstance(values, dict):
        shown = json.dumps(values)[:60]
        raise ConfigError([Problem("--parameters", "", shown, "must be an object of name: value")])
    return values
