"""rt_schedule.json: the time grid of the executive, how it waits, and what runs in which slot."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.config.base import ConfigFile, ConfigModel, Fault, refuse, setting
from shared.config.models.names import Name, ShortName

MAX_SLOTS = 65_536
"""Bound on the slots of a major frame: it is a table in shared memory."""

OverrunPolicy = Literal["skip", "catch_up", "rebase", "safe"]


class Wait(ConfigModel):
    """How the executive waits for the next slot."""

    mode: Literal["sleep", "hybrid", "busy"] = setting(
        "sleep",
        scope="live",
        meaning=(
            "sleep: clock_nanosleep to the slot; hybrid: sleep, then spin for the last "
            "spin_margin_us; busy: spin all the time."
        ),
        trouble=(
            "busy takes a whole CPU and is refused where real-time throttling is in force; "
            "hybrid needs a CPU of its own to pay."
        ),
    )
    spin_margin_us: Annotated[int, Field(ge=0, le=50_000)] | Literal["auto"] = setting(
        100,
        scope="live",
        meaning=(
            "Hybrid: us to spin before a slot, at most half the period; auto: as many as let one "
            "wake-up in a thousand come too late, from 10 on, followed from wake-up to wake-up."
        ),
        trouble="Too small: jitter as with sleep. Large values burn the CPU.",
    )


class ScheduleEntry(ConfigModel):
    """A piece of work that runs every period_us."""

    name: ShortName = setting(
        meaning="Name in logs, metrics and the inspector.",
        trouble="Two entries of one name are refused.",
    )
    run: Literal["inputs", "tasks", "law", "outputs", "records", "c"] = setting(
        "c",
        meaning=(
            "c: a function of your own in a shared object (docs/schedule.md); law: the control "
            "law; inputs, tasks, outputs, records: that part of every cycle, to declare its time."
        ),
        trouble=(
            "Only c, and a law that commands efforts, may have a period longer than the cycle's; "
            "each of the others may be named once."
        ),
    )
    path: str | None = setting(
        None,
        min_length=1,
        max_length=4000,
        meaning="c: the shared object; relative to the folder of the configuration.",
        trouble="A file that group or others may write, or that belongs to somebody else, is "
        "refused: it runs on the real-time thread.",
    )
    symbol: str | None = setting(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,126}$",
        meaning="c: name of the struct mxrc_entry_code in it.",
        trouble="A symbol that the file does not have is refused.",
    )
    parameters: tuple[float, ...] = setting(
        (),
        max_length=16,
        meaning="c: its parameters, in the order and units that it states.",
        trouble="Another number of them than it takes is refused.",
    )
    inputs: tuple[Name, ...] = setting(
        (),
        max_length=8,
        meaning="c: data-store keys of type double that it reads, in its order.",
        trouble="Another number of them than it takes is refused.",
    )
    outputs: tuple[Name, ...] = setting(
        (),
        max_length=8,
        meaning="c: data-store keys of type double that it writes, in its order; writer rt.",
        trouble="A value outside the limits of its key is a failure of the entry.",
    )
    period_us: int = setting(
        ge=100,
        le=60_000_000,
        meaning="Period in us: a multiple of the cycle's period_us.",
        trouble="Periods without a common multiple make long major frames, which are refused.",
    )
    phase_us: int = setting(
        0,
        ge=0,
        le=60_000_000,
        meaning="Offset of its first slot in us: a multiple of the cycle's, below its period_us.",
        trouble="Entries of one period and phase share their slots: spread them by phase.",
    )
    wcet_us: float = setting(
        gt=0,
        le=100_000,
        meaning="Declared worst-case execution time in us.",
        trouble="A slot whose declared times do not fit is refused; measured values are exported.",
    )
    criticality: Literal["low", "normal", "high"] = setting(
        "normal",
        meaning=(
            "After a late cycle: low is left out once; normal loses the run whose slot was "
            "skipped; high makes up for it in the next slot, and its failure enters SAFE_MODE."
        ),
        trouble="high everywhere: after an overrun all of them meet in one slot.",
    )

    def faults(self) -> list[Fault]:
        """Rules between the fields of one entry."""
        if self.run == "c":
            needed = {"path": self.path, "symbol": self.symbol}
            return [
                Fault((name,), "must be given with run c")
                for name, value in needed.items()
                if value is None
            ]
        return [
            Fault((name,), f"must be left out with run {self.run}")
            for name in ("path", "symbol", "parameters", "inputs", "outputs")
            if getattr(self, name)
        ]


class RtScheduleConfig(ConfigFile):
    """The time grid of the executive, how it waits, and what runs in which slot."""

    period_us: int = setting(
        1000,
        ge=100,
        le=100_000,
        meaning="Period of the cycle in us.",
        trouble="A period that the machine cannot hold shows as deadline misses: `mxrc doctor`.",
    )
    deadline_percent: int = setting(
        90,
        scope="live",
        ge=1,
        le=100,
        meaning="Deadline of a cycle in per cent of the period.",
        trouble="Low values count late outputs as misses; 100 leaves no time before the next slot.",
    )
    overrun_policy: OverrunPolicy = setting(
        "skip",
        scope="live",
        meaning=(
            "A slot whose start has passed: skip it (counted as a miss), catch_up, rebase the "
            "grid, or safe: enter SAFE_MODE."
        ),
        trouble=(
            "catch_up bunches cycles up, at most 10 ms of them (at least 2), the rest is skipped; "
            "rebase loses the phase to other machines."
        ),
    )
    wait: Wait = setting(
        scope="live",
        default_factory=Wait,
        meaning="How to wait for a slot.",
        trouble="Left out: all defaults.",
    )
    warmup_cycles: int = setting(
        100,
        ge=0,
        le=1_000_000,
        meaning="Cycles after a start that are left out of the statistics.",
        trouble="0: the first, cold cycles show as jitter.",
    )
    auto_start: bool = setting(
        True,
        meaning="Issue START once READY; after a crash or take-over the state before it goes on.",
        trouble="false: it stays READY until `mxrc rt start` or the API says START.",
    )
    safe_mode_resume: Literal["manual", "automatic"] = setting(
        "manual",
        scope="live",
        meaning="After SAFE_MODE_EXIT: wait for RESUME (manual) or go on moving (automatic).",
        trouble="automatic moves the machine without a person: only where nobody can be near it.",
    )
    heartbeat_timeout_ms: int = setting(
        500,
        scope="live",
        ge=10,
        le=600_000,
        meaning="Age of the Non-RT heartbeat in ms at which RT enters SAFE_MODE.",
        trouble="Too short: SAFE_MODE at every restart of the Non-RT process.",
    )
    rusage: bool = setting(
        False,
        meaning="Read page faults and context switches after each cycle (one getrusage, ~0.1 us).",
        trouble="false: incidents do not name faults and switches as a cause.",
    )
    entries: tuple[ScheduleEntry, ...] = setting(
        (),
        max_length=32,
        meaning="Work with periods of its own, and declared times of the cycle's own parts.",
        trouble="See the fields of an entry.",
    )

    @property
    def minor_cycle_us(self) -> int:
        """Greatest common divisor of all periods, us."""
        return math.gcd(self.period_us, *(entry.period_us for entry in self.entries))

    @property
    def major_cycle_us(self) -> int:
        """Least common multiple of all periods, us: the schedule repeats after it."""
        return math.lcm(self.period_us, *(entry.period_us for entry in self.entries))

    @model_validator(mode="after")
    def _rules(self) -> RtScheduleConfig:
        faults = self._margin_faults() + self._entry_faults()
        if not faults:
            faults = self._frame_faults()
        if faults:
            refuse(*faults)
        return self

    def _margin_faults(self) -> list[Fault]:
        margin = self.wait.spin_margin_us
        if self.wait.mode == "hybrid" and margin != "auto" and 2 * margin > self.period_us:
            return [
                Fault(
                    ("wait", "spin_margin_us"),
                    f"must be at most half of period_us ({self.period_us // 2})",
                    "spinning longer takes the CPU from everything else",
                )
            ]
        return []

    def _entry_faults(self) -> list[Fault]:
        faults = []
        names: set[str] = set()
        for index, entry in enumerate(self.entries):
            place = ("entries", index)
            if entry.name in names:
                faults.append(Fault((*place, "name"), "must be a name that no other entry has"))
            names.add(entry.name)
            faults += [fault._replace(loc=place + fault.loc) for fault in entry.faults()]
            faults += self._stage_faults(index, entry)
            for field in ("period_us", "phase_us"):
                if getattr(entry, field) % self.period_us:
                    faults.append(
                        Fault(
                            (*place, field), f"must be a multiple of period_us ({self.period_us})"
                        )
                    )
            if entry.phase_us >= entry.period_us:
                faults.append(
                    Fault((*place, "phase_us"), f"must be below its period_us ({entry.period_us})")
                )
        return faults

    def _stage_faults(self, index: int, entry: ScheduleEntry) -> list[Fault]:
        if entry.run == "c":
            return []
        place = ("entries", index)
        faults = []
        if any(other.run == entry.run for other in self.entries[:index]):
            faults.append(Fault((*place, "run"), "must be a part that no other entry names"))
        if entry.run != "law" and entry.period_us != self.period_us:
            faults.append(
                Fault(
                    (*place, "period_us"),
                    f"must be period_us ({self.period_us}) with run {entry.run}",
                    "this part runs in every cycle",
                )
            )
        return faults

    def _frame_faults(self) -> list[Fault]:
        slots = self.major_cycle_us // self.period_us
        if slots > MAX_SLOTS:
            return [
                Fault(
                    ("entries",),
                    f"must give a major frame of at most {MAX_SLOTS} slots, not {slots}",
                    "choose periods that are multiples of one another",
                )
            ]
        load = [0.0] * slots
        for entry in self.entries:
            step = entry.period_us // self.period_us
            for slot in range(entry.phase_us // self.period_us, slots, step):
                load[slot] += entry.wcet_us
        budget = self.period_us * self.deadline_percent / 100
        worst = max(range(slots), key=load.__getitem__)
        if load[worst] <= budget:
            return []
        due = [
            entry.name
            for entry in self.entries
            if (worst * self.period_us - entry.phase_us) % entry.period_us == 0
        ]
        return [
            Fault(
                ("entries",),
                f"must fit: slot {worst} of {slots} needs {load[worst]:g} us for "
                f"{', '.join(due)}, and its deadline is at {budget:g} us",
                "give entries another phase_us, a longer period, or lengthen the cycle",
            )
        ]
