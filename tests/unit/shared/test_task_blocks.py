"""Blocks: what they compile to, what is refused, and random definitions."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from shared.axes import axis_configs
from shared.config import Config, ConfigError
from shared.core import ffi, lib
from shared.enums import Compare, ConditionSource, Join, LatePolicy, OnFailure, OpKind, TaskMode
from shared.program import MAX_OPS, Compiled, compile_document

HOT = {"key": "cell.temperature", "op": ">", "value": 60.0}


class Names:
    """Gives each step a name of its own."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        return f"s{self.count}"


def wait(name: str, seconds: float = 0.1, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "wait", "parameters": {"duration_s": seconds}, **more}


def move(name: str, axis: str, position: float = 0.5, **more: Any) -> dict[str, Any]:
    parameters = {"target": {axis: position}, "velocity_scale": 0.5}
    return {"name": name, "type": "move_joints", "parameters": parameters, **more}


def log(name: str) -> dict[str, Any]:
    return {"name": name, "type": "log", "parameters": {"message": name}}


def repeat(name: str, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "repeat", "actions": list(steps), **(more or {"count": 3})}


def parallel(name: str, *branches: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "parallel", "branches": list(branches), **more}


def if_(
    name: str, then: list[Any], else_: list[Any] | None = None, condition: Any = HOT
) -> dict[str, Any]:
    # A copy: one test writes into what it gets.
    block = {"name": name, "type": "if", "condition": deepcopy(condition), "then": then}
    return block if else_ is None else {**block, "else": else_}


def definition(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "t", "sequence": {"name": "s", "actions": list(steps)}, **fields}


def compiled(config: Config, *steps: dict[str, Any], **fields: Any) -> Any:
    """The slot that the definition compiles to."""
    return slot_of(compile_document(definition(*steps, **fields), config, source="body"))


def slot_of(result: Compiled) -> Any:
    slot = ffi.new("struct mxrc_program_slot *")
    ffi.memmove(slot, result.program.data, len(result.program.data))
    return slot


def kinds(slot: Any) -> list[str]:
    return [OpKind(slot.op[index].kind).name for index in range(slot.program.op_count)]


def nexts(slot: Any) -> list[int]:
    return [slot.op[index].next for index in range(slot.program.op_count)]


def test_if_else(config: Config) -> None:
    slot = compiled(config, if_("hot", [log("a"), log("b")], [log("c")]), wait("d"))
    assert kinds(slot) == ["IF", "LOG", "LOG", "LOG", "WAIT", "END"]
    assert nexts(slot)[:5] == [1, 2, 4, 4, 5]
    head = slot.op[0]
    assert (head.target, head.condition.source) == (3, ConditionSource.KEY)
    assert (head.condition.compare, head.condition.value) == (Compare.GT, 60.0)
    assert config.datastore.keys[head.condition.key].name == "cell.temperature"


def test_if_without_else_at_the_end(config: Config) -> None:
    slot = compiled(config, if_("hot", [log("a")]))
    assert kinds(slot) == ["IF", "LOG", "END"]
    assert (slot.op[0].target, slot.op[1].next) == (2, 2)


def test_repeat_in_repeat(config: Config) -> None:
    inner = repeat("inner", wait("a"), **{"while": HOT, "count": 9})
    slot = compiled(config, repeat("outer", inner, count=2), log("b"))
    assert kinds(slot) == ["REPEAT", "REPEAT", "WAIT", "JUMP", "JUMP", "LOG", "END"]
    assert nexts(slot)[:5] == [1, 2, 3, 1, 0]
    assert [(slot.op[at].count, slot.op[at].key, slot.op[at].target) for at in (0, 1)] == [
        (2, 0, 5),
        (9, 1, 4),
    ]
    assert slot.op[0].condition.source == ConditionSource.NONE
    assert slot.op[1].condition.source == ConditionSource.KEY


def test_parallel(config: Config) -> None:
    block = parallel(
        "both",
        [move("a", "base"), wait("b")],
        [move("c", "elbow"), repeat("r", wait("d"))],
        wait="first",
        timeout_ms=5000,
        on_failure="skip",
    )
    slot = compiled(config, block, log("e"))
    assert kinds(slot)[0] == "PARALLEL"
    assert kinds(slot)[3:] == ["MOVE_JOINTS", "REPEAT", "WAIT", "JUMP", "JOIN", "LOG", "END"]
    head = slot.op[0]
    assert (list(head.branch), head.target) == ([1, 3, 0, 0], 7)
    assert (head.key, head.timeout_ns, head.on_failure) == (Join.FIRST, 5_000_000_000, 1)
    join = kinds(slot).index("JOIN")
    assert head.target == join
    assert nexts(slot)[2] == join
    assert slot.op[kinds(slot).index("REPEAT")].target == join
    assert slot.program.axes == 0b101


