"""tracing_config.json: what is traced, how often, and where spans go."""

from __future__ import annotations

from typing import Any, Literal

from shared.config.base import ConfigFile, ConfigModel, setting


def _rate_default(data: dict[str, Any]) -> float:
    return float(data.get("sampling_rate", 0.1))


class Exporter(ConfigModel):
    """Where spans go."""

    type: Literal["OTLP", "NONE"] = setting(
        "OTLP",
        meaning="OTLP, or NONE: spans stay on this machine.",
        trouble="With NONE nothing reaches a collector.",
    )
    endpoint: str = setting(
        "http://localhost:4318",
        pattern=r"^https?://[^\s/@]+(/[^\s]*)?$",
        max_length=1024,
        allowed="an http:// or https:// URL without user name",
        meaning="Base URL of the OTLP receiver; /v1/traces is appended for http.",
        trouble=(
            "Absent or wrong: spans are spooled up to a bound and the export-failure metric "
            "grows; health and the control loop do not change."
        ),
    )
    protocol: Literal["http", "grpc"] = setting(
        "http",
        meaning="OTLP over HTTP/protobuf (usually port 4318) or gRPC (usually 4317).",
        trouble="The wrong one for the port fails every export.",
    )

    compression: Literal["gzip", "none"] = setting(
        "gzip",
        meaning="Compression of requests.",
        trouble="none: five to ten times as many bytes on the way.",
    )
    ca_file: str | None = setting(
        None,
        max_length=4096,
        meaning="PEM file of the authorities that an https endpoint is trusted by.",
        trouble="null: those of the system. Unreadable: nothing is delivered, and the log says so.",
    )
    client_cert_file: str | None = setting(
        None,
        max_length=4096,
        meaning="PEM file of the certificate that this side shows (mutual TLS).",
        trouble="Goes with client_key_file.",
    )
    client_key_file: str | None = setting(
        None,
        max_length=4096,
        meaning="PEM file of its key; must not be readable by all.",
        trouble="Goes with client_cert_file.",
    )
    headers_file: str | None = setting(
        None,
        max_length=4096,
        meaning=(
            "File with one `name: value` a line, sent with each request (a key, a tenant); must "
            "not be readable by all. OTEL_EXPORTER_OTLP_HEADERS comes on top."
        ),
        trouble="Unreadable: nothing is delivered, and the log says so. Values are never logged.",
    )


class Bottlenecks(ConfigModel):
    """When an operation counts as a bottleneck."""

    threshold_ms: float = setting(
        10.0,
        scope="live",
        gt=0,
        le=1e9,
        meaning=(
            "Mean time over the last minute, in ms, above which an operation is one: of an "
            "action what it takes beyond the time that was planned for it; of this process's own "
            "spans all of it. Tasks and sequences have thresholds of their own only."
        ),
        trouble="Too low: every hiccup is an error in the log.",
    )
    thresholds_ms: dict[str, float] = setting(
        scope="live",
        default_factory=dict,
        meaning=(
            "Thresholds of single operations, in ms of their whole mean time, by pattern: "
            '"task.execute pick_*", "action.execute pick_and_place/grip"; the first match counts.'
        ),
        trouble="A pattern that matches nothing changes nothing: mxrc_tracing_operation_spans "
        "has the names.",
    )


class Instrumentation(ConfigModel):
    """Which parts make spans."""

    eventbus: bool = setting(
        True,
        scope="live",
        meaning="Spans eventbus.publish and eventbus.process.",
        trouble="false: a trace that goes RT -> Non-RT -> RT has a gap.",
    )
    task_executor: bool = setting(
        True,
        scope="live",
        meaning="Spans task.execute, sequence.run and action.execute.",
        trouble="false: no trace shows what a task did.",
    )
    rt_cycle: bool = setting(
        True,
        scope="live",
        meaning="Spans rt.cycle, sampled by rt_cycle_sampling_rate; missed cycles always.",
        trouble="false: missed cycles are in the log and the metrics only.",
    )


class TracingConfig(ConfigFile):
    """What is traced, how often, and where spans go."""

    service_name: str = setting(
        "mxrc-rt",
        min_length=1,
        max_length=255,
        meaning="Resource attribute service.name of the spans.",
        trouble="Two machines of one name are told apart by service.instance.id only.",
    )
    sampling_rate: float = setting(
        0.1,
        scope="live",
        ge=0,
        le=1,
        meaning="Share of root traces that are recorded; a caller's own decision comes first.",
        trouble="High rates cost time and disk: the overhead governor lowers them and logs it.",
    )
    task_sampling_rate: float = setting(
        scope="live",
        default_factory=_rate_default,
        default_text="sampling_rate",
        ge=0,
        le=1,
        meaning="The same for traces that begin with a task.",
        trouble="Below 1 some executions have no trace.",
    )
    rt_cycle_sampling_rate: float = setting(
        scope="live",
        default_factory=_rate_default,
        default_text="sampling_rate",
        ge=0,
        le=1,
        meaning="Share of cycles that get a span; missed cycles and those around them always do.",
        trouble="1.0 at 1 kHz is a thousand spans a second.",
    )
    overhead_budget: float = setting(
        0.05,
        scope="live",
        gt=0,
        le=1,
        meaning="Share of the cycle, and of a CPU here, that tracing may cost.",
        trouble="Passed: the sampling rates are lowered until it is kept, and the log says so.",
    )
    bottlenecks: Bottlenecks = setting(
        scope="live",
        default_factory=Bottlenecks,
        meaning="When an operation counts as a bottleneck.",
        trouble="Left out: all defaults.",
    )
    exporter: Exporter = setting(
        default_factory=Exporter, meaning="Where spans go.", trouble="Left out: all defaults."
    )
    propagator: Literal["W3C"] = setting(
        "W3C",
        meaning="Format of the trace context in HTTP headers: traceparent, tracestate, baggage.",
        trouble="There is no other.",
    )
    instrumentation: Instrumentation = setting(
        scope="live",
        default_factory=Instrumentation,
        meaning="Which parts make spans.",
        trouble="Left out: all of them.",
    )
