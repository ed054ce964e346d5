"""cpu_affinity.json: CPUs, scheduling policy and isolation of each process and its threads."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from shared.config.base import ConfigFile, ConfigModel, Fault, refuse, setting

IsolationMode = Literal["NONE", "ISOLCPUS", "CGROUPS", "HYBRID"]
SchedulingPolicy = Literal["SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_DEADLINE"]
CpuNumber = Annotated[int, Field(ge=0, le=1023)]
CpuList = Annotated[tuple[CpuNumber, ...], Field(min_length=1, max_length=1024)]

_REAL_TIME_PRIORITY = ("SCHED_FIFO", "SCHED_RR")
_DEADLINE_FIELDS = ("dl_runtime_us", "dl_deadline_us", "dl_period_us")
_CPUSET_MODES = ("CGROUPS", "HYBRID")


def _default_priority(data: dict[str, Any]) -> int:
    return 80 if data.get("policy", "SCHED_FIFO") in _REAL_TIME_PRIORITY else 0


def _deadline_field(what: str) -> Any:
    return setting(
        None,
        scope="live",
        ge=2,
        le=10_000_000,
        meaning=f"SCHED_DEADLINE: {what} in us; required by that policy, not allowed with others.",
        trouble=(
            "runtime <= deadline <= period has to hold, and the kernel refuses what does not fit "
            "beside the other deadline threads: lower the runtime or lengthen the period."
        ),
    )


class ThreadPlacement(ConfigModel):
    """Where a thread runs and how it is scheduled."""

    thread_name: str = setting(
        "main",
        min_length=1,
        max_length=15,
        pattern=r"^[!-~]+$",
        allowed="1 to 15 printable ASCII characters without a space",
        meaning=(
            "Name of the thread. RT: as ps -L and the logs show it; Non-RT: of its main thread, as "
            "the logs show it."
        ),
        trouble=(
            "An entry in `threads` whose name no thread has is reported at start; an exclusive "
            "process refuses it."
        ),
    )
    cpu_cores: CpuList | Literal["auto"] = setting(
        "auto",
        scope="live",
        allowed='a list of CPU numbers (at least one, each once) or "auto"',
        meaning=(
            "CPUs that it may run on. auto, RT: the isolated CPUs if there are any, else the "
            "highest-numbered online one; Non-RT: the online CPUs that RT is not on, else all."
        ),
        trouble="A CPU that is absent or offline is refused; `lscpu -e` lists what there is.",
    )
    policy: SchedulingPolicy = setting(
        "SCHED_FIFO",
        scope="live",
        meaning="Scheduling policy, sched(7).",
        trouble=(
            "Without the right to real-time scheduling the process runs with SCHED_OTHER and "
            "/health says DEGRADED: grant CAP_SYS_NICE or LimitRTPRIO. SCHED_DEADLINE needs "
            "dl_runtime_us, dl_deadline_us, dl_period_us, sleep waiting, and an exclusive cpuset."
        ),
    )
    priority: int = setting(
        scope="live",
        default_factory=_default_priority,
        default_text="80 (0 with SCHED_OTHER and SCHED_DEADLINE)",
        ge=0,
        le=99,
        allowed="an integer from 1 to 99 for SCHED_FIFO and SCHED_RR, 0 for the others",
        meaning="Real-time priority; higher runs first.",
        trouble="Above 50 it outranks threaded interrupt handlers: 99 can starve the machine.",
    )
    dl_runtime_us: int | None = _deadline_field("work that it may do per period")
    dl_deadline_us: int | None = _deadline_field("time from the start of a period to its end")
    dl_period_us: int | None = _deadline_field("period")

    def faults(self) -> list[Fault]:
        """Rules between the fields of one placement."""
        found = []
        if self.cpu_cores != "auto" and len(set(self.cpu_cores)) != len(self.cpu_cores):
            found.append(Fault(("cpu_cores",), "must name each CPU once"))
        if self.policy in _REAL_TIME_PRIORITY and not self.priority:
            found.append(Fault(("priority",), f"must be an integer from 1 to 99 for {self.policy}"))
        if self.policy not in _REAL_TIME_PRIORITY and self.priority:
            found.append(
                Fault(
                    ("priority",),
                    f"must be 0 for {self.policy}",
                    "leave it out, or choose SCHED_FIFO or SCHED_RR",
                )
            )
        return found + self._deadline_faults()

    def _deadline_faults(self) -> list[Fault]:
        values = [getattr(self, field) for field in _DEADLINE_FIELDS]
        if self.policy != "SCHED_DEADLINE":
            return [
                Fault((field,), f"must be left out with {self.policy}", "it is for SCHED_DEADLINE")
                for field, value in zip(_DEADLINE_FIELDS, values, strict=True)
                if value is not None
            ]
        missing = [
            Fault((field,), "must be given with SCHED_DEADLINE, in us")
            for field, value in zip(_DEADLINE_FIELDS, values, strict=True)
            if value is None
        ]
        if missing:
            return missing
        runtime, deadline, period = values
        if not runtime <= deadline <= period:
            return [
                Fault(
                    ("dl_runtime_us",),
                    "must not be above dl_deadline_us, nor that above dl_period_us",
                    f"deadline {deadline}, period {period}",
                )
            ]
        return []


class ProcessAffinity(ThreadPlacement):
    """Placement of a process: its real-time (or main) thread, and others by name."""

    isolation_mode: IsolationMode = setting(
        scope="live",
        meaning=(
            "How its CPUs are kept free of other work: NONE, ISOLCPUS (isolcpus= at boot), "
            "CGROUPS (a cpuset partition), HYBRID (both)."
        ),
        trouble=(
            "Compared with what the kernel really does: not satisfied, an exclusive process "
            "refuses to start and another one warns and reports the mode in force. `mxrc doctor` "
            "names the boot parameter or the cpuset that is missing."
        ),
    )
    is_exclusive: bool = setting(
        True,
        scope="live",
        meaning="Nothing else may run on its CPUs; the isolation is then a condition of starting.",
        trouble="Refused to start on an unprepared machine: prepare it, or set false.",
    )
    threads: tuple[ThreadPlacement, ...] = setting(
        (),
        scope="live",
        max_length=32,
        meaning=(
            "Placement of further threads of the process, by thread_name: the first 15 characters "
            "of what the logs of the Non-RT process show. The RT process has none: its main thread "
            "is placed by itself, off the RT thread's CPUs."
        ),
        trouble=(
            "Two entries of one name are refused. Each entry of the RT process is reported as a "
            "thread that there is not."
        ),
    )

    @model_validator(mode="after")
    def _rules(self) -> ProcessAffinity:
        faults = self.faults()
        names = [self.thread_name]
        for index, thread in enumerate(self.threads):
            place: tuple[str | int, ...] = ("threads", index)
            faults += [fault._replace(loc=place + fault.loc) for fault in thread.faults()]
            if thread.thread_name in names:
                faults.append(
                    Fault((*place, "thread_name"), "must be a name that no other thread has")
                )
            names.append(thread.thread_name)
        exclusive_cpuset = self.is_exclusive and self.isolation_mode in _CPUSET_MODES
        if self.policy == "SCHED_DEADLINE" and not exclusive_cpuset:
            faults.append(
                Fault(
                    ("policy",),
                    "must be another policy unless the process has an exclusive cpuset",
                    "the kernel refuses SCHED_DEADLINE for a pinned thread elsewhere: set "
                    "isolation_mode CGROUPS or HYBRID and is_exclusive true, or SCHED_FIFO",
                )
            )
        if faults:
            refuse(*faults)
        return self


def _non_rt_default() -> ProcessAffinity:
    return ProcessAffinity(
        isolation_mode="NONE", is_exclusive=False, policy="SCHED_OTHER", priority=0
    )


class CpuAffinityConfig(ConfigFile):
    """CPUs, scheduling policy and isolation of the two processes."""

    rt_process: ProcessAffinity = setting(
        scope="live",
        meaning="The RT process; the object's own fields are those of the RT thread.",
        trouble="Has to be there: nothing else says where the control loop may run.",
    )
    non_rt_process: ProcessAffinity = setting(
        scope="live",
        default_factory=_non_rt_default,
        default_text="SCHED_OTHER, auto, isolation NONE, not exclusive",
        meaning="The Non-RT process.",
        trouble="On the RT thread's CPU it waits for the RT thread: give it another one.",
    )