def test_a_hold_in_a_branch_holds_what_the_branch_moves(config: Config) -> None:
    hold = {"name": "h", "type": "hold", "parameters": {"duration_s": 1}}
    slot = compiled(config, parallel("p", [move("a", "base"), hold], [move("c", "elbow")]))
    assert slot.op[kinds(slot).index("HOLD")].axes == 0b1
    named = {**hold, "parameters": {"duration_s": 1, "axes": ["elbow", "flange"]}}
    slot = compiled(config, move("a", "base"), named)
    assert (slot.op[1].axes, slot.program.axes) == (0b100100, 0b100101)


RECOVERY = {"retreat": [log("r1"), move("r2", "base", 0.0)]}


def test_a_recovery_that_fails_the_task_is_laid_out_once(config: Config) -> None:
    failing: dict[str, Any] = {"on_failure": {"recovery": "retreat"}}
    steps = [move("a", "base", **failing), move("b", "base", 0.1, **failing)]
    slot = compiled(config, *steps, recovery=RECOVERY)
    assert kinds(slot) == ["MOVE_JOINTS", "MOVE_JOINTS", "LOG", "MOVE_JOINTS", "FAIL", "END"]
    assert nexts(slot)[:4] == [1, 5, 3, 4]
    assert [(slot.op[at].on_failure, slot.op[at].recovery) for at in (0, 1)] == [
        (OnFailure.RECOVERY, 2)
    ] * 2


def test_a_recovery_that_goes_on(config: Config) -> None:
    failing: dict[str, Any] = {"on_failure": {"recovery": "retreat", "then": "continue"}}
    slot = compiled(config, move("a", "base", **failing), log("b"), recovery=RECOVERY)
    assert kinds(slot) == ["MOVE_JOINTS", "LOG", "MOVE_JOINTS", "LOG", "END"]
    assert (nexts(slot)[:4], slot.op[0].recovery) == ([3, 2, 3, 4], 1)


def test_a_recovery_in_a_branch_and_of_a_block(config: Config) -> None:
    failing: dict[str, Any] = {"on_failure": {"recovery": "retreat"}}
    block = parallel("p", [move("a", "base", **failing)], [wait("b")], **failing)
    slot = compiled(config, block, recovery=RECOVERY)
    assert kinds(slot) == [
        *("PARALLEL", "MOVE_JOINTS", "LOG", "MOVE_JOINTS", "FAIL", "WAIT", "JOIN"),
        *("LOG", "MOVE_JOINTS", "FAIL", "END"),
    ]
    assert (slot.op[0].recovery, slot.op[1].recovery) == (7, 2)


