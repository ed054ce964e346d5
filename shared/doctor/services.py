"""systemd: units of mxrc, and logind's removal of shared memory."""

from __future__ import annotations

import os
from collections.abc import Iterable

from shared.doctor.finding import Finding, Group, Subject

_GROUP = Group("services")
_UNITS = ("mxrc-rt.service", "mxrc-nonrt.service")
_FOLDERS = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")
_LOGIND = "/etc/systemd/logind.conf"
FIRST_USER = 1000
"""Below are system users, whose shared memory logind leaves alone (SYS_UID_MAX)."""


def checks(subject: Subject) -> Iterable[Finding]:
    """Nothing where systemd does not run."""
    if not subject.files.exists("/run/systemd/system"):
        yield _GROUP.ok("systemd", "does not run here: `mxrc up` supervises")
        return
    yield _units(subject)
    yield _remove_ipc(subject)


def _units(subject: Subject) -> Finding:
    missing = [
        unit
        for unit in _UNITS
        if not any(subject.files.exists(f"{folder}/{unit}") for folder in _FOLDERS)
    ]
    if not missing:
        return _GROUP.ok("units", ", ".join(_UNITS))
    return _GROUP.warn(
        "units",
        f"not installed: {', '.join(missing)}: nothing starts mxrc at boot",
        "`mxrc systemd install` as root, unless `mxrc up` is meant to supervise",
    )


def _remove_ipc(subject: Subject) -> Finding:
    files = subject.files
    texts = [files.text(_LOGIND) or ""]
    for folder in ("/usr/lib/systemd/logind.conf.d", "/etc/systemd/logind.conf.d"):
        texts += [files.text(f"{folder}/{name}") or "" for name in files.names(folder)]
    value = "yes"
    for line in "\n".join(texts).splitlines():
        name, _, text = line.partition("=")
        if name.strip() == "RemoveIPC":
            value = text.strip().lower()
    user = _user(subject)
    if value in ("no", "false", "0", "off") or user < FIRST_USER:
        return _GROUP.ok("RemoveIPC", f"{value}; user {user} keeps its shared memory")
    return _GROUP.warn(
        "RemoveIPC",
        f"logind removes the shared memory of user {user} when the last session ends: the segment "
        "goes under the running RT process",
        "run mxrc as a system user, or set RemoveIPC=no in /etc/systemd/logind.conf",
    )


def _user(subject: Subject) -> int:
    if subject.rt_pid is not None:
        try:
            return subject.files.path(f"/proc/{subject.rt_pid}").stat().st_uid
        except OSError:
            pass
    return os.getuid()
