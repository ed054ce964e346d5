"""Ground truth: which lines are which error, and which belong to which incident, as JSON lines.

One object per ERROR record and per record of an incident (`kind` record), and one per incident when
it is over or the run ends (`kind` incident). Line numbers start at 1 and count what this run wrote,
over all rotated parts; `part` is the number of rotations before the record and `part_line` its
first line within that part.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from logsim.output import Output
from logsim.record import Record


@dataclass
class _Open:
    """An incident that is on: its lines so far."""

    first_line: int
    last_line: int = 0
    phases: dict[str, int] = field(default_factory=dict)
    scenarios: dict[str, int] = field(default_factory=dict)
    records: int = 0


class Labels:
    """Writes the label file; one incident is on at a time."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._incident = ""
        self._open: _Open | None = None

    def add(self, record: Record, first_line: int, lines: int, part: int, part_line: int) -> None:
        """Label `record` if it is an error or part of an incident."""
        if record.level != "ERROR" and not record.incident:
            return
        scenario = record.scenario.name if record.scenario else ""
        last_line = first_line + lines - 1
        if record.incident:
            self._follow(record, scenario, first_line, last_line)
            incident = f'"{record.incident}","phase":"{record.phase}"'
        else:
            incident = 'null,"phase":null'
        self._output.write(
            f'{{"kind":"record","scenario":"{scenario}","incident":{incident}'
            f',"level":"{record.level}","service":"{record.service.name}"'
            f',"pod":"{record.request.pod(record.service)}"'
            f',"request_id":"{record.request.request_id}","first_line":{first_line}'
            f',"last_line":{last_line},"part":{part},"part_line":{part_line}}}\n'
        )
        if record.last_of_incident:
            self._finish(complete=True)

    def flush(self) -> None:
        self._output.flush()

    def close(self) -> None:
        """Sum up an incident that the end of the run cut short, and close the file."""
        self._finish(complete=False)
        self._output.close()

    def _follow(self, record: Record, scenario: str, first_line: int, last_line: int) -> None:
        if record.incident != self._incident:
            self._incident = record.incident
            self._open = _Open(first_line)
        assert self._open is not None
        self._open.last_line = last_line
        self._open.records += 1
        self._open.phases.setdefault(record.phase, first_line)
        self._open.scenarios[scenario] = self._open.scenarios.get(scenario, 0) + 1

    def _finish(self, *, complete: bool) -> None:
        if self._open is None:
            return
        summary = {
            "kind": "incident",
            "incident": self._incident,
            "root_cause": next(iter(self._open.scenarios)),
            "scenarios": list(self._open.scenarios),
            "records": self._open.records,
            "first_line": self._open.first_line,
            "last_line": self._open.last_line,
            "phase_first_lines": self._open.phases,
            "complete": complete,
        }
        self._output.write(json.dumps(summary, separators=(",", ":")) + "\n")
        self._open = None
