"""`mxrc-nonrt`: the first beat, then everything else."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from nonrt_process.first_beats import FirstBeats, told_instance
from shared.signals import block_signals


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 78 for a configuration that cannot work."""
    block_signals()
    arguments = sys.argv[1:] if arguments is None else arguments
    beats = FirstBeats(told_instance(arguments, os.environ))
    beats.start()
    try:
        from nonrt_process.process import run

        return run(arguments, beats.stop)
    finally:
        beats.stop()
