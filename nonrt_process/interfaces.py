"""What the parts of the Non-RT process offer each other. Parts import this file, never each other.

A Protocol here is a service name too: `context.provide(TaskService, service)`,
`context.get(TaskService)`. All methods may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from shared.enums import CommandKind, NameKind, Result, RtEvent, RtState

if TYPE_CHECKING:
    from prometheus_client.core import Metric
    from starlette.requests import Request

    from nonrt_process.outcome import Outcome
    from nonrt_process.plugins import Plugin
    from shared.config.models.cpu_affinity import IsolationMode
    from shared.config.models.numa_binding import MemoryPolicy
    from shared.datastore import Key
    from shared.trace_context import TraceContext

ProcessName = Literal["rt_process", "non_rt_process"]
PROCESSES: tuple[ProcessName, ...] = ("rt_process", "non_rt_process")


# ---- Problems: what an HTTP handler may raise; the api answers with problem+json (RFC 9457) --


class Problem(Exception):
    """Something that the caller has to know, with the HTTP status that says so.

    detail: one sentence for a person: what was wrong, with the value, and what to do.
    extensions: further members of the problem document. headers: of the answer.
    """

    status = 500
    title = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = dict(extensions or {})


class UnknownDefinition(Problem):
    """No task definition of that id, and no pattern matches."""

    status, title = 404, "Unknown task definition"


class InvalidDefinition(Problem):
    """A task definition has faults; `errors` names each with its place."""

    status, title = 422, "Invalid task definition"


class DefinitionConflict(Problem):
    """A definition of that key is there, is in use, or there are too many."""

    status, title = 409, "Task definition refused"


class DefinitionNotKept(Problem):
    """A change of the definitions could not be made durable."""

    status, title = 500, "Task definition not kept"


class UnknownTask(Problem):
    """No task of that id was ever accepted (or it is no longer kept)."""

    status, title = 404, "Unknown task"


class DuplicateActive(Problem):
    """A task of that id is still active."""

    status, title = 409, "Task is active"


class TaskEnded(Problem):
    """The task has a final status: there is nothing to cancel."""

    status, title = 409, "Task has ended"


class TaskNotBegun(Problem):
    """The task is accepted and RT has not got it yet: there is nothing to pause."""

    status, title = 409, "Task has not begun"


class KeyUsed(Problem):
    """The Idempotency-Key of a request has started something else before."""

    status, title = 422, "Idempotency-Key was used for another request"


class InvalidTask(Problem):
    """The request is well-formed and yet asks for something that is not allowed."""

    status, title = 422, "Invalid task"


class QueueFull(Problem):
    """No room; retry_after_s says when to try again."""

    status, title = 429, "Queue is full"

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, retry_after_s))})
        self.retry_after_s = retry_after_s


class TryAgain(Problem):
    """Not possible now; the answer says when to try again. Every 503 is one of these."""

    status, title = 503, "Not available now"

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)})


class NotPrimary(TryAgain):
    """This host does not drive the outputs, or its RT process is absent."""

    title = "Not available here"


class RtAbsent(TryAgain):
    """No RT process is attached that could answer."""

    title = "RT process is absent"


class RtNoReply(Problem):
    """The RT process took too long to answer a command; whether it was carried out is not known."""

    status, title = 504, "No answer from the RT process"


class Refused(Problem):
    """The RT process refused a command; `result` is its reason."""

    status, title = 409, "Refused by the RT process"

    def __init__(self, detail: str, result: Result) -> None:
        super().__init__(detail, extensions={"result": result.name})
        self.result = result


# ---- Commands to RT ----------------------------------------------------------------------------

Compile = Callable[[Callable[[NameKind, str], int], "Mapping[str, Key]"], bytes]
"""(intern, keys) -> program bytes: Names.intern and DataStore.keys of the same generation."""


class Sent(NamedTuple):
    """Where a command went: the MXRC_EVENT_REPLY with reply_to == number answers it.

    number: of the command in that generation.
    """

    generation: int
    number: int


class Reply(NamedTuple):
    """Answer of RT to a command. cycle, state: when it was carried out."""

    result: Result
    cycle: int
    state: RtState


class CommandPort(Protocol):
    """The one way to send commands to RT: the queue and the name table have a single producer.

    All methods raise RtAbsent when there is no segment or no PRIMARY alive, and QueueFull.
    """

    def send_task(
        self,
        execution_id: int,
        task_id: str,
        compile_program: Compile,
        trace: TraceContext | None = None,
        not_before_ns: int = 0,
    ) -> Sent:
        """Compile for the generation in force, stage the program and send it; returns at once.

        What compile_program raises passes through; nothing is sent then.
        """

    def send_cancel(self, execution_id: int, trace: TraceContext | None = None) -> Sent:
        """Ask for the end of an execution; returns at once."""

    def call_event(
        self, event: RtEvent, trace: TraceContext | None = None, timeout_s: float = 2.0
    ) -> Reply:
        """Send an RT state event and wait for RT's answer. Raises Refused, RtNoReply."""

    def call_task(
        self,
        kind: CommandKind,
        execution_id: int,
        trace: TraceContext | None = None,
        timeout_s: float = 2.0,
    ) -> Reply:
        """TASK_PAUSE or TASK_RESUME, and RT's answer. Raises Refused (unknown), RtNoReply."""

    def call_bus_event(
        self, topic: str, value: float, trace: TraceContext | None = None, timeout_s: float = 2.0
    ) -> Reply:
        """Give an event to the executions that listen to its topic. Raises Refused, RtNoReply."""

    def call_noop(self, timeout_s: float = 2.0) -> Reply:
        """A round trip that changes nothing. Raises RtNoReply."""

    def free(self) -> int:
        """Commands that fit into the queue now; 0 while RT is absent (never raises)."""

    def waiting(self) -> int:
        """Commands sent and not yet taken; 0 while RT is absent (never raises)."""


