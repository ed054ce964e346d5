"""The listing of a compiled program."""

from __future__ import annotations

from shared.config import Config
from shared.program import compile_document
from shared.program.show import Listing, listing, text

BODY = b"""{
  "id": "sort", "mode": "triggered", "priority": 7, "on_restart": "restart",
  "trigger": {"key": "cell.part_ready", "value": true},
  "sequence": {"name": "s", "actions": [
    {"name": "reach", "type": "move_joints", "timeout_ms": 1500, "retries": 2, "backoff_ms": 250,
     "on_failure": {"recovery": "retreat"},
     "parameters": {"target": {"base": 0.25, "elbow": -1}, "velocity_scale": 0.5,
                    "via": [{"base": 0.1, "elbow": 0}], "profile": "trapezoidal"}},
    {"name": "parts", "type": "repeat", "count": 5,
     "while": {"key": "cell.temperature", "op": "<", "value": 60},
     "actions": [
       {"name": "side_by_side", "type": "parallel", "wait": "first", "branches": [
         [{"name": "wave", "type": "move_joints",
           "parameters": {"target": {"flange": 1}, "duration_s": 2}}],
         [{"name": "stop", "type": "wait_for", "timeout_ms": 9000, "on_failure": "skip",
           "parameters": {"condition": {"event": "stop"}}}]]},
       {"name": "offset", "type": "if",
        "condition": {"key": "tool.offset", "element": 2, "op": ">=", "value": 0.1},
        "then": [{"name": "grip", "type": "set_value",
                  "parameters": {"key": "gripper.closed", "value": true}}],
        "else": [{"name": "tell", "type": "emit_event",
                  "parameters": {"topic": "no.offset", "values": [1, 2.5]}}]}]},
    {"name": "steady", "type": "hold", "parameters": {"duration_s": 0.2, "axes": ["base"]}},
    {"name": "say", "type": "log", "parameters": {"message": "sorted", "level": "warn"}}]},
  "recovery": {"retreat": [{"name": "halt", "type": "safe_stop"}]}
}"""

GOLDEN = """\
task sort, sequence s: triggered by cell.part_ready == true; on the edge, priority 7, on restart restart, on safe mode resume
axes base, elbow, flange; 16 operations, 4352 bytes, CRC32C CRC

OP  STEP          KIND         NEXT   DOES
0   reach         move_joints  -> 2   base 0.25, elbow -1; at 0.5 of the limits; via the points below; trapezoidal; timeout 1.5 s; retries 2 after 0.25 s; on failure -> 13
1   reach         via                 base 0.1, elbow 0
2   parts         repeat              while cell.temperature < 60, at most 5 times; then -> 11
3   side_by_side  parallel            branches 4, 5; first of them -> 6
4   wave          move_joints  -> 6   flange 1; in 2 s
5   stop          wait_for            event stop; timeout 9 s; on failure skip
6   side_by_side  join
7   offset        if                  tool.offset[2] >= 0.1; else -> 9
8   grip          set_value    -> 10  gripper.closed = true
9   tell          emit_event          no.offset(1, 2.5)
10  parts         jump         -> 2
11  steady        hold                base for 0.2 s
12  say           log          -> 15  warn: sorted
13  halt          safe_stop
14  retreat       fail                with the error of the step that failed
15                end
"""  # noqa: E501


def shown(config: Config, body: bytes) -> Listing:
    compiled = compile_document(body, config, source="sort.json")
    axes = [axis.name for axis in config.robot.axes]
    return listing(compiled.program, compiled.names.resolve, axes, config.datastore.keys)


def test_the_listing(config: Config) -> None:
    one = shown(config, BODY)
    assert text(one).replace(one.crc, "CRC") == GOLDEN
    assert one.ops[0].axes == ("base", "elbow")
    assert one.bytes == 256 * (1 + len(one.ops))


def test_a_period_is_named(config: Config) -> None:
    body = b"""{"id": "t", "mode": "periodic", "period_ms": 2000, "sequence": {"name": "s",
      "actions": [{"name": "w", "type": "wait", "parameters": {"duration_s": 0.5}}]}}"""
    assert text(shown(config, body)).startswith("task t, sequence s: periodic every 2000 ms,")
