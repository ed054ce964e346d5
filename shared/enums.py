"""The enumerations of the C core as IntEnum; the values come from the core.

A member of the C enumeration that is missing here fails a unit test (`C_NAMES`). Needs no numpy.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

from shared.core import lib


class Writer(IntEnum):
    """Who may write a region."""

    CREATOR = lib.MXRC_WRITER_CREATOR
    RT = lib.MXRC_WRITER_RT
    MEMBER = lib.MXRC_WRITER_MEMBER
    NONRT = lib.MXRC_WRITER_NONRT
    LEASE = lib.MXRC_WRITER_LEASE


class RegionId(IntEnum):
    """Regions of the segment; MEMBER and LANE are the first of a row."""

    HEADER = lib.MXRC_REGION_HEADER
    CLOCK = lib.MXRC_REGION_CLOCK
    LEASE = lib.MXRC_REGION_LEASE
    RT_STATUS = lib.MXRC_REGION_RT_STATUS
    RT_METRICS = lib.MXRC_REGION_RT_METRICS
    CYCLE_RING = lib.MXRC_REGION_CYCLE_RING
    STATE = lib.MXRC_REGION_STATE
    PROGRAMS = lib.MXRC_REGION_PROGRAMS
    DATA_DIRECTORY = lib.MXRC_REGION_DATA_DIRECTORY
    DATA_RT = lib.MXRC_REGION_DATA_RT
    DATA_NONRT = lib.MXRC_REGION_DATA_NONRT
    NAMES_RT = lib.MXRC_REGION_NAMES_RT
    NAMES_NONRT = lib.MXRC_REGION_NAMES_NONRT
    NONRT_STATUS = lib.MXRC_REGION_NONRT_STATUS
    CONTROL = lib.MXRC_REGION_CONTROL
    CURSORS = lib.MXRC_REGION_CURSORS
    COMMANDS = lib.MXRC_REGION_COMMANDS
    STAGING = lib.MXRC_REGION_STAGING
    ADMIN_REQUEST = lib.MXRC_REGION_ADMIN_REQUEST
    NONRT_DOCUMENT = lib.MXRC_REGION_NONRT_DOCUMENT
    ENTRIES = lib.MXRC_REGION_ENTRIES
    MEMBER = lib.MXRC_REGION_MEMBER
    LANE = lib.MXRC_REGION_LANE


class SegmentState(IntEnum):
    """Life of a generation."""

    BUILDING = lib.MXRC_SEGMENT_BUILDING
    LIVE = lib.MXRC_SEGMENT_LIVE
    RETIRED = lib.MXRC_SEGMENT_RETIRED


class Access(IntEnum):
    """What an attached process may write."""

    READ = lib.MXRC_ACCESS_READ
    NONRT = lib.MXRC_ACCESS_NONRT
    RT = lib.MXRC_ACCESS_RT


class OpenResult(IntEnum):
    """What opening a segment found."""

    OK = lib.MXRC_OPEN_OK
    ABSENT = lib.MXRC_OPEN_ABSENT
    FOREIGN = lib.MXRC_OPEN_FOREIGN
    LAYOUT = lib.MXRC_OPEN_LAYOUT
    CORRUPT = lib.MXRC_OPEN_CORRUPT
    NO_SPACE = lib.MXRC_OPEN_NO_SPACE
    SYSTEM = lib.MXRC_OPEN_SYSTEM
    BUILDING = lib.MXRC_OPEN_BUILDING
    BUSY = lib.MXRC_OPEN_BUSY
    LOCK = lib.MXRC_OPEN_LOCK


class Role(IntEnum):
    """Process role."""

    NONE = lib.MXRC_ROLE_NONE
    STANDBY = lib.MXRC_ROLE_STANDBY
    PRIMARY = lib.MXRC_ROLE_PRIMARY


class RtState(IntEnum):
    """RT state."""

    INIT = lib.MXRC_STATE_INIT
    READY = lib.MXRC_STATE_READY
    RUNNING = lib.MXRC_STATE_RUNNING
    PAUSED = lib.MXRC_STATE_PAUSED
    SAFE_MODE = lib.MXRC_STATE_SAFE_MODE
    ERROR = lib.MXRC_STATE_ERROR
    SHUTDOWN = lib.MXRC_STATE_SHUTDOWN


class RtEvent(IntEnum):
    """RT event."""

    START = lib.MXRC_RT_START
    PAUSE = lib.MXRC_RT_PAUSE
    RESUME = lib.MXRC_RT_RESUME
    STOP = lib.MXRC_RT_STOP
    ERROR_OCCUR = lib.MXRC_RT_ERROR_OCCUR
    SAFE_MODE_ENTER = lib.MXRC_RT_SAFE_MODE_ENTER
    SAFE_MODE_EXIT = lib.MXRC_RT_SAFE_MODE_EXIT
    RESET = lib.MXRC_RT_RESET
    LOADED = lib.MXRC_RT_LOADED


class SafeCause(IntEnum):
    """Why SAFE_MODE was entered."""

    NONE = lib.MXRC_SAFE_NONE
    REQUEST = lib.MXRC_SAFE_REQUEST
    LAW_FAULT = lib.MXRC_SAFE_LAW_FAULT
    HEARTBEAT = lib.MXRC_SAFE_HEARTBEAT
    OVERRUN = lib.MXRC_SAFE_OVERRUN
    DRIVER = lib.MXRC_SAFE_DRIVER
    TASK = lib.MXRC_SAFE_TASK
    LEASE = lib.MXRC_SAFE_LEASE
    ENTRY = lib.MXRC_SAFE_ENTRY


class EntryRun(IntEnum):
    """What a schedule entry runs; all but CODE are stages of every cycle."""

    INPUTS = lib.MXRC_RUN_INPUTS
    TASKS = lib.MXRC_RUN_TASKS
    LAW = lib.MXRC_RUN_LAW
    OUTPUTS = lib.MXRC_RUN_OUTPUTS
    RECORDS = lib.MXRC_RUN_RECORDS
    CODE = lib.MXRC_RUN_CODE


class Criticality(IntEnum):
    """What becomes of a schedule entry after a late cycle."""

    LOW = lib.MXRC_CRITICALITY_LOW
    NORMAL = lib.MXRC_CRITICALITY_NORMAL
    HIGH = lib.MXRC_CRITICALITY_HIGH


class CycleFlag(IntFlag):
    """Flags of a cycle record."""

    DEADLINE_MISS = lib.MXRC_CYCLE_DEADLINE_MISS
    OVERRUN = lib.MXRC_CYCLE_OVERRUN
    SKIPPED_BEFORE = lib.MXRC_CYCLE_SKIPPED_BEFORE
    WARMUP = lib.MXRC_CYCLE_WARMUP
    FIRST = lib.MXRC_CYCLE_FIRST
    OUTPUTS_HELD = lib.MXRC_CYCLE_OUTPUTS_HELD
    EXTENDED = lib.MXRC_CYCLE_EXTENDED
    TOMBSTONE = lib.MXRC_CYCLE_TOMBSTONE
    LIMITED = lib.MXRC_CYCLE_LIMITED


class EventKind(IntEnum):
    """Kinds of event records."""

    TOMBSTONE = lib.MXRC_EVENT_TOMBSTONE
    LOG = lib.MXRC_EVENT_LOG
    SPAN = lib.MXRC_EVENT_SPAN
    STATE = lib.MXRC_EVENT_STATE
    TASK = lib.MXRC_EVENT_TASK
    REPLY = lib.MXRC_EVENT_REPLY
    BUS = lib.MXRC_EVENT_BUS


class Level(IntEnum):
    """Log levels."""

    TRACE = lib.MXRC_LEVEL_TRACE
    DEBUG = lib.MXRC_LEVEL_DEBUG
    INFO = lib.MXRC_LEVEL_INFO
    WARN = lib.MXRC_LEVEL_WARN
    ERROR = lib.MXRC_LEVEL_ERROR
    CRITICAL = lib.MXRC_LEVEL_CRITICAL


class SpanOperation(IntEnum):
    """Operations of RT spans."""

    TASK_EXECUTE = lib.MXRC_SPAN_TASK_EXECUTE
    SEQUENCE_RUN = lib.MXRC_SPAN_SEQUENCE_RUN
    ACTION_EXECUTE = lib.MXRC_SPAN_ACTION_EXECUTE
    EVENTBUS_PUBLISH = lib.MXRC_SPAN_EVENTBUS_PUBLISH
    RT_CYCLE = lib.MXRC_SPAN_RT_CYCLE
    EVENTBUS_PROCESS = lib.MXRC_SPAN_EVENTBUS_PROCESS


class SpanStatus(IntEnum):
    """Status of a span."""

    UNSET = lib.MXRC_SPAN_UNSET
    OK = lib.MXRC_SPAN_OK
    ERROR = lib.MXRC_SPAN_ERROR


class TaskStatus(IntEnum):
    """Status of a task or an action."""

    PENDING = lib.MXRC_TASK_PENDING
    RUNNING = lib.MXRC_TASK_RUNNING
    COMPLETED = lib.MXRC_TASK_COMPLETED
    FAILED = lib.MXRC_TASK_FAILED
    CANCELLED = lib.MXRC_TASK_CANCELLED
    TIMEOUT = lib.MXRC_TASK_TIMEOUT


class StateSection(IntEnum):
    """Sections of a state block."""

    EXECUTIVE = lib.MXRC_SECTION_EXECUTIVE
    AXES = lib.MXRC_SECTION_AXES
    TASKS = lib.MXRC_SECTION_TASKS
    DRIVER = lib.MXRC_SECTION_DRIVER
    LAW = lib.MXRC_SECTION_LAW
    BRANCHES = lib.MXRC_SECTION_BRANCHES
    TASK_LAWS = lib.MXRC_SECTION_TASK_LAWS


class CommandKind(IntEnum):
    """Kinds of commands."""

    NONE = lib.MXRC_COMMAND_NONE
    RT_EVENT = lib.MXRC_COMMAND_RT_EVENT
    TASK_START = lib.MXRC_COMMAND_TASK_START
    TASK_CANCEL = lib.MXRC_COMMAND_TASK_CANCEL
    TASK_PAUSE = lib.MXRC_COMMAND_TASK_PAUSE
    TASK_RESUME = lib.MXRC_COMMAND_TASK_RESUME
    BUS_EVENT = lib.MXRC_COMMAND_BUS_EVENT
    NOOP = lib.MXRC_COMMAND_NOOP


class Result(IntEnum):
    """Outcome of a command, an action or a task."""

    OK = lib.MXRC_OK
    ERR_INVALID = lib.MXRC_ERR_INVALID
    ERR_STATE = lib.MXRC_ERR_STATE
    ERR_BUSY = lib.MXRC_ERR_BUSY
    ERR_UNKNOWN = lib.MXRC_ERR_UNKNOWN
    ERR_LIMIT = lib.MXRC_ERR_LIMIT
    ERR_TIMEOUT = lib.MXRC_ERR_TIMEOUT
    ERR_LAW = lib.MXRC_ERR_LAW
    ERR_CANCELLED = lib.MXRC_ERR_CANCELLED
    ERR_RESTART = lib.MXRC_ERR_RESTART
    ERR_SAFE_MODE = lib.MXRC_ERR_SAFE_MODE
    ERR_ERROR_STATE = lib.MXRC_ERR_ERROR_STATE
    ERR_CORRUPT = lib.MXRC_ERR_CORRUPT


class OpKind(IntEnum):
    """Operations of a program."""

    END = lib.MXRC_OP_END
    MOVE_JOINTS = lib.MXRC_OP_MOVE_JOINTS
    WAIT = lib.MXRC_OP_WAIT
    HOLD = lib.MXRC_OP_HOLD
    LOG = lib.MXRC_OP_LOG
    SET_VALUE = lib.MXRC_OP_SET_VALUE
    SAFE_STOP = lib.MXRC_OP_SAFE_STOP
    WAIT_FOR = lib.MXRC_OP_WAIT_FOR
    CONTROL_LAW = lib.MXRC_OP_CONTROL_LAW
    EMIT_EVENT = lib.MXRC_OP_EMIT_EVENT
    IF = lib.MXRC_OP_IF
    REPEAT = lib.MXRC_OP_REPEAT
    PARALLEL = lib.MXRC_OP_PARALLEL
    JOIN = lib.MXRC_OP_JOIN
    VIA = lib.MXRC_OP_VIA
    FAIL = lib.MXRC_OP_FAIL
    JUMP = lib.MXRC_OP_JUMP


class Compare(IntEnum):
    """Comparisons of a condition."""

    EQ = lib.MXRC_COMPARE_EQ
    NE = lib.MXRC_COMPARE_NE
    LT = lib.MXRC_COMPARE_LT
    LE = lib.MXRC_COMPARE_LE
    GT = lib.MXRC_COMPARE_GT
    GE = lib.MXRC_COMPARE_GE


class ConditionSource(IntEnum):
    """What a condition looks at."""

    NONE = lib.MXRC_CONDITION_NONE
    KEY = lib.MXRC_CONDITION_KEY
    EVENT = lib.MXRC_CONDITION_EVENT


class Profile(IntEnum):
    """Shapes of a move over time."""

    MINIMUM_JERK = lib.MXRC_PROFILE_MINIMUM_JERK
    TRAPEZOIDAL = lib.MXRC_PROFILE_TRAPEZOIDAL


class Join(IntEnum):
    """When a parallel block is done."""

    ALL = lib.MXRC_JOIN_ALL
    FIRST = lib.MXRC_JOIN_FIRST


class LatePolicy(IntEnum):
    """What becomes of a run that is due while the last one is still going."""

    SKIP = lib.MXRC_LATE_SKIP
    QUEUE = lib.MXRC_LATE_QUEUE


class OnFailure(IntEnum):
    """What a failed action does to its task."""

    TASK = lib.MXRC_FAIL_TASK
    SKIP = lib.MXRC_FAIL_SKIP
    SAFE_MODE = lib.MXRC_FAIL_SAFE_MODE
    RECOVERY = lib.MXRC_FAIL_RECOVERY


class RestartPolicy(IntEnum):
    """What becomes of a task after a restart."""

    RESUME = lib.MXRC_RESTART_RESUME
    RESTART = lib.MXRC_RESTART_RESTART
    FAIL = lib.MXRC_RESTART_FAIL


class TaskMode(IntEnum):
    """How a task runs."""

    ONCE = lib.MXRC_MODE_ONCE
    PERIODIC = lib.MXRC_MODE_PERIODIC
    TRIGGERED = lib.MXRC_MODE_TRIGGERED


class NameKind(IntEnum):
    """Kinds of interned names."""

    TASK = lib.MXRC_NAME_TASK
    SEQUENCE = lib.MXRC_NAME_SEQUENCE
    ACTION = lib.MXRC_NAME_ACTION
    LAW = lib.MXRC_NAME_LAW
    KEY = lib.MXRC_NAME_KEY
    AXIS = lib.MXRC_NAME_AXIS
    ENTRY = lib.MXRC_NAME_ENTRY
    TOPIC = lib.MXRC_NAME_TOPIC


class DataType(IntEnum):
    """Types of the data store."""

    BOOL = lib.MXRC_DATA_BOOL
    INT64 = lib.MXRC_DATA_INT64
    DOUBLE = lib.MXRC_DATA_DOUBLE
    DOUBLE_ARRAY = lib.MXRC_DATA_DOUBLE_ARRAY
    STRING = lib.MXRC_DATA_STRING


class WaitMode(IntEnum):
    """How the executive waits for a slot."""

    SLEEP = lib.MXRC_WAIT_SLEEP
    HYBRID = lib.MXRC_WAIT_HYBRID
    BUSY = lib.MXRC_WAIT_BUSY


class OverrunPolicy(IntEnum):
    """What becomes of a slot whose start has passed."""

    SKIP = lib.MXRC_OVERRUN_SKIP
    CATCH_UP = lib.MXRC_OVERRUN_CATCH_UP
    REBASE = lib.MXRC_OVERRUN_REBASE
    SAFE = lib.MXRC_OVERRUN_SAFE


class SafeAction(IntEnum):
    """What an axis does in SAFE_MODE and ERROR."""

    HOLD = lib.MXRC_SAFE_HOLD
    RAMP = lib.MXRC_SAFE_RAMP
    GOTO = lib.MXRC_SAFE_GOTO


class DriverKind(IntEnum):
    """Drivers."""

    SIMULATED = lib.MXRC_DRIVER_SIMULATED
    PROCESS_IMAGE = lib.MXRC_DRIVER_PROCESS_IMAGE


class LawCommand(IntEnum):
    """What the command of an axis means."""

    POSITION = lib.MXRC_LAW_POSITION
    EFFORT = lib.MXRC_LAW_EFFORT


class ImageCommand(IntEnum):
    """What the command of an axis means to a plant."""

    SAFE = lib.MXRC_IMAGE_SAFE
    POSITION = lib.MXRC_IMAGE_POSITION
    EFFORT = lib.MXRC_IMAGE_EFFORT


class ImageTake(IntEnum):
    """What a plant found in its process image."""

    HELD = lib.MXRC_IMAGE_HELD
    TAKEN = lib.MXRC_IMAGE_TAKEN
    STOPPED = lib.MXRC_IMAGE_STOPPED


C_NAMES: Final[dict[type[IntEnum] | type[IntFlag], tuple[str, str]]] = {
    Writer: ("mxrc_writer", "MXRC_WRITER_"),
    RegionId: ("mxrc_region_id", "MXRC_REGION_"),
    SegmentState: ("mxrc_segment_state", "MXRC_SEGMENT_"),
    Access: ("mxrc_access", "MXRC_ACCESS_"),
    OpenResult: ("mxrc_open_result", "MXRC_OPEN_"),
    Role: ("mxrc_role", "MXRC_ROLE_"),
    RtState: ("mxrc_rt_state", "MXRC_STATE_"),
    RtEvent: ("mxrc_rt_event", "MXRC_RT_"),
    SafeCause: ("mxrc_safe_cause", "MXRC_SAFE_"),
    EntryRun: ("mxrc_entry_run", "MXRC_RUN_"),
    Criticality: ("mxrc_criticality", "MXRC_CRITICALITY_"),
    CycleFlag: ("mxrc_cycle_flag", "MXRC_CYCLE_"),
    EventKind: ("mxrc_event_kind", "MXRC_EVENT_"),
    Level: ("mxrc_level", "MXRC_LEVEL_"),
    SpanOperation: ("mxrc_span_operation", "MXRC_SPAN_"),
    SpanStatus: ("mxrc_span_status", "MXRC_SPAN_"),
    TaskStatus: ("mxrc_task_status", "MXRC_TASK_"),
    StateSection: ("mxrc_state_section_id", "MXRC_SECTION_"),
    CommandKind: ("mxrc_command_kind", "MXRC_COMMAND_"),
    Result: ("mxrc_result", "MXRC_"),
    OpKind: ("mxrc_op_kind", "MXRC_OP_"),
    Compare: ("mxrc_compare", "MXRC_COMPARE_"),
    ConditionSource: ("mxrc_condition_source", "MXRC_CONDITION_"),
    Profile: ("mxrc_profile", "MXRC_PROFILE_"),
    Join: ("mxrc_join", "MXRC_JOIN_"),
    LatePolicy: ("mxrc_late_policy", "MXRC_LATE_"),
    OnFailure: ("mxrc_on_failure", "MXRC_FAIL_"),
    RestartPolicy: ("mxrc_restart_policy", "MXRC_RESTART_"),
    TaskMode: ("mxrc_task_mode", "MXRC_MODE_"),
    NameKind: ("mxrc_name_kind", "MXRC_NAME_"),
    DataType: ("mxrc_data_type", "MXRC_DATA_"),
    WaitMode: ("mxrc_wait_mode", "MXRC_WAIT_"),
    OverrunPolicy: ("mxrc_overrun_policy", "MXRC_OVERRUN_"),
    SafeAction: ("mxrc_safe_action", "MXRC_SAFE_"),
    DriverKind: ("mxrc_driver_kind", "MXRC_DRIVER_"),
    LawCommand: ("mxrc_law_command", "MXRC_LAW_"),
    ImageCommand: ("mxrc_image_command", "MXRC_IMAGE_"),
    ImageTake: ("mxrc_image_take", "MXRC_IMAGE_"),
}
"""Enumeration -> its name in C and the prefix of its members there."""


def name_of(enumeration: type[IntEnum], value: int) -> str:
    """Name of `value`, or e.g. "RtState(17)" for one that this build does not know."""
    try:
        return enumeration(value).name
    except ValueError:
        return f"{enumeration.__name__}({value})"