# ---- Tasks -----------------------------------------------------------------------------------

TaskMode = Literal["once", "periodic", "triggered"]
TaskStatus = Literal["PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A task that is durable from now on. trace_id: 32 hex digits."""

    task_id: str
    execution_id: int
    trace_id: str


class RequestContexts(Protocol):
    """What came with the requests that started executions (tasks plugin)."""

    def carried(self, execution_id: int) -> tuple[str, str]:
        """W3C tracestate and baggage headers; ("", "") for an execution that is not known."""


class TaskService(Protocol):
    """Accepts, remembers and dispatches tasks (tasks plugin). Infos are JSON-ready objects."""

    def start(
        self,
        task_id: str,
        mode: TaskMode,
        definition: str | None,
        parameters: Mapping[str, Any],
        trace: TraceContext,
        *,
        key: str | None = None,
    ) -> Outcome[Accepted]:
        """Ends once the task is on disk; a second request with the same key gets the same answer.

        Raises, or ends with: UnknownDefinition, DuplicateActive, InvalidTask, KeyUsed, QueueFull,
        NotPrimary.
        """

    def list(self, offset: int, limit: int, status: TaskStatus | None) -> dict[str, Any]:
        """A page of tasks, newest first."""

    def get(self, task_id: str) -> dict[str, Any]:
        """Newest execution of that id; raises UnknownTask."""

    def cancel(self, task_id: str) -> dict[str, Any]:
        """Asks for its end; raises UnknownTask, TaskEnded."""

    def counts_by_status(self) -> Mapping[str, int]:
        """Tasks kept, by status (all statuses present)."""

    def queue_depth(self) -> int:
        """Accepted tasks that RT has not been sent yet."""


# ---- Tracing ---------------------------------------------------------------------------------


class ServerSpan(Protocol):
    """A span of an HTTP request under way."""

    @property
    def context(self) -> TraceContext:
        """Its identity: the answer's traceparent, and the parent of what the request starts."""

    def end(self, route: str | None, status_code: int, error: BaseException | None = None) -> None:
        """End it. route: the path template that matched, for the name; None: none matched."""


class ServerTracer(Protocol):
    """Makes the server spans (traces plugin)."""

    def start(
        self,
        method: str,
        path: str,
        parent: TraceContext | None,
        attributes: Mapping[str, Any],
        tracestate: str = "",
    ) -> ServerSpan:
        """Begin a span of kind SERVER; parent None starts a trace. tracestate: the W3C header."""


request_id: ContextVar[str | None] = ContextVar("mxrc_request_id", default=None)
"""`http.request.id` of the HTTP request under way in this thread or task, for its log lines."""


def current_trace(request: Request) -> TraceContext:
    """Context of the server span of a request under way: the parent of what the handler starts."""
    trace: TraceContext = request.state.trace
    return trace


@dataclass(frozen=True, slots=True)
class FinishedSpan:
    """A span that another part made, on its way to the exporter. Ids are raw bytes (16, 8, 8)."""

    name: str
    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    start_realtime_ns: int
    end_realtime_ns: int
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    error: str | None = None
    kind: Literal["INTERNAL", "SERVER", "PRODUCER", "CONSUMER"] = "INTERNAL"


class SpanSink(Protocol):
    """Takes finished spans for export and for the local store (traces plugin)."""

    def record(self, spans: Sequence[FinishedSpan]) -> None:
        """Never blocks: beyond a bound the oldest are dropped and counted."""


class HistogramSnapshot(NamedTuple):
    """counts[i]: observations in (edges[i-1], edges[i]]; the last count: above all edges."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


class CpuPlacement(Protocol):
    """CPUs and isolation of this process (placement.py)."""

    @property
    def isolation(self) -> IsolationMode:
        """In force."""

    def document(self) -> dict[str, Any]:
        """What is in force, as JSON."""


class MemoryPlacement(Protocol):
    """The memory policy of this process (memory_policy.py)."""

    @property
    def in_force(self) -> MemoryPolicy: ...

    def document(self) -> dict[str, Any]:
        """What is in force, as JSON."""


class TraceStatistics(Protocol):
    """Figures of tracing (traces plugin). Counts begin at the start of this process."""

    def spans_by_operation(self) -> Mapping[str, int]:
        """Spans made here: operation (http.server, rt.cycle, eventbus.process) -> count."""

    def export_latency_ms(self) -> HistogramSnapshot: ...

    def dropped(self) -> int:
        """Spans given up."""

    def queued(self) -> int:
        """Spans waiting in memory or on disk."""

    def export_failures(self) -> int: ...


class SamplingGovernor(Protocol):
    """Lowers the sampling rates while tracing costs more than its budget (traces plugin)."""

    @property
    def factor(self) -> float:
        """What the configured rates are multiplied with, 0..1."""


class Exemplar(NamedTuple):
    """A sampled observation. trace_id: 32 hex digits; value: in the unit of its histogram."""

    trace_id: str
    value: float
    realtime_s: float


class Exemplars(Protocol):
    """The newest sampled observation of each bucket (traces plugin)."""

    def cycle_time(self) -> Mapping[int, Exemplar]:
        """Of mxrc_rt_cycle_time_us, by index of the bucket's upper bound."""


# ---- Logs ------------------------------------------------------------------------------------


class LogStatistics(Protocol):
    """Figures of logging (logs plugin). Counts begin at the start of this process."""

    def events_by_level(self) -> Mapping[str, int]:
        """Lines written for this process's own log: level (trace .. critical) -> count."""

    def latency_us(self) -> HistogramSnapshot:
        """Event written in RT to its line written to the file."""

    def dropped(self) -> Mapping[ProcessName, int]:
        """Lines given up (overflow, disk) by log file."""


class LogFiles(Protocol):
    """The two log files (logs plugin)."""

    def reopen(self) -> None:
        """Begin them anew at their paths, after somebody else has moved them (logrotate)."""


# ---- Checkpoints -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The newest complete checkpoint of a process."""

    checkpoint_id: str
    file_path: str
    realtime_ns: int
    age_ns: int
    size_bytes: int


class CheckpointInfo(Protocol):
    """What is on disk (checkpoints plugin)."""

    def last(self, process: ProcessName) -> Checkpoint | None: ...


# ---- Health ----------------------------------------------------------------------------------


class HealthStatus(IntEnum):
    """As in the contract, and in the metric mxrc_process_health_status."""

    STOPPED = 0
    STARTING = 1
    HEALTHY = 2
    DEGRADED = 3
    UNHEALTHY = 4
    STOPPING = 5


class Finding(NamedTuple):
    """What a check found. reason: one sentence with the remedy; not empty unless HEALTHY."""

    status: HealthStatus
    reason: str = ""


HEALTHY = Finding(HealthStatus.HEALTHY)


class HealthCheck(Protocol):
    """One question about the health of a process; Plugin.health_checks takes them."""

    @property
    def name(self) -> str:
        """Key in the details of /health/ready: snake_case."""

    @property
    def process(self) -> ProcessName: ...

    def check(self, now_ns: int) -> Finding:
        """Look at what is in memory; never blocks. An exception counts as UNHEALTHY."""


class HealthReport(NamedTuple):
    """Health of a process: the worst finding; all reasons, worst first, joined by "; "."""

    status: HealthStatus
    since_ns: int
    error_message: str
    checks: Mapping[str, Finding]


class FailoverControl(Protocol):
    """The failover manager (failover plugin)."""

    def status(self) -> dict[str, Any]: ...

    def reset(self) -> None:
        """A person has looked: count restarts from zero, act again."""


class HealthRegistry(Protocol):
    """Health of both processes (health plugin)."""

    def register(self, check: HealthCheck) -> None: ...

    def report(self, process: ProcessName) -> HealthReport:
        """Evaluates the checks now (microseconds)."""


# ---- RT statistics ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RtFigures:
    """What the RT process did lately, from its cycle ring; times in us, NaN when nothing was seen.

    window_s: span of time that the means are over. fresh_ns: end of the newest cycle
    (CLOCK_MONOTONIC; 0: none seen).
    """

    cycles: int
    window_s: float
    jitter_mean_us: float
    jitter_max_us: float
    cycle_time_mean_us: float
    cycle_time_max_us: float
    misses: int
    fresh_ns: int
    position: tuple[float, ...]
    setpoint: tuple[float, ...]


class RtStatistics(Protocol):
    """Means over the last second (health plugin)."""

    def figures(self) -> RtFigures: ...


# ---- Consumers, metrics, HTTP ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConsumerFigures:
    """How a consumer keeps up. Losses are those of this generation, kept in its cursor.

    lag_events, lag_cycles: records written and not yet done with. failures: batches given up.
    """

    name: str
    lag_events: int
    lag_cycles: int
    lost_events: int
    lost_cycles: int
    failures: int
    alive: bool


class ConsumerMonitor(Protocol):
    """All consumers (frame)."""

    def consumers(self) -> Sequence[ConsumerFigures]: ...


class Lifecycle(Protocol):
    """Where this process is in its life (frame)."""

    def started(self) -> bool:
        """Whether all parts run."""


class MetricSource(Protocol):
    """Further metric families of a part; Plugin.metrics takes them."""

    def collect(self) -> Iterable[Metric]:
        """Families of prometheus_client.core; label `process`; base units; quick."""


class PluginList(Protocol):
    """The parts of this process (frame): metrics and api take what they contributed."""

    def plugins(self) -> Sequence[Plugin]: ...


class Endpoints(Protocol):
    """Addresses in force (frame), published in the segment and in the endpoints file."""

    def publish(self, name: str, host: str, port: int) -> None: ...

    def set_status(self, status: str) -> None:
        """Name of this process's HealthStatus, for the tools."""

    def ports(self) -> Mapping[str, int]:
        """Port in force of "http" and "metrics"."""


# ---- Runtime settings of RT ------------------------------------------------------------------


class RuntimeSettings(Protocol):
    """Log levels and sampling in force, which RT reads every cycle (frame)."""

    def log_levels(self) -> dict[str, Any]:
        """{"level": ..., "loggers": {name: level}}: what is configured now."""

    def set_log_levels(
        self, level: str | None, loggers: Mapping[str, str | None], minutes: float | None = None
    ) -> None:
        """Level None: as it is; of a logger: its own entry goes. Raises InvalidSetting.

        minutes: afterwards what was changed is as it was before.
        """

    def sampling(self) -> dict[str, Any]:
        """{rate: as configured, "in_force": {rate: ...}, "governor_factor": ..., ...}."""

    def set_sampling(self, rates: Mapping[str, float]) -> None:
        """Keys as in tracing_config.json; raises InvalidSetting."""


class RuntimePlacement(Protocol):
    """Settings that RT takes over, and keeping what was changed across restarts (frame)."""

    def placement(self, section: str, process: ProcessName) -> dict[str, Any]:
        """section: cpu_affinity or numa_binding. {"configured": ..., "in_force": ...}."""

    def change(self, settings: Mapping[str, Any]) -> None:
        """Merge patches by file stem. Raises InvalidSetting, RtAbsent, RtNoReply, NotKept."""

    def keep(self, settings: Mapping[str, Any]) -> None:
        """Have a change that is in force survive a restart. Raises NotKept."""

    def changed(self) -> dict[str, Any]:
        """What was changed at run time and is kept: a merge patch by file stem. Raises NotKept."""

    def reset(self, section: str) -> None:
        """Back to the configuration file. Raises InvalidSetting, RtAbsent, RtNoReply, NotKept."""


# ---- Event bus -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BusEvent:
    """Something that happened: a topic and at most six finite numbers.

    source: "rt": emit_event of a task; "nonrt": published in this process, or over HTTP.
    time_ns: when it was published (CLOCK_MONOTONIC). task_id, execution_id, cycle: of an RT event.
    trace: the parent of whatever the event causes. An observer finds the eventbus.process span of
        its very call there. None: the event belongs to no trace.
    hops: observers that events have gone through, in this process, until this one was published.
    """

    topic: str
    values: tuple[float, ...] = ()
    source: Literal["rt", "nonrt"] = "nonrt"
    time_ns: int = 0
    trace: TraceContext | None = None
    task_id: str = ""
    execution_id: int = 0
    cycle: int = 0
    hops: int = 0

    @property
    def value(self) -> float:
        """The first number, 1.0 without any: what conditions of RT compare."""
        return self.values[0] if self.values else 1.0


Observer = Callable[[BusEvent], None]
"""Called in a thread of its own, one event at a time, in the order of publishing. It may take its
time and block; what it raises is logged and counted, and the event is done with all the same."""


@dataclass(frozen=True, slots=True)
class ObserverFigures:
    """How an observer keeps up; counts since it subscribed. busy_s: since when its call lasts."""

    name: str
    pattern: str
    queued: int
    queue_length: int
    processed: int
    dropped: int
    failures: int
    busy_s: float


class Delivered(NamedTuple):
    """Who got an event. cycle: in which RT took it; None: no running task listens."""

    observers: int
    cycle: int | None


class EventBus(Protocol):
    """Events of RT and of this process, for whoever subscribes (event_bus plugin)."""

    def subscribe(
        self,
        name: str,
        pattern: str,
        observer: Observer,
        *,
        source: Literal["rt", "nonrt", "any"] = "any",
        queue_length: int | None = None,
    ) -> Callable[[], None]:
        """Have `observer` called for events whose topic matches; returns what ends that.

        name: names it in metrics, spans and the log; a second one of that name is a ValueError.
        pattern: a topic with `*` (any text) and `?` (any character).
        queue_length: events that may wait for it, beyond that the oldest are dropped and counted;
            None: that of event_bus.json.
        """

    def publish(
        self,
        topic: str,
        values: Sequence[float] = (),
        *,
        cause: BusEvent | None = None,
        trace: TraceContext | None = None,
    ) -> int:
        """Give an event to the observers of this process; returns how many. Never blocks.

        cause: the event that this one answers: its trace is carried on, and a loop is found out.
        Raises InvalidEvent, EventLoop.
        """

    def send_to_rt(
        self,
        topic: str,
        value: float = 1.0,
        *,
        cause: BusEvent | None = None,
        trace: TraceContext | None = None,
        timeout_s: float = 2.0,
    ) -> Delivered:
        """Give an event to the running tasks that listen, and to the observers of this process.

        Waits for RT's answer. Raises InvalidEvent, EventLoop, Refused (nobody at all listens),
        QueueFull, RtAbsent, RtNoReply: no observer has got it then.
        """

    def queued(self, limit: int) -> list[dict[str, Any]]:
        """JSON-ready: at most `limit` events that observers are not done with, by observer."""

    def observers(self) -> Sequence[ObserverFigures]: ...


class InvalidEvent(Problem):
    """A topic or value that an event cannot have."""

    status, title = 422, "Invalid event"


class EventLoop(Problem):
    """Observers answer each other's events without an end."""

    status, title = 508, "Events in a loop"


class NotKept(Problem):
    """A change is in force, and will be lost at the next start."""

    status, title = 500, "Setting not kept"


class InvalidSetting(Problem):
    """A change of a setting was refused; the old one stays in force."""

    status, title = 422, "Setting refused"
