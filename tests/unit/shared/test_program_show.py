"""The listing of a compiled program."""

from __future__ import annotations

from shared.config import Config
from shared.program import compile_document
from shared.program.show import listing, text

BODY = b"""{
  "id": "sort", "mode": "periodic", "period_ms": 2000, "priority": 7, "on_restart": "restart",
  "sequence": {"name": "s", "actions": [
    {"name": "reach", "type": "move_joints", "timeout_ms": 1500, "retries": 2, "backoff_ms": 250,
     "parameters": {"target": {"base": 0.25, "elbow": -1}, "velocity_scale": 0.5}},
    {"name": "grip", "type": "set_output", "on_failure": "skip",
     "parameters": {"key": "gripper.closed", "value": true}},
    {"name": "steady", "type": "hold", "parameters": {"duration_s": 0.2}},
    {"name": "say", "type": "log", "parameters": {"message": "sorted", "level": "warn"}},
    {"name": "stop", "type": "safe_stop", "on_failure": "safe_mode"}
  ]}
}"""

GOLDEN = """\
task sort, sequence s: periodic every 2000 ms, priority 7, on restart restart
axes base, elbow; 6 operations, 1792 bytes, CRC32C CRC

OP  STEP    KIND         DOES                                                                              NEXT
0   reach   move_joints  base 0.25, elbow -1; at 0.5 of the limits; timeout 1.5 s; retries 2 after 0.25 s
1   grip    set_value    gripper.closed = true; on failure skip
2   steady  hold         base, elbow for 0.2 s
3   say     log          warn: sorted
4   stop    safe_stop    on failure safe mode
5           end
"""  # noqa: E501


def test_the_listing(config: Config) -> None:
    compiled = compile_document(BODY, config, source="sort.json")
    axes = [axis.name for axis in config.robot.axes]
    shown = listing(compiled.program, compiled.names.resolve, axes, config.datastore.keys)
    assert text(shown).replace(shown.crc, "CRC") == GOLDEN
    assert shown.ops[0].axes == ("base", "elbow")
    assert len(compiled.program.data) == shown.bytes
