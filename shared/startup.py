"""What the programs do alike when they start: options, configuration, folders, exit statuses.

Imports the configuration (pydantic) only when it is loaded.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import stat
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.core import MxrcError
from shared.resources import resource_path
from shared.version import package_version

if TYPE_CHECKING:
    from shared.config import Config

EX_OK: Final = 0
EX_FAILURE: Final = 1
EX_USAGE: Final = 64
EX_TEMPFAIL: Final = 75
EX_CONFIG: Final = 78

SYSTEM_CONFIG: Final = Path("/etc/mxrc")

# Option -> the stem of the file that it replaces.
FILE_OPTIONS: Final = {
    "config": "cpu_affinity",
    "numa_config": "numa_binding",
    "failover_config": "failover_policy",
    "tracing_config": "tracing_config",
}


class Refused(MxrcError):
    """The program cannot start as things are. status: its exit status; str(): lines to print."""

    def __init__(self, message: str, status: int = EX_CONFIG) -> None:
        super().__init__(message)
        self.status = status


def default_config_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """$MXRC_CONFIG_DIR, else /etc/mxrc when it is there, else the files that come with mxrc."""
    chosen = environ.get("MXRC_CONFIG_DIR")
    if chosen:
        return Path(chosen)
    return SYSTEM_CONFIG if SYSTEM_CONFIG.is_dir() else resource_path("config")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the configuration is."""
    parser.add_argument(
        "--config-dir",
        type=Path,
        metavar="DIR",
        help="folder of all configuration files (default: $MXRC_CONFIG_DIR, /etc/mxrc, "
        "or the files that come with mxrc)",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="replaces cpu_affinity.json")
    parser.add_argument(
        "--numa-config", type=Path, metavar="FILE", help="replaces numa_binding.json"
    )
    parser.add_argument(
        "--failover-config", type=Path, metavar="FILE", help="replaces failover_policy.json"
    )
    parser.add_argument(
        "--tracing-config", type=Path, metavar="FILE", help="replaces tracing_config.json"
    )
    parser.add_argument("--instance", metavar="NAME", help="name of the instance")
    parser.add_argument(
        "--system", action="store_true", help="use the folders of a system service by default"
    )
    parser.add_argument("--version", action="version", version=f"{parser.prog} {package_version()}")


def load_configuration(
    options: argparse.Namespace,
    environ: Mapping[str, str] = os.environ,
    *,
    runtime_changes: bool = True,
) -> Config:
    """The configuration that the options ask for. runtime_changes: as for load_config.

    Raises:
        ConfigError: with every problem found.
    """
    # Looking for plugins of pydantic reads the metadata of every installed distribution, and nobody
    # else is to see the values.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from shared.config import load_config

    files = {
        stem: path
        for option, stem in FILE_OPTIONS.items()
        if (path := getattr(options, option)) is not None
    }
    return load_config(
        options.config_dir or default_config_dir(environ),
        files=files,
        environ=with_instance(environ, options.instance),
        system=options.system,
        runtime_changes=runtime_changes,
    )


def with_instance(environ: Mapping[str, str], instance: str | None) -> Mapping[str, str]:
    """`environ` with the name of the instance overridden."""
    if instance is None:
        return environ
    changed: MutableMapping[str, str] = dict(environ)
    changed["MXRC_INSTANCE__INSTANCE"] = f'"{instance}"'
    return changed


@contextlib.contextmanager
def quick_start() -> Iterator[None]:
    """Imports and configuration without garbage collection: they make little garbage, and going
    through all of it again and again is a tenth of the time. What is there at the end stays for
    life and is never gone through again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def ensure_directory(path: Path, what: str, mode: int = 0o750) -> None:
    """Make the folder of `what` if it is missing, and see that it can be used.

    Raises:
        Refused: one line that says why not and what to do.
    """
    remedy = f"create it for user {os.getuid()} or choose another folder in instance.json"
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        status = path.lstat()
    except OSError as error:
        raise Refused(f"{path}: the folder of {what}: {error.strerror}: {remedy}") from None
    if stat.S_ISLNK(status.st_mode):
        status = path.stat()
    foreign = status.st_uid not in (0, os.getuid())
    if path.parent == Path("/tmp") and foreign:  # noqa: S108  anybody may make a folder there
        raise Refused(f"{path}: the folder of {what} belongs to user {status.st_uid}: {remedy}")
    if not os.access(path, os.W_OK | os.X_OK):
        raise Refused(f"{path}: the folder of {what} is not writable: {remedy}")


def run_directory_mode(path: Path) -> int:
    """Mode of a new run folder: private where everybody can look."""
    return 0o700 if path.parent == Path("/tmp") else 0o750  # noqa: S108


def complain(program: str, text: str) -> None:
    """Print `text` to stderr, each line after the name of the program; nobody need be listening."""
    with contextlib.suppress(OSError):
        for line in text.splitlines():
            print(f"{program}: {line}", file=sys.stderr, flush=True)
