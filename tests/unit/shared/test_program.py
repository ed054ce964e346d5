"""Programs: what is compiled, what is refused, and what the executive makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared.config import Config
from shared.config.models.tasks import TaskDefinition
from shared.core import ffi, lib
from shared.datastore import DataStore
from shared.enums import EventKind, OpKind, RestartPolicy, TaskMode, TaskStatus
from shared.events import format_event, message_id
from shared.names import Names
from shared.program import MAX_ACTIONS, Program, ProgramError, compile_task
from shared.segment import Segment
from shared.state_block import read_state
from tests.unit.shared.executive import SteppedExecutive


def make(*actions: dict[str, Any], **fields: Any) -> TaskDefinition:
    named = [{"name": f"step{index}", **action} for index, action in enumerate(actions)]
    content = {"id": "t", "sequence": {"name": "s", "actions": named}, **fields}
    return TaskDefinition.model_validate(_tuples(content))


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def move(target: Any, **parameters: Any) -> dict[str, Any]:
    chosen = parameters or {"velocity_scale": 1.0}
    return {"type": "move_joints", "parameters": {"target": target, **chosen}}


def wait(seconds: float) -> dict[str, Any]:
    return {"type": "wait", "parameters": {"duration_s": seconds}}


def hold(seconds: float) -> dict[str, Any]:
    return {"type": "hold", "parameters": {"duration_s": seconds}}


def log(message: str, level: str = "info") -> dict[str, Any]:
    return {"type": "log", "parameters": {"message": message, "level": level}}


def set_output(key: str, value: Any) -> dict[str, Any]:
    return {"type": "set_output", "parameters": {"key": key, "value": value}}


class Compiler:
    def __init__(self, segment: Segment, config: Config) -> None:
        self.names, self.keys, self.config = Names(segment), DataStore(segment).keys, config

    def __call__(self, definition: TaskDefinition, **asked: Any) -> Program:
        asked.setdefault("task_id", "t1")
        robot, intern = self.config.robot, self.names.intern
        return compile_task(definition, robot, self.keys, intern, **asked)


@pytest.fixture
def compile_(nonrt: Segment, config: Config) -> Compiler:
    return Compiler(nonrt, config)


def parsed(program: Program) -> Any:
    slot = ffi.new("struct mxrc_program_slot *")
    ffi.memmove(slot, program.data, len(program.data))
    return slot


def test_shipped_definitions_compile(compile_: Compiler, config: Config) -> None:
    for definition in config.tasks.values():
        program = compile_(definition, task_id="task_1")
        slot = parsed(program)
        assert slot.program.op_count == program.op_count > len(definition.sequence.actions)
        assert slot.op[slot.program.op_count - 1].kind == OpKind.END
        assert slot.program.crc == lib.mxrc_program_checksum(slot)


def test_header(compile_: Compiler) -> None:
    definition = make(wait(1.0), mode="periodic", period_ms=250, priority=7, on_restart="restart")
    program = compile_(definition, task_id="mine").data
    slot = ffi.cast("struct mxrc_program_slot *", ffi.from_buffer(program))
    header = slot.program
    assert (header.mode, header.period_ns) == (TaskMode.PERIODIC, 250_000_000)
    assert (header.priority, header.on_restart) == (7, RestartPolicy.RESTART)
    assert ffi.string(header.task_id) == b"mine"
    assert compile_.names.resolve(header.task_name) == "t"
    assert compile_.names.resolve(header.sequence_name) == "s"
    once = parsed(compile_(definition, mode="once")).program
    assert (once.mode, once.period_ns) == (TaskMode.ONCE, 0)


def test_one_changed_bit_changes_the_checksum(compile_: Compiler) -> None:
    slot = parsed(compile_(make(wait(1.0))))
    slot.op[0].duration_ns ^= 1
    assert slot.program.crc != lib.mxrc_program_checksum(slot)


def test_targets_by_list_and_by_name(compile_: Compiler) -> None:
    definition = make(move([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], duration_s=9.0), move({"elbow": 1.0}))
    slot = parsed(compile_(definition))
    assert [slot.op[0].args[axis] for axis in range(6)] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert (slot.op[0].axes, slot.op[0].duration_ns, slot.op[0].args[8]) == (63, 9_000_000_000, 0)
    assert (slot.op[1].axes, slot.op[1].args[2]) == (4, 1.0)
    assert (slot.op[1].duration_ns, slot.op[1].args[8]) == (0, 1.0)


def test_hold_holds_what_the_task_moves(compile_: Compiler) -> None:
    slot = parsed(compile_(make(hold(1.0), move({"base": 0.5}), move({"elbow": 1.0}))))
    assert slot.op[0].axes == slot.program.axes == 0b101
    assert parsed(compile_(make(hold(1.0)))).program.axes == 0b111111


def test_timeouts_and_retries(compile_: Compiler) -> None:
    action = {**move({"base": 0.5}), "timeout_ms": 1500, "retries": 2, "backoff_ms": 30}
    op = parsed(compile_(make({**action, "on_failure": "skip"}))).op[0]
    assert (op.timeout_ns, op.retries, op.backoff_ns, op.on_failure) == (
        1_500_000_000,
        2,
        30_000_000,
        1,
    )


@pytest.mark.parametrize(
    ("actions", "fields", "asked", "words"),
    [
        ([move([0.0, 0.0])], {}, {}, "step step0, target: found [0.0, 0.0]: must have 6 positions"),
        ([move({"nose": 1.0})], {}, {}, "step step0, target.nose: found 1.0: must be for an axis"),
        (
            [wait(1.0), move({"elbow": 9.0})],
            {},
            {},
            "step step1, target.elbow: found 9.0: must be within the limits of elbow",
        ),
        ([set_output("no.key", 1)], {}, {}, 'key: found "no.key": must be a key of datastore.json'),
        ([set_output("cell.temperature", 1.0)], {}, {}, "must be a key whose writer is rt"),
        ([set_output("parts.placed", -1)], {}, {}, "value: found -1: must be"),
        ([set_output("parts.placed", (1 << 53) + 1)], {}, {}, "53 bits"),
        ([set_output("gripper.closed", 1)], {}, {}, "must be true or false"),
        ([log("x" * 221)], {}, {}, "message: must have at most 220 bytes"),
        ([wait(0.1)], {}, {"mode": "periodic"}, "mode: periodic needs period_ms"),
        ([wait(0.1)], {}, {"mode": "triggered"}, "mode: triggered needs trigger"),
        ([wait(0.1)], {}, {"mode": "often"}, "mode: found 'often'"),
        ([wait(0.1)], {}, {"parameters": {"speed": 1}}, "parameters.speed: is unknown"),
        ([wait(0.1)], {}, {"task_id": "x" * 64}, "task_id: must have at most 63"),
    ],
)
def test_refusals_name_task_step_and_field(
    compile_: Compiler, actions: list[Any], fields: Any, asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(ProgramError) as raised:
        compile_(make(*actions, **fields), **asked)
    assert words in str(raised.value)
    assert str(raised.value).startswith(f"task {asked.get('task_id', 't1')}")
    assert "\n" not in str(raised.value)


def test_what_fits_exactly_is_taken(compile_: Compiler) -> None:
    assert compile_(make(*[wait(0.1)] * MAX_ACTIONS)).op_count == MAX_ACTIONS + 1
    compile_(make(log("x" * 220)))


@pytest.fixture
def stepped(rt: Segment, nonrt: Segment, config: Config) -> Iterator[SteppedExecutive]:
    executive = SteppedExecutive(rt, nonrt, config)
    yield executive
    executive.close()


def test_the_executive_runs_it(stepped: SteppedExecutive, compile_: Compiler) -> None:
    definition = make(
        move({"base": 0.4}, velocity_scale=1.0),
        set_output("parts.placed", 3),
        set_output("gripper.closed", True),
        log("ä" * 100, "warn"),
        wait(0.05),
    )
    stepped.run(20)
    stepped.start(definition, "mine", 5)
    assert stepped.run(2000) == 0
    assert stepped.position(0) == pytest.approx(0.4, abs=1e-6)
    assert stepped.store.read("parts.placed").value == 3
    assert stepped.store.read("gripper.closed").value is True
    events = stepped.events.read(100_000).records
    ends = events[(events["kind"] == EventKind.TASK) & (events["execution_id"] == 5)]
    assert ends["code"].tolist()[-1] == TaskStatus.COMPLETED
    line = events[events["message_id"] == message_id("TASK_LOG")][0]
    assert format_event(line["message_id"], line["args"], stepped.names.resolve) == "ä" * 100
    assert line["level"] == 3


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_a_share_of_the_limits_is_kept(stepped: SteppedExecutive, scale: float) -> None:
    limit = stepped.config.robot.axes[0].velocity_max
    stepped.run(20)
    stepped.start(make(move({"base": 1.5}, velocity_scale=scale)), "mine", 6)
    fastest, before, cycles = 0.0, stepped.position(0), 0
    while abs(stepped.position(0) - 1.5) > 1e-6 and cycles < 20_000:
        stepped.run(1)
        now = stepped.position(0)
        fastest, before, cycles = max(fastest, abs(now - before) / 1e-3), now, cycles + 1
    assert fastest <= limit * scale * 1.01
    assert fastest >= limit * scale * 0.8


def test_a_given_duration_is_kept(stepped: SteppedExecutive) -> None:
    stepped.run(20)
    stepped.start(make(move({"base": 0.4}, duration_s=1.5)), "mine", 7)
    stepped.run(1400)
    assert abs(stepped.position(0) - 0.4) > 1e-6
    stepped.run(150)
    assert stepped.position(0) == pytest.approx(0.4, abs=1e-6)


def test_the_state_block_in_the_middle_of_a_task(stepped: SteppedExecutive, nonrt: Segment) -> None:
    stepped.run(20)
    state = read_state(nonrt)
    assert state is not None
    assert state["executive"]["state"] == stepped.state.name
    assert state["tasks"] == []
    stepped.start(make(wait(0.01), move({"base": 0.4}, duration_s=5.0)), "mine", 8)
    stepped.run(200)
    state = read_state(nonrt)
    assert state is not None
    task = state["tasks"][0]
    assert (task["task_id"], task["execution_id"], task["status"]) == ("mine", 8, "RUNNING")
    assert (task["task"], task["sequence"], task["action"], task["step"]) == ("t", "s", "step1", 1)
    assert task["axes"] == [0]
    assert len(task["trace_id"]) == 32
    assert len(state["axes"]) == 6
    assert state["axes"][0]["setpoint"] == pytest.approx(stepped.position(0), abs=1e-5)
    assert state["cycle"] == nonrt.rt_status.cycle


def test_without_a_valid_state_block_there_is_none(rt: Segment, reader: Segment) -> None:
    assert read_state(reader) is None
