"""failover_policy.json: when a process counts as failed, and what happens then."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from shared.config.base import ConfigFile, ConfigModel, Fault, refuse, setting

_UNIT = "with `mxrc systemd install`"
_SUPERVISOR = f"`mxrc up`: at once (SIGHUP); systemd: {_UNIT}"
_LIMIT = f"at once; what systemd keeps: {_UNIT}"


class FailoverPolicy(ConfigModel):
    """Health checks, restarts, recovery and thresholds of one process."""

    health_check_interval_ms: int = setting(
        1000,
        scope="live",
        effect=_UNIT,
        ge=10,
        le=3_600_000,
        meaning="The watchdog of systemd waits failure_threshold times this long, in ms, at least "
        "1 s. The processes look for faults all the time, and a fault that is seen is a failed "
        "check at once.",
        trouble="Too short: systemd kills what is only slow. Without systemd it does nothing.",
    )
    health_check_timeout_ms: int = setting(
        500,
        scope="live",
        ge=1,
        le=3_600_000,
        meaning="Time in ms after which a check without an answer has failed, and after which a "
        "failed one is repeated; below the interval.",
        trouble="Too short for a loaded machine: checks fail without a fault.",
    )
    failure_threshold: int = setting(
        3,
        scope="live",
        ge=1,
        le=1000,
        meaning="Failed checks in a row that make a process failed: after "
        "health_check_timeout_ms x failure_threshold.",
        trouble="1 restarts on any hiccup; high values lengthen an outage.",
    )
    restart_delay_ms: int = setting(
        100,
        scope="live",
        effect=_SUPERVISOR,
        ge=0,
        le=3_600_000,
        meaning="Wait before a failed process is started again, in ms.",
        trouble="Long values lengthen an outage.",
    )
    max_restart_count: int = setting(
        5,
        scope="live",
        effect=_LIMIT,
        ge=0,
        le=1_000_000,
        meaning="Restarts allowed within restart_window_sec; 0: none.",
        trouble=(
            "Beyond it the machine stays in the safe state and /health says "
            "MANUAL_INTERVENTION: find the cause in the log, then `mxrc reset`."
        ),
    )
    restart_window_sec: int = setting(
        60,
        scope="live",
        effect=_LIMIT,
        ge=1,
        le=31_536_000,
        meaning="Window in s over which restarts are counted.",
        trouble="Too short and a process that dies slowly is restarted for ever.",
    )
    enable_state_recovery: bool = setting(
        True,
        scope="live",
        effect="when RT starts the next time",
        meaning="A restarted process goes on from the state block, else the newest checkpoint.",
        trouble="false: every restart begins with no task and no state.",
    )
    checkpoint_interval_sec: float = setting(
        60,
        scope="live",
        gt=0,
        le=86_400,
        meaning="Time between periodic checkpoints in s.",
        trouble="Age is exported; a disk that cannot keep up raises DEGRADED.",
    )
    enable_leader_election: bool = setting(
        False,
        meaning="Several hosts elect the primary: not in this version, must be false. One host: by "
        "the lock in the segment.",
        trouble="true is refused: nothing would keep two hosts from driving at once.",
    )
    stall_timeout_ms: int = setting(
        100,
        scope="live",
        ge=1,
        le=60_000,
        meaning="Age of the last cycle in ms at which the primary counts as stalled.",
        trouble="Below the machine's worst scheduling delay it takes over without need.",
    )
    degraded_miss_rate: float = setting(
        0.01,
        scope="live",
        ge=0,
        le=1,
        meaning="Deadline-miss rate (0..1, last 10,000 cycles) above which health is DEGRADED.",
        trouble="Alarms all the time on an unprepared machine: see `mxrc doctor`.",
    )
    unhealthy_miss_rate: float = setting(
        0.05,
        scope="live",
        ge=0,
        le=1,
        meaning="Deadline-miss rate (0..1) above which health is UNHEALTHY; not below the other.",
        trouble="UNHEALTHY answers 503: load balancers and probes will act on it.",
    )
    on_timing_failure: Literal["report", "handover"] = setting(
        "report",
        scope="live",
        meaning="Bad timing alone: report it, or hand over to a standby. Never kills a process.",
        trouble="handover without a standby only reports.",
    )

    @model_validator(mode="after")
    def _rules(self) -> FailoverPolicy:
        faults = []
        if self.health_check_timeout_ms >= self.health_check_interval_ms:
            faults.append(
                Fault(
                    ("health_check_timeout_ms",),
                    f"must be below health_check_interval_ms ({self.health_check_interval_ms})",
                    "a check has to end before the next one begins",
                )
            )
        if self.degraded_miss_rate > self.unhealthy_miss_rate:
            faults.append(
                Fault(
                    ("degraded_miss_rate",),
                    f"must not be above unhealthy_miss_rate ({self.unhealthy_miss_rate})",
                    "DEGRADED is the milder state",
                )
            )
        if self.enable_leader_election:
            faults.append(
                Fault(
                    ("enable_leader_election",),
                    "must be false",
                    "this version knows one host: nothing would keep two of them from driving",
                )
            )
        if faults:
            refuse(*faults)
        return self


class FailoverPolicyConfig(ConfigFile):
    """When a process counts as failed, and what happens then."""

    rt_process: FailoverPolicy = setting(
        scope="live",
        default_factory=FailoverPolicy,
        meaning="Policy for the RT process, applied by the Non-RT process.",
        trouble="Left out: all defaults.",
    )
    non_rt_process: FailoverPolicy = setting(
        scope="live",
        default_factory=FailoverPolicy,
        meaning="Policy for the Non-RT process, applied by the RT process. Nothing reads here what "
        "concerns RT alone: enable_state_recovery, checkpoint_interval_sec, stall_timeout_ms, "
        "degraded_miss_rate, unhealthy_miss_rate, on_timing_failure.",
        trouble="Left out: all defaults.",
    )
