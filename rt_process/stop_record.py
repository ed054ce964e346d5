"""A stop in order, on disk: what the next start would go on from is not older than the stop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from rt_process.recovery import PROCESS
from shared.checkpoint_file import load_newest, write_checkpoint
from shared.checkpoint_snapshot import take
from shared.enums import RtState

if TYPE_CHECKING:
    from shared.config import Config
    from shared.segment import Segment


def record_stop(config: Config, segment: Segment, say: Callable[[str], None]) -> bool:
    """Have the newest checkpoint say SHUTDOWN: the Non-RT process, which writes the others, may
    have ended before. False, with the reason said: it does not, and the segment has to stay, whose
    state block says it until the next boot.

    To be called when the RT thread has ended after a STOP.
    """
    folder, instance = config.paths.checkpoint_dir, config.instance_name
    content = take(segment, instance)
    if content is None:
        return True  # no cycle was run: nothing to go on from was left either
    newest = load_newest(folder, PROCESS, instance, lambda _line: None)
    now = datetime.now(timezone.utc)
    if newest is not None:
        state = newest.document["rt_state"]
        stopped = isinstance(state, dict) and state.get("state") == RtState.SHUTDOWN.name
        if stopped and state.get("generation") == segment.generation:
            return True
        now = max(now, newest.timestamp)  # the wall clock may have been set back since
    try:
        write_checkpoint(folder, PROCESS, content, now)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        say(
            f"the stop cannot be recorded in {folder}: {reason}; shared memory stays, so that the "
            "next start knows of it. Before a reboot make room, or give the folder to the user "
            "that runs mxrc (instance.json: checkpoint_dir), and start and stop once more"
        )
        return False
    return True
