"""All groups of checks, in the order in which they are shown."""

from __future__ import annotations

from shared.config import Config
from shared.core import MxrcError
from shared.doctor import instance, isolation, kernel, memory, power, scheduling, services
from shared.doctor.finding import Finding, Subject, Verdict
from shared.documents import read_member_document
from shared.segment import Segment, process_alive

_GROUPS = (kernel, isolation, scheduling, power, memory, services, instance)


def examine(subject: Subject) -> list[Finding]:
    """Findings of all groups."""
    return [finding for group in _GROUPS for finding in group.checks(subject)]


def worst(findings: list[Finding]) -> Verdict:
    """Of all of them; OK when there are none."""
    return max((finding.verdict for finding in findings), default=Verdict.OK)


def subject_of(config: Config) -> Subject:
    """This machine, and the instance if it runs."""
    try:
        with Segment.attach(config.instance_name) as segment:
            primary = segment.primary()
            if primary is not None:
                member = segment.member_struct(primary)
                pid = int(member.pid)
                if process_alive(pid, int(member.process_start)):
                    document = read_member_document(segment, primary)
                    status = segment.rt_status
                    return Subject(
                        config,
                        instance=document,
                        rt_pid=pid,
                        missed_slots=int(status.window_misses),
                        window_slots=int(status.window_slots),
                    )
    except MxrcError:
        pass
    return Subject(config)