def test_via_points_and_profile(config: Config) -> None:
    via = [{"base": 0.1 * point} for point in range(1, 6)]
    parameters = {"target": {"base": 1.0}, "via": via, "duration_s": 9, "profile": "trapezoidal"}
    action = {"name": "a", "type": "move_joints", "parameters": parameters}
    slot = compiled(config, action, log("b"))
    assert kinds(slot) == ["MOVE_JOINTS", "VIA", "VIA", "VIA", "LOG", "END"]
    assert (slot.op[0].next, slot.op[0].count, slot.op[0].key) == (4, 5, 1)
    points = [slot.op[1 + at // 2].args[8 * (at % 2)] for at in range(5)]
    assert points == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_events(config: Config) -> None:
    def listen(name: str, **condition: Any) -> dict[str, Any]:
        parameters = {"condition": {"event": "belt.stopped", **condition}}
        return {"name": name, "type": "wait_for", "parameters": parameters, "timeout_ms": 100}

    emit = {"topic": "arm.ready", "values": [1, 2.5]}
    steps = [
        {"name": "tell", "type": "emit_event", "parameters": emit},
        listen("any"),
        listen("two", op=">=", value=2),
    ]
    slot = compiled(config, *steps)
    assert (slot.op[0].count, list(slot.op[0].args[0:2])) == (2, [1.0, 2.5])
    assert slot.program.topic_count == 1
    assert [slot.op[at].condition.source for at in (1, 2)] == [ConditionSource.EVENT] * 2
    assert slot.op[1].condition.value < -1e308
    assert (slot.op[2].condition.value, slot.op[2].condition.compare) == (2.0, Compare.GE)


def test_triggered_and_late(config: Config) -> None:
    trigger = {"key": "cell.part_ready", "value": True, "rearm_ms": 250}
    slot = compiled(config, log("a"), mode="triggered", trigger=trigger, still_running="queue")
    program = slot.program
    assert (program.mode, program.on_late) == (TaskMode.TRIGGERED, LatePolicy.QUEUE)
    assert (program.rearm_ns, program.trigger.edge, program.trigger.value) == (250_000_000, 1, 1.0)


def test_progress_grows(config: Config) -> None:
    steps = [wait("a", 1), repeat("r", wait("b", 1), count=8), wait("c", 1)]
    slot = compiled(config, *steps)
    progress = [slot.op[at].progress for at in range(slot.program.op_count)]
    assert progress == [0, 100, 100, 900, 900, 1000]


ACTIONS = "$.sequence.actions"
DEEP = repeat("a", repeat("b", repeat("c", repeat("d", repeat("e", wait("f"))))))
BEYOND = {"key": "tool.offset", "element": 3, "value": 1}
WAITS = [wait(f"w{at}") for at in range(80)]


@pytest.mark.parametrize(
    ("content", "place", "step", "words"),
    [
        (
            definition(parallel("p", [move("a", "base")], [move("b", "base")])),
            f"{ACTIONS}[0].branches[1]",
            "p",
            "must not drive axes of another branch: base",
        ),
        (
            definition(parallel("p", [parallel("q", [wait("a")], [wait("b")])], [wait("c")])),
            f"{ACTIONS}[0].branches[0][0].type",
            "p/q",
            "must not be parallel inside of a branch",
        ),
        (
            definition(repeat("r", if_("i", [move("a", "elbwo")]))),
            f"{ACTIONS}[0].actions[0].then[0].parameters.target.elbwo",
            "r/i/a",
            "must be for an axis of robot.json",
        ),
        (
            definition(repeat("r", wait("a"), wait("a"))),
            f"{ACTIONS}[0].actions[1].name",
            "r/a",
            "must be a name that no other step has",
        ),
        (
            definition(wait("a", on_failure={"recovery": "retrat"}), recovery=RECOVERY),
            f"{ACTIONS}[0].on_failure.recovery",
            "a",
            "must name a sequence under recovery; there is: retreat",
        ),
        (
            definition(wait("a"), recovery={"x": [wait("b", on_failure={"recovery": "x"})]}),
            "$.recovery.x[0].on_failure",
            "b",
            "inside of a recovery sequence",
        ),
        (
            definition({**repeat("r", wait("a")), "count": 0}),
            f"{ACTIONS}[0].count",
            "r",
            "from 1 to",
        ),
        (
            definition({"name": "r", "type": "repeat", "actions": [wait("a")]}),
            f"{ACTIONS}[0].count",
            "r",
            "must be given when while is not",
        ),
        (
            definition(repeat("r", log("a"), **{"while": HOT})),
            "",
            "r",
            "a round may take no time",
        ),
        (
            definition(DEEP),
            "",
            "a/b/c/d/e",
            "nests at most 4 deep",
        ),
        (
            definition(if_("i", [])),
            f"{ACTIONS}[0].then",
            "i",
            "a list of 1 to 62 steps",
        ),
        (
            definition(if_("i", [wait("a")], condition={"key": "cell.temprature", "value": 1})),
            f"{ACTIONS}[0].condition.key",
            "i",
            "must be a key of datastore.json",
        ),
        (
            definition(if_("i", [wait("a")], condition=BEYOND)),
            f"{ACTIONS}[0].condition.element",
            "i",
            "must be below 3",
        ),
        (
            definition(repeat("r", *WAITS[:32]), *WAITS[32:]),
            "",
            "w61",
            f"at most {MAX_OPS} operations",
        ),
    ],
)
def test_refusals(config: Config, content: Any, place: str, step: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        compile_document(content, config, source="body")
    problem = raised.value.problems[0]
    assert (problem.json_path, problem.step) == (place, step)
    assert words in problem.allowed


def test_a_round_may_come_from_its_own_end(config: Config) -> None:
    """From before the block the move is short; from the end of the round it is too fast."""
    quick = move("far", "base", 0.0)
    quick["parameters"] = {"target": {"base": 0.0}, "duration_s": 0.5}
    steps = [move("near", "base", 0.1), repeat("r", quick, move("away", "base", 2.0))]
    with pytest.raises(ConfigError) as raised:
        compile_document(definition(*steps), config, source="body")
    assert raised.value.problems[0].step == "r/far"
    compile_document(definition(steps[0], repeat("r", quick)), config, source="body")


AXES = ("base", "shoulder", "elbow", "wrist_roll")


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    if draw(st.booleans()):
        return {"event": draw(st.sampled_from(["a", "b", "c"]))}
    key, value = draw(
        st.sampled_from(
            [("cell.temperature", 3.5), ("cell.part_ready", True), ("parts.placed", 2), ("x", 1)]
            if draw(st.integers(0, 20)) == 0
            else [("cell.temperature", 3.5), ("cell.part_ready", True), ("parts.placed", 2)]
        )
    )
    return {"key": key, "op": draw(st.sampled_from(["==", "!="])), "value": value}


@st.composite
def actions(draw: st.DrawFn, axes: tuple[str, ...], recover: bool) -> dict[str, Any]:
    kind = draw(st.sampled_from(["wait", "move", "move", "log", "hold", "wait_for", "emit", "set"]))
    choices: list[Any] = ["fail", "skip", "safe_mode"]
    if recover:
        then = draw(st.sampled_from(["fail", "continue"]))
        choices.append({"recovery": "back", "then": then})
    rest = {"retries": draw(st.integers(0, 3)), "on_failure": draw(st.sampled_from(choices))}
    if kind == "wait":
        step = wait("", draw(st.floats(0.001, 100)))
    elif kind == "move" and axes:
        axis, position = draw(st.sampled_from(axes)), st.sampled_from([-1.9, 0.0, 0.5, 1.9])
        step = move("", axis, draw(position))
        via = draw(st.lists(position, max_size=4))
        step["parameters"]["via"] = [{axis: point} for point in via]
    elif kind == "hold":
        named = list(axes[:1]) or None
        step = {"type": "hold", "parameters": {"duration_s": 0.1, "axes": named}}
    elif kind == "wait_for":
        step = {"type": "wait_for", "parameters": {"condition": draw(conditions())}}
    elif kind == "emit":
        step = {"type": "emit_event", "parameters": {"topic": "a", "values": [1.5]}}
    elif kind == "set":
        value = draw(st.integers(-1, 3))
        step = {"type": "set_value", "parameters": {"key": "parts.placed", "value": value}}
    else:
        step = log("x")
    return {**step, **rest}


@st.composite
def blocks(
    draw: st.DrawFn, axes: tuple[str, ...], depth: int, recover: bool = True
) -> list[dict[str, Any]]:
    found = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["action", "action", "if", "repeat", "parallel"]))
        if kind == "action" or depth == 0:
            found.append(draw(actions(axes, recover)))
            continue

        def body(over: tuple[str, ...] = axes) -> list[dict[str, Any]]:
            return draw(blocks(over, depth - 1, recover))

        if kind == "if":
            step = if_("", body(), body() if draw(st.booleans()) else None)
            step["condition"] = draw(conditions())
        elif kind == "repeat":
            step = repeat("", *body())
            if draw(st.booleans()):
                step["while"] = draw(conditions())
                step["count"] = draw(st.none() | st.integers(1, 1000))
        else:
            half = len(axes) // 2
            step = parallel("", body(axes[:half]), body(axes[half:]))
            step["wait"] = draw(st.sampled_from(["all", "first"]))
        found.append(step)
    return found


def give_names(steps: Any, names: Names) -> None:
    for step in steps:
        step["name"] = names()
        for body in (
            step.get("actions"),
            step.get("then"),
            step.get("else"),
            *step.get("branches", ()),
        ):
            give_names(body or (), names)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    steps=blocks(AXES, 3),
    recovery=blocks(AXES[:1], 1, recover=False),
    mode=st.sampled_from(["once", "periodic"]),
)
def test_random_definitions(config: Config, steps: Any, recovery: Any, mode: str) -> None:
    names = Names()
    give_names(steps, names)
    give_names(recovery, names)
    content = definition(
        *steps, recovery={"back": recovery}, mode=mode, period_ms=1000, still_running="queue"
    )
    try:
        result = compile_document(content, config, source="body")
    except ConfigError as refused:
        event("refused")
        for problem in refused.problems:
            assert "refused by the core" not in problem.allowed, problem
        return
    event("compiled")
    slot, bad = slot_of(result), ffi.new("uint32_t *")
    axes, count = axis_configs(config.robot), len(config.robot.axes)
    keys = len(config.datastore.keys)
    assert lib.mxrc_program_validate(slot, axes, count, keys, bad) == 0
    progress = [slot.op[at].progress for at in range(slot.program.op_count)]
    assert progress[-1] == 1000
    assert all(0 <= one < 1000 for one in progress[:-1])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$param", "name", "type", "actions", "target", "via", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_anything_in_any_place_is_taken_or_refused(config: Config, data: st.DataObject) -> None:
    """A right definition with a value of any kind somewhere in it."""
    content: Any = definition(
        move("a", "base"),
        if_("i", [log("b")], [parallel("p", [wait("c")], [wait("d")])]),
        repeat("r", wait("e", on_failure={"recovery": "back"})),
        recovery={"back": [log("f")]},
        parameters={"p": {"type": "double", "default": 1.0}, "q": 2},
    )
    value = content
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = data.draw(st.sampled_from(keys))
        inner = value[key]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
            value[key] = data.draw(JSON)
            break
        value = inner
    with suppress(ConfigError):
        compile_document(content, config, source="body")
